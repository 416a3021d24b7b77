package import Base

/// A point in the history of a store: every write has a higher one than all before it.
package struct Revision: Comparable, Hashable, Sendable, Codable {
    package let number: Int64

    package init(_ number: Int64) {
        self.number = number
    }

    /// Before every write.
    package static let zero = Revision(0)

    package static func < (left: Revision, right: Revision) -> Bool { left.number < right.number }
}

/// What lies under a key.
package struct StoreItem: Equatable, Sendable {
    package let key: StoreKey
    package let value: [UInt8]
    /// Of the write that put it there.
    package let revision: Revision
    /// From this second on the item is not there any more; nil: it stays.
    package let expires: UnixTime?

    package init(key: StoreKey, value: [UInt8], revision: Revision, expires: UnixTime?) {
        self.key = key
        self.value = value
        self.revision = revision
        self.expires = expires
    }
}

/// The items under a prefix, in the order of their keys, as they were at one revision: watch from it and miss nothing.
package struct StoreRange: Equatable, Sendable {
    package let items: [StoreItem]
    package let revision: Revision

    package init(items: [StoreItem], revision: Revision) {
        self.items = items
        self.revision = revision
    }
}

/// Keys and values with revisions, expiry and watches.
///
/// What every store promises, and `StoreContractTests` holds it to:
/// - a write that returned is durable; one that threw changed nothing;
/// - the writes of one `commit` happen together or not at all, and nobody sees them half done;
/// - a reader sees every write that returned before it asked;
/// - an expired item is invisible from its second on, and is deleted, with an event, at the next sweep;
/// - a watch gives every event after its revision once and in order, or says that they are gone.
///
/// All methods throw `TeleportError` with a ``StoreError`` as its cause.
package protocol KeyValueStore: Sendable {
    /// nil where there is no such item.
    func get(_ key: StoreKey) async throws(TeleportError) -> StoreItem?

    /// Everything under `prefix`.
    func range(_ prefix: StoreKey) async throws(TeleportError) -> StoreRange

    /// Does all the writes, in their order, where every condition holds; else throws for the first that does not.
    ///
    /// - Returns: the revision of the last one.
    func commit(_ writes: [StoreWrite]) async throws(TeleportError) -> Revision

    /// The events under `prefix` after `revision`, and those to come.
    ///
    /// - Parameter revision: nil begins with the next write; one that this store has not reached yet, as after a backup was put back, is
    ///   refused as ``StoreError/compacted(asked:oldest:)``.
    func watch(_ prefix: StoreKey, after revision: Revision?) async throws(TeleportError) -> StoreWatch

    /// Deletes what has expired; a store may also do so by itself, as it writes.
    ///
    /// - Returns: how many items it deleted.
    @discardableResult
    func sweepExpired() async throws(TeleportError) -> Int

    /// Finishes what was accepted, ends the watches, and refuses everything else from then on.
    func close() async
}

extension KeyValueStore {
    /// Puts a value whether or not there is one.
    @discardableResult
    package func put(_ key: StoreKey, _ value: [UInt8], ttl: Duration? = nil) async throws(TeleportError) -> Revision {
        try await commit([.put(key, value, ttl: ttl)])
    }

    /// Puts a value where there is none.
    ///
    /// - Throws: `AlreadyExists`.
    @discardableResult
    package func create(_ key: StoreKey, _ value: [UInt8], ttl: Duration? = nil) async throws(TeleportError) -> Revision {
        try await commit([.create(key, value, ttl: ttl)])
    }

    /// Replaces the value that was put by `expected`.
    ///
    /// - Throws: `CompareFailed` where another has come since or it is gone.
    @discardableResult
    package func compareAndSwap(
        _ key: StoreKey, expected: Revision, _ value: [UInt8], ttl: Duration? = nil
    ) async throws(TeleportError) -> Revision {
        try await commit([.swap(key, expected: expected, value, ttl: ttl)])
    }

    /// - Parameter expected: deletes only what this revision put; `CompareFailed` otherwise.
    /// - Throws: `NotFound` where there is nothing and no revision was expected.
    package func delete(_ key: StoreKey, expected: Revision? = nil) async throws(TeleportError) {
        _ = try await commit([.delete(key, expected: expected)])
    }

    /// Deletes what was under `prefix` when asked: in several transactions where there is much.
    ///
    /// - Returns: how many items there were.
    @discardableResult
    package func deleteAll(under prefix: StoreKey) async throws(TeleportError) -> Int {
        let items = try await range(prefix).items
        for start in stride(from: 0, to: items.count, by: StoreWrite.countMax) {
            _ = try await commit(items[start..<min(start + StoreWrite.countMax, items.count)].map { .deleteIfPresent($0.key) })
        }
        return items.count
    }
}
