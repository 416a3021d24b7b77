package import Backend
package import Base

/// The store of a single auth server: one SQLite file.
///
/// A thread of its own does all the work; callers wait without blocking theirs.
package final class SQLiteStore: KeyValueStore {
    private let queue: DatabaseQueue
    private let clock: any Clock
    private let signal: RevisionSignal

    /// Opens the file or makes it; blocks while it does.
    ///
    /// - Parameter historyMax: how many events are kept for watches.
    /// - Throws: `SystemError` with SQLite's name of the error.
    package init(path: String, clock: any Clock, historyMax: Int = 4096) throws(TeleportError) {
        do throws(StoreError) {
            let tables = try SQLiteTables(path: path, historyMax: historyMax)
            signal = RevisionSignal(latest: try tables.bounds().latest)
            queue = try DatabaseQueue()
            try DatabaseThread.start(queue, tables: tables, clock: clock, signal: signal)
        } catch {
            throw TeleportError(error)
        }
        self.clock = clock
    }

    deinit {
        // Without a close: what was accepted is still done, then the thread ends. A closed store refuses, which is as good.
        try? queue.submit(.close {})
    }

    package func get(_ key: StoreKey) async throws(TeleportError) -> StoreItem? {
        let now = clock.wallTime()
        return try await read { (tables) throws(StoreError) in try tables.item(key, now: now) }
    }

    package func range(_ prefix: StoreKey) async throws(TeleportError) -> StoreRange {
        let now = clock.wallTime()
        return try await read { (tables) throws(StoreError) in
            try tables.snapshot { () throws(StoreError) in try tables.range(prefix, now: now) }
        }
    }

    package func commit(_ writes: [StoreWrite]) async throws(TeleportError) -> Revision {
        do throws(StoreError) { try writes.verifySize() } catch { throw TeleportError(error) }
        return try await submit { .write(writes, $0) }
    }

    package func watch(_ prefix: StoreKey, after revision: Revision?) async throws(TeleportError) -> StoreWatch {
        let start = try await read { (tables) throws(StoreError) in
            let bounds = try tables.bounds()
            let start = revision ?? bounds.latest
            guard start <= bounds.latest else { throw .compacted(asked: start, oldest: bounds.oldest) }
            return start
        }
        return StoreWatch(after: start, signal: signal) { [self] (after, countMax) throws(TeleportError) in
            try await read { (tables) throws(StoreError) in
                try tables.snapshot { () throws(StoreError) in
                    try tables.history(under: prefix, after: after, countMax: countMax)
                }
            }
        }
    }

    @discardableResult
    package func sweepExpired() async throws(TeleportError) -> Int {
        try await submit { .sweep($0) }
    }

    package func close() async {
        await withCheckedContinuation { continuation in
            do throws(StoreError) {
                try queue.submit(.close { continuation.resume() })
            } catch {
                // Closed before.
                continuation.resume()
            }
        }
    }

    private func read<Value: Sendable>(
        _ body: @escaping @Sendable (SQLiteTables) throws(StoreError) -> Value
    ) async throws(TeleportError) -> Value {
        try await submit { answer in
            .read { tables in
                do throws(StoreError) {
                    answer(.success(try body(tables)))
                } catch {
                    answer(.failure(error))
                }
            }
        }
    }

    private func submit<Value: Sendable>(
        _ job: (@escaping @Sendable (Result<Value, StoreError>) -> Void) -> DatabaseQueue.Job
    ) async throws(TeleportError) -> Value {
        let result = await withCheckedContinuation { (continuation: CheckedContinuation<Result<Value, StoreError>, Never>) in
            do throws(StoreError) {
                try queue.submit(job { continuation.resume(returning: $0) })
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
        do throws(StoreError) { return try result.get() } catch { throw TeleportError(error) }
    }
}
