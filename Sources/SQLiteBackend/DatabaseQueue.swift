internal import Backend
internal import Base
internal import Glibc

/// What waits for the database's thread: any thread adds to it, that one takes.
final class DatabaseQueue: Sendable {
    enum Job: Sendable {
        case write([StoreWrite], @Sendable (Result<Revision, StoreError>) -> Void)
        case sweep(@Sendable (Result<Int, StoreError>) -> Void)
        case read(@Sendable (SQLiteTables) -> Void)
        case close(@Sendable () -> Void)
    }

    /// The most jobs that wait: more callers than a cluster has services are a fault of ours, and are refused.
    static let waitingMax = 8192

    private struct State {
        var waiting: [Job] = []
        var isClosed = false
    }

    private let state = Lock(State())
    /// A pipe with a byte in it while jobs wait.
    private let readEnd: Int32
    private let writeEnd: Int32

    init() throws(StoreError) {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw DatabaseQueue.failure("pipe") }
        readEnd = ends[0]
        writeEnd = ends[1]
        guard ends.allSatisfy({ fcntl($0, F_SETFD, FD_CLOEXEC) == 0 }) else { throw DatabaseQueue.failure("fcntl") }
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// Queues a job; it is not called where this throws.
    func submit(_ job: Job) throws(StoreError) {
        let isFirst = try state.withLock { (state) throws(StoreError) -> Bool in
            if state.isClosed { throw .closed }
            if case .close = job {
                state.isClosed = true
            } else if state.waiting.count >= DatabaseQueue.waitingMax {
                throw .tooLarge("more than \(DatabaseQueue.waitingMax) requests wait for the database")
            }
            state.waiting.append(job)
            return state.waiting.count == 1
        }
        guard isFirst else { return }
        var byte: UInt8 = 0
        while unsafe write(writeEnd, &byte, 1) < 0 {
            precondition(errno == EINTR, "the pipe never fills: it has a byte for jobs that nobody took")
        }
    }

    /// Waits until there are jobs, and takes them all.
    func take() -> [Job] {
        var byte: UInt8 = 0
        while unsafe read(readEnd, &byte, 1) < 0 {
            precondition(errno == EINTR, "the pipe is open as long as the queue")
        }
        return state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
    }

    static func failure(_ call: String, code: Int32 = errno) -> StoreError {
        .failed(name: call, message: unsafe String(cString: strerror(code)))
    }
}
