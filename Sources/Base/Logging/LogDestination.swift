internal import Glibc

/// Where log lines go: one write a line, so that the lines of several threads do not mix.
package struct LogDestination: Sendable {
    private let write: @Sendable (_ line: [UInt8]) -> Void

    package init(_ write: @escaping @Sendable (_ line: [UInt8]) -> Void) {
        self.write = write
    }

    package static let standardError = LogDestination { line in writeAll(line, to: STDERR_FILENO) }

    /// Appends to the file at `path`, made with mode 0640 if it is not there. The file stays open as long as the process.
    package static func file(_ path: String) throws(TeleportError) -> LogDestination {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else {
            let code = errno
            throw TeleportError(.systemError, "cannot open the log file \(path): \(unsafe String(cString: strerror(code)))", code: code)
        }
        return LogDestination { line in writeAll(line, to: descriptor) }
    }

    package func writeLine(_ line: String) {
        write(Array(line.utf8) + [UInt8(ascii: "\n")])
    }

    /// A log that cannot be written (a full disk, a closed pipe) must not stop the service: what is left of the line is dropped.
    private static func writeAll(_ line: [UInt8], to descriptor: Int32) {
        var offset = 0
        while offset < line.count {
            let written = unsafe line.withUnsafeBytes { bytes in
                unsafe Glibc.write(descriptor, bytes.baseAddress?.advanced(by: offset), bytes.count - offset)
            }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { return }
            offset += written
        }
    }
}
