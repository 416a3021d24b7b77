internal import Base
internal import CLibuv
internal import Glibc
internal import Synchronization

/// Brings Swift jobs to the loop's thread: the one thread boundary of a loop.
///
/// Jobs from other threads go into a locked list with one wake-up a batch; jobs from the loop's own thread go into a plain list that is
/// emptied before the loop polls again.
@safe
final class LoopQueue: @unchecked Sendable {
    enum Job {
        /// A job of the actor.
        case isolated(UnownedJob)
        /// A job of a task that prefers this loop and is isolated to nobody.
        case preferring(UnownedJob)
        case body(@Sendable () -> Void)
    }

    private struct Inbox {
        var jobs: [Job] = []
        var isWakeUpSent = false
        var isClosed = false
    }

    let uv: UnsafeMutablePointer<uv_loop_t>
    private let wakeUp: UnsafeMutablePointer<uv_async_t>
    private let inbox = Lock(Inbox())
    /// `pthread_self` of the loop's thread, 0 before it runs.
    private let thread = Atomic<UInt>(0)
    /// Touched by the loop's thread alone.
    private var ownJobs: [Job] = []

    init() {
        unsafe uv = .allocate(capacity: 1)
        unsafe wakeUp = .allocate(capacity: 1)
        var code = unsafe uv_loop_init(uv)
        precondition(code == 0, "uv_loop_init failed")
        // The jobs are run by the turn that follows.
        code = unsafe uv_async_init(uv, wakeUp) { _ in }
        precondition(code == 0, "uv_async_init failed")
    }

    deinit {
        unsafe wakeUp.deallocate()
        unsafe uv.deallocate()
    }

    var isOnThread: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    func becomeCurrentThread() {
        let (isFirst, _) = thread.compareExchange(expected: 0, desired: UInt(pthread_self()), ordering: .relaxed)
        precondition(isFirst, "a loop runs once")
    }

    func enqueue(_ body: @escaping @Sendable () -> Void) {
        enqueue(.body(body))
    }

    func enqueue(_ job: Job) {
        if isOnThread {
            ownJobs.append(job)
            return
        }
        inbox.withLock { inbox in
            inbox.jobs.append(job)
            if !inbox.isWakeUpSent, !inbox.isClosed {
                inbox.isWakeUpSent = true
                unsafe uv_async_send(wakeUp)
            }
        }
    }

    /// Runs what is waiting; what the jobs enqueue waits for the next call.
    ///
    /// - Returns: whether there was anything.
    func runJobs(serial: UnownedSerialExecutor, task: UnownedTaskExecutor) -> Bool {
        var batch = inbox.withLock { inbox in
            inbox.isWakeUpSent = false
            guard !inbox.jobs.isEmpty else { return [Job]() }
            defer { inbox.jobs = [] }
            return inbox.jobs
        }
        if batch.isEmpty {
            swap(&batch, &ownJobs)
        } else {
            batch += ownJobs
            ownJobs.removeAll(keepingCapacity: true)
        }
        for job in batch {
            switch job {
            case .isolated(let job):
                unsafe job.runSynchronously(isolatedTo: serial, taskExecutor: task)
            case .preferring(let job): unsafe job.runSynchronously(on: task)
            case .body(let body): body()
            }
        }
        return !batch.isEmpty
    }

    /// Makes the next poll return at once. For the loop's thread.
    func pollAgain() {
        unsafe uv_async_send(wakeUp)
    }

    /// No wake-up is sent from here on; the loop's thread then closes the loop.
    func close() {
        inbox.withLock { $0.isClosed = true }
        unsafe uv_close(UnsafeMutableRawPointer(wakeUp).assumingMemoryBound(to: uv_handle_t.self), nil)
    }
}
