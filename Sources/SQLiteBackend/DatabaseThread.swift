internal import Backend
internal import Base
internal import Glibc

/// The thread that owns the database; nothing here leaves it.
///
/// All the writes that wait when it comes round are done in one transaction, with one sync of the disk: under load the price of
/// durability is shared, and nobody is answered before it is paid.
final class DatabaseThread {
    /// The most expired items that go with a transaction of others, so that these do not wait long.
    static let sweepCountMax = 64

    private let queue: DatabaseQueue
    private let tables: SQLiteTables
    private let clock: any Clock
    private let signal: RevisionSignal

    private init(queue: DatabaseQueue, tables: SQLiteTables, clock: any Clock, signal: RevisionSignal) {
        self.queue = queue
        self.tables = tables
        self.clock = clock
        self.signal = signal
    }

    /// Starts the thread, which ends when the queue is closed.
    static func start(_ queue: DatabaseQueue, tables: sending SQLiteTables, clock: any Clock, signal: RevisionSignal) throws(StoreError) {
        let context = unsafe Unmanaged.passRetained(DatabaseThread(queue: queue, tables: tables, clock: clock, signal: signal))
        var thread = pthread_t()
        let code = unsafe pthread_create(&thread, nil, databaseThreadMain, context.toOpaque())
        guard code == 0 else {
            unsafe context.release()
            throw DatabaseQueue.failure("pthread_create", code: code)
        }
        pthread_detach(thread)
    }

    fileprivate func run() {
        while true {
            let jobs = queue.take()
            if jobs.contains(where: \.writes) { write(jobs, now: clock.wallTime()) }
            for case .read(let body) in jobs { body(tables) }
            for case .close(let done) in jobs {
                signal.close()
                return done()
            }
        }
    }

    /// Does all the writing jobs in one transaction, then answers them.
    private func write(_ jobs: [DatabaseQueue.Job], now: UnixTime) {
        var answers: [() -> Void] = []
        do throws(StoreError) {
            let revision = try tables.transaction { () throws(StoreError) in
                let before = try tables.bounds().latest
                var latest = before
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
                _ = try tables.sweep(latest: &latest, now: now, countMax: DatabaseThread.sweepCountMax)
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
}

extension DatabaseQueue.Job {
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
