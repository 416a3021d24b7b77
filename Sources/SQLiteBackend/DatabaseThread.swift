internal import Backend
internal import Base
internal import Glibc

/// The thread that owns the database, and the queue of what waits for it.
///
/// Everything that waits when the thread comes round is done in one transaction, with one sync of the disk: under load the price of
/// durability is shared, and nobody is answered before it is paid.
@safe
final class DatabaseThread: @unchecked Sendable {
    enum Job: Sendable {
        case write([StoreWrite], @Sendable (Result<Revision, StoreError>) -> Void)
        case sweep(@Sendable (Result<Int, StoreError>) -> Void)
        case read(@Sendable (SQLiteTables) -> Void)
        case close(@Sendable () -> Void)
    }

    /// The most jobs that wait: more callers than a cluster has services are a fault of ours, and are refused.
    static let waitingMax = 8192
    /// The most items that one sweep deletes, so that writers do not wait long for it.
    static let sweepCountMax = 1024
    /// How often the thread looks for what has expired while nobody asks for anything.
    static let sweepInterval: Duration = .seconds(2)

    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    // Under the mutex.
    private var waiting: [Job] = []
    private var isClosed = false
    // The thread's own.
    private let tables: SQLiteTables
    private let clock: any Clock
    private let signal: RevisionSignal

    init(tables: sending SQLiteTables, clock: any Clock, signal: RevisionSignal) {
        unsafe mutex = .allocate(capacity: 1)
        unsafe mutex.initialize(to: pthread_mutex_t())
        unsafe condition = .allocate(capacity: 1)
        unsafe condition.initialize(to: pthread_cond_t())
        var attributes = pthread_condattr_t()
        let codes = unsafe [
            pthread_mutex_init(mutex, nil),
            pthread_condattr_init(&attributes),
            pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC),
            pthread_cond_init(condition, &attributes),
            pthread_condattr_destroy(&attributes),
        ]
        precondition(codes.allSatisfy { $0 == 0 }, "no mutex or condition could be made")
        self.tables = tables
        self.clock = clock
        self.signal = signal
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe condition.deallocate()
        unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    /// Starts the thread, which keeps this object until it was closed.
    func start() throws(StoreError) {
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(self)
        let code = unsafe pthread_create(&thread, nil, databaseThreadMain, context.toOpaque())
        guard code == 0 else {
            unsafe context.release()
            throw .failed(name: "pthread_create", message: unsafe String(cString: strerror(code)))
        }
        pthread_detach(thread)
    }

    /// Queues a job; it is not called where this throws.
    func submit(_ job: Job) throws(StoreError) {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        if isClosed { throw .closed }
        if case .close = job {
            isClosed = true
        } else if waiting.count >= DatabaseThread.waitingMax {
            throw .tooLarge("more than \(DatabaseThread.waitingMax) requests wait for the database")
        }
        waiting.append(job)
        unsafe pthread_cond_signal(condition)
    }

    /// Returns what waits, nothing after ``sweepInterval``.
    private func take() -> [Job] {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        if waiting.isEmpty {
            var deadline = timespec()
            unsafe clock_gettime(CLOCK_MONOTONIC, &deadline)
            deadline.tv_sec += Int(DatabaseThread.sweepInterval.components.seconds)
            while waiting.isEmpty, unsafe pthread_cond_timedwait(condition, mutex, &deadline) == 0 {}
        }
        defer { waiting.removeAll(keepingCapacity: true) }
        return waiting
    }

    fileprivate func run() {
        while true {
            let jobs = take()
            let now = clock.wallTime()
            if jobs.isEmpty { sweepIdle(now: now) } else { write(jobs, now: now) }
            for case .read(let body) in jobs { body(tables) }
            for case .close(let done) in jobs {
                signal.close()
                return done()
            }
        }
    }

    /// Does all the writing jobs in one transaction, then answers them.
    private func write(_ jobs: [Job], now: UnixTime) {
        var answers: [() -> Void] = []
        do throws(StoreError) {
            guard jobs.contains(where: \.writes) else { return }
            let revision = try tables.transaction { () throws(StoreError) in
                var latest = try tables.bounds().latest
                let before = latest
                for job in jobs {
                    switch job {
                    case .write(let writes, let answer):
                        let result = try attempt { () throws(StoreError) in
                            try tables.apply(writes, latest: &latest, now: now)
                            return latest
                        }
                        answers.append { answer(result) }
                    case .sweep(let answer):
                        let count = try tables.sweep(latest: &latest, now: now, countMax: .max)
                        answers.append { answer(.success(count)) }
                    case .read, .close:
                        continue
                    }
                }
                if latest > before { try tables.trim(latest: latest) }
                return latest
            }
            signal.advance(to: revision)
            for answer in answers { answer() }
        } catch {
            // Nothing of the batch happened: every one of it hears the same.
            for job in jobs { job.fail(error) }
        }
    }

    /// A failed condition concerns one commit; a failed database concerns the whole batch and is thrown.
    private func attempt<Value>(_ body: () throws(StoreError) -> Value) throws(StoreError) -> Result<Value, StoreError> {
        do throws(StoreError) {
            return .success(try body())
        } catch {
            guard error.isCondition else { throw error }
            return .failure(error)
        }
    }

    /// Deletes what has expired, and notices what another process wrote.
    private func sweepIdle(now: UnixTime) {
        do throws(StoreError) {
            if try tables.hasExpired(now: now) {
                try tables.transaction { () throws(StoreError) in
                    var latest = try tables.bounds().latest
                    _ = try tables.sweep(latest: &latest, now: now, countMax: DatabaseThread.sweepCountMax)
                    try tables.trim(latest: latest)
                }
            }
            signal.advance(to: try tables.bounds().latest)
        } catch {
            // Expired items stay invisible without it, and the next turn tries again; callers hear of a broken database themselves.
            return
        }
    }
}

extension DatabaseThread.Job {
    fileprivate var writes: Bool {
        switch self {
        case .write, .sweep: true
        case .read, .close: false
        }
    }

    fileprivate func fail(_ error: StoreError) {
        switch self {
        case .write(_, let answer): answer(.failure(error))
        case .sweep(let answer): answer(.failure(error))
        case .read, .close: return
        }
    }
}

private func databaseThreadMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context = unsafe context else { preconditionFailure("the thread has lost its queue") }
    unsafe Unmanaged<DatabaseThread>.fromOpaque(context).takeRetainedValue().run()
    return nil
}
