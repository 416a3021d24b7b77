package import Base
internal import ClusterModel
internal import Glibc

/// Reads small files whole; blocks.
package enum TextFile {
    /// - Parameter bytesMax: a longer file is refused.
    /// - Throws: `NotFound`, or `SystemError` with the system's reason.
    package static func read(_ path: String, bytesMax: Int) throws(TeleportError) -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                throw failure("read", path)
            }
            bytes += chunk[..<count]
            guard bytes.count <= bytesMax else { throw .limitExceeded("\(path) is longer than \(bytesMax) bytes") }
        }
    }

    private static func failure(_ verb: String, _ path: String) -> TeleportError {
        let code = errno
        let reason = unsafe String(cString: strerror(code))
        return TeleportError(code == ENOENT ? .notFound : .systemError, "cannot \(verb) \(path): \(reason)", code: code)
    }
}
