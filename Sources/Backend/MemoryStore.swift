package import Base

/// The store in memory: the reference that the others are compared with, and what tests use.
package final class MemoryStore: KeyValueStore {
    fileprivate struct State {
        var items: [StoreKey: StoreItem] = [:]
        var revision = Revision.zero
        /// The last events, oldest first; the first is of `oldest`.
        var events: [StoreEvent] = []
        var oldest = Revision(1)
        var isClosed = false
    }

    private let clock: any Clock
    private let historyMax: Int
    private let state = Lock(State())
    private let signal = RevisionSignal(latest: .zero)

    /// - Parameter historyMax: how many events are kept for watches.
    package init(clock: any Clock, historyMax: Int = 4096) {
        self.clock = clock
        self.historyMax = historyMax
    }

    package func get(_ key: StoreKey) async throws(TeleportError) -> StoreItem? {
        try open { state, now in
            state.items[key].flatMap { $0.isAlive(at: now) ? $0 : nil }
        }
    }

    package func range(_ prefix: StoreKey) async throws(TeleportError) -> StoreRange {
        try open { state, now in
            let items = state.items.values.filter { prefix.isPrefix(of: $0.key) && $0.isAlive(at: now) }
            return StoreRange(items: items.sorted { $0.key < $1.key }, revision: state.revision)
        }
    }

    package func commit(_ writes: [StoreWrite]) async throws(TeleportError) -> Revision {
        let revision = try open { (state, now) throws(StoreError) in
            try writes.verifySize()
            var next = state
            for write in writes {
                let found = next.items[write.key].flatMap { $0.isAlive(at: now) ? $0.revision : nil }
                try write.verify(found: found)
                switch write.change {
                case .none: continue
                case .put(let value, let ttl):
                    next.put(write.key, value, expires: StoreWrite.expiry(ttl: ttl, now: now))
                case .delete:
                    if next.items[write.key] != nil { next.remove(write.key) }
                }
            }
            next.trim(historyMax)
            state = next
            return state.revision
        }
        signal.advance(to: revision)
        return revision
    }

    package func watch(_ prefix: StoreKey, after revision: Revision?) async throws(TeleportError) -> StoreWatch {
        let start = try open { (state, _) throws(StoreError) in
            let start = revision ?? state.revision
            guard start <= state.revision else { throw .compacted(asked: start, oldest: state.oldest) }
            return start
        }
        return StoreWatch(after: start, signal: signal) { [self] (after, countMax) throws(TeleportError) in
            try history(under: prefix, after: after, countMax: countMax)
        }
    }

    @discardableResult
    package func sweepExpired() async throws(TeleportError) -> Int {
        let (count, revision) = try open { state, now in
            let expired = state.items.values.filter { !$0.isAlive(at: now) }.map(\.key).sorted()
            for key in expired { state.remove(key) }
            state.trim(historyMax)
            return (expired.count, state.revision)
        }
        signal.advance(to: revision)
        return count
    }

    package func close() async {
        state.withLock { $0.isClosed = true }
        signal.close()
    }

    private func history(under prefix: StoreKey, after: Revision, countMax: Int) throws(TeleportError) -> StoreHistory {
        try open { (state, _) throws(StoreError) in
            guard after.number + 1 >= state.oldest.number else { throw .compacted(asked: after, oldest: state.oldest) }
            let events = state.events.lazy.filter { $0.revision > after && prefix.isPrefix(of: $0.key) }.prefix(countMax)
            let batch = Array(events)
            let through = batch.count == countMax ? batch[countMax - 1].revision : state.revision
            return StoreHistory(events: batch, through: max(through, after))
        }
    }

    private func open<Result: Sendable>(
        _ body: (inout State, UnixTime) throws(StoreError) -> Result
    ) throws(TeleportError) -> Result {
        let now = clock.wallTime()
        do throws(StoreError) {
            return try state.withLock { (state) throws(StoreError) -> Result in
                if state.isClosed { throw .closed }
                return try body(&state, now)
            }
        } catch {
            throw TeleportError(error)
        }
    }
}

extension StoreItem {
    /// Whether the item is there at `now`.
    package func isAlive(at now: UnixTime) -> Bool {
        expires.map { now < $0 } ?? true
    }
}

extension MemoryStore.State {
    fileprivate mutating func put(_ key: StoreKey, _ value: [UInt8], expires: UnixTime?) {
        revision = Revision(revision.number + 1)
        let item = StoreItem(key: key, value: value, revision: revision, expires: expires)
        items[key] = item
        events.append(.put(item))
    }

    fileprivate mutating func remove(_ key: StoreKey) {
        revision = Revision(revision.number + 1)
        items[key] = nil
        events.append(.delete(key, revision))
    }

    fileprivate mutating func trim(_ historyMax: Int) {
        guard events.count > historyMax else { return }
        events.removeFirst(events.count - historyMax)
        oldest = events.first?.revision ?? Revision(revision.number + 1)
    }
}
