internal import COpenSSL

/// The owner of one OpenSSL object, freed with its scope.
@safe
struct Handle: ~Copyable {
    let pointer: OpaquePointer
    private let free: (OpaquePointer?) -> Void

    /// - Throws: ``CryptoError/library(_:)`` where `pointer` is nil.
    init(_ pointer: OpaquePointer?, free: @escaping (OpaquePointer?) -> Void) throws(CryptoError) {
        guard let pointer = unsafe pointer else { throw .library(OpenSSLError.take()) }
        unsafe self.pointer = pointer
        unsafe self.free = free
    }

    deinit { unsafe free(pointer) }
}

/// A shared `EVP_PKEY`: immutable once made, so that threads may use it at the same time.
@safe
final class KeyHandle: @unchecked Sendable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer?) throws(CryptoError) {
        guard let pointer = unsafe pointer else { throw .badKey(OpenSSLError.take()) }
        unsafe self.pointer = pointer
    }

    deinit { unsafe EVP_PKEY_free(pointer) }
}

/// A shared `X509`: immutable once made.
@safe
final class CertificateHandle: @unchecked Sendable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer?) throws(CryptoError) {
        guard let pointer = unsafe pointer else { throw .badEncoding("not an X.509 certificate: " + OpenSSLError.take()) }
        unsafe self.pointer = pointer
    }

    deinit { unsafe X509_free(pointer) }
}

/// An algorithm fetched from the providers once and kept: fetching it anew costs more than a small packet.
@safe
struct Fetched: @unchecked Sendable {
    let pointer: OpaquePointer

    private init(_ pointer: OpaquePointer?, _ name: StaticString) {
        guard let pointer = unsafe pointer else { preconditionFailure("OpenSSL lacks \(name)") }
        unsafe self.pointer = pointer
    }

    private static func cipher(_ name: StaticString) -> Fetched {
        unsafe Fetched(EVP_CIPHER_fetch(nil, "\(name)", nil), name)
    }
    private static func digest(_ name: StaticString) -> Fetched {
        unsafe Fetched(EVP_MD_fetch(nil, "\(name)", nil), name)
    }
    private static func mac(_ name: StaticString) -> Fetched {
        unsafe Fetched(EVP_MAC_fetch(nil, "\(name)", nil), name)
    }

    static let aes128GCM = cipher("AES-128-GCM")
    static let aes256GCM = cipher("AES-256-GCM")
    static let aes128CTR = cipher("AES-128-CTR")
    static let aes192CTR = cipher("AES-192-CTR")
    static let aes256CTR = cipher("AES-256-CTR")
    static let chaCha20 = cipher("ChaCha20")
    static let sha256 = digest("SHA2-256")
    static let sha384 = digest("SHA2-384")
    static let sha512 = digest("SHA2-512")
    static let hmac = mac("HMAC")
    static let poly1305 = mac("POLY1305")
}
