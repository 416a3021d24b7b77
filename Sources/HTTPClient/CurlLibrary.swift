internal import Base
internal import CLibcurl
internal import Glibc

/// libcurl's functions, found when the first request is made.
///
/// It brings some 35 shared libraries with it: a program that asks nothing over HTTP does not wait for them at its start.
@safe
final class CurlLibrary {
    let functions: UnsafePointer<shim_curl>

    /// - Throws: `NotFound` where the system has no libcurl.
    init() throws(TeleportError) {
        var found = shim_curl()
        guard unsafe shim_load_curl(&found) else {
            let reason = unsafe dlerror().map { unsafe String(cString: $0) } ?? "it lacks a function"
            throw .notFound("libcurl cannot be loaded: \(reason); install it (libcurl4 in Debian)")
        }
        // Counts its callers, of any thread, from 7.84 on.
        guard found.global_init(Int(CURL_GLOBAL_SSL)) == CURLE_OK else {
            throw TeleportError(.systemError, "libcurl cannot be initialized")
        }
        let memory = UnsafeMutablePointer<shim_curl>.allocate(capacity: 1)
        unsafe memory.initialize(to: found)
        unsafe functions = UnsafePointer(memory)
    }

    /// What a code means, in libcurl's words.
    func text(_ code: CURLcode) -> String {
        unsafe functions.pointee.easy_strerror(code).map { unsafe String(cString: $0) } ?? "error \(code.rawValue)"
    }

    func text(_ code: CURLMcode) -> String {
        unsafe functions.pointee.multi_strerror(code).map { unsafe String(cString: $0) } ?? "error \(code.rawValue)"
    }

    deinit {
        unsafe functions.deallocate()
    }
}
