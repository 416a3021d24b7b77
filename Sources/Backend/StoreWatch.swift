package import Base

/// What a write did to a key.
package enum StoreEvent: Equatable, Sendable {
    case put(StoreItem)
    case delete(StoreKey, Revision)

    package var key: StoreKey {
        switch self {
        case .put(let item): item.key
        case .delete(let key, _): key
        }
    }

    package var revision: Revision {
        switch self {
        case .put(let item): item.revision
        case .delete(_, let revision): revision
        }
    }
}

/// Some of the history: events under the watched prefix, and how far it was read.
package struct StoreHistory: Sendable {
    package let events: [StoreEvent]
    package let through: Revision

    package init(events: [StoreEvent], through: Revision) {
        self.events = events
        self.through = through
    }
}

/// The events under a prefix, in order, as an asynchronous sequence that ends when its task is cancelled or the store is closed.
///
/// It holds no queue that a slow reader could fill: it reads the store's history in batches and waits where that ends.
/// A reader so slow that the history was dropped before it gets ``StoreError/compacted(asked:oldest:)``.
package struct StoreWatch: AsyncSequence, Sendable {
    /// The most events read at once.
    package static let batchMax = 256

    package typealias Element = StoreEvent
    package typealias Failure = TeleportError

    private let start: Revision
    private let signal: RevisionSignal
    private let read: @Sendable (_ after: Revision, _ countMax: Int) async throws(TeleportError) -> StoreHistory

    package init(
        after start: Revision, signal: RevisionSignal,
        read: @escaping @Sendable (_ after: Revision, _ countMax: Int) async throws(TeleportError) -> StoreHistory
    ) {
        self.start = start
        self.signal = signal
        self.read = read
    }

    package func makeAsyncIterator() -> Iterator {
        Iterator(watch: self, position: start)
    }

    package struct Iterator: AsyncIteratorProtocol {
        fileprivate let watch: StoreWatch
        fileprivate var position: Revision
        private var batch: ArraySlice<StoreEvent> = []

        fileprivate init(watch: StoreWatch, position: Revision) {
            self.watch = watch
            self.position = position
        }

        package mutating func next(isolation actor: isolated (any Actor)?) async throws(TeleportError) -> StoreEvent? {
            while true {
                if let event = batch.popFirst() { return event }
                guard await watch.signal.wait(past: position) else { return nil }
                let history = try await watch.read(position, StoreWatch.batchMax)
                position = history.through
                batch = history.events[...]
            }
        }

        package mutating func next() async throws(TeleportError) -> StoreEvent? {
            try await next(isolation: #isolation)
        }
    }
}
