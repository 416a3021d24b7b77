internal import Base
internal import Glibc

/// Writes files and directories that their owner alone may read.
enum OwnFile {
    /// Makes the directory and those above it that are missing, mode 0700.
    static func makeDirectory(_ path: String) throws(TeleportError) {
        var prefix = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            prefix += prefix.isEmpty || prefix.hasSuffix("/") ? String(part) : "/" + part
            guard unsafe mkdir(prefix, 0o700) == 0 || errno == EEXIST || errno == EROFS else { throw failure("make the directory", prefix) }
        }
    }

    /// Replaces the file whole: a reader sees the old or the new one.
    static func write(_ bytes: [UInt8], to path: String) throws(TeleportError) {
        let partial = path + ".partial"
        let descriptor = unsafe open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw failure("write", partial) }
        var isClosed = false
        defer { if !isClosed { close(descriptor) } }
        guard fchmod(descriptor, 0o600) == 0 else { throw failure("protect", partial) }
        var offset = 0
        while offset < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress?.advanced(by: offset), $0.count - offset) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw failure("write", partial) }
            offset += count
        }
        guard fsync(descriptor) == 0 else { throw failure("write", partial) }
        isClosed = true
        guard close(descriptor) == 0 else { throw failure("write", partial) }
        guard unsafe rename(partial, path) == 0 else { throw failure("write", path) }
    }

    private static func failure(_ verb: String, _ path: String) -> TeleportError {
        let code = errno
        return TeleportError(.systemError, unsafe "cannot \(verb) \(path): \(String(cString: strerror(code)))", code: code)
    }
}
