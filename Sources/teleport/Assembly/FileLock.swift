import Base
import EventLoop

/// A file that one process holds at a time, for as long as this object lives.
final class FileLock: Sendable {
    private let file: FileDescriptor

    private init(_ file: consuming FileDescriptor) {
        self.file = file
    }

    /// - Parameter busy: what to say where another process holds it.
    static func hold(_ path: String, busy: String) throws(TeleportError) -> FileLock {
        do throws(TeleportError) {
            return FileLock(try FileIO.lock(path))
        } catch {
            throw error.kind == .alreadyAcquired ? TeleportError(.alreadyAcquired, busy, cause: error) : error
        }
    }
}
