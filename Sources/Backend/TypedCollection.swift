package import Base
internal import FoundationEssentials

/// A resource as it lies in the store.
package struct Stored<Value: Sendable>: Sendable {
    package let name: String
    package let value: Value
    /// What to expect when it is replaced.
    package let revision: Revision
    package let expires: UnixTime?
}

extension Stored: Equatable where Value: Equatable {}

/// The resources of one kind: JSON objects under a prefix, by name.
package struct TypedCollection<Value: Codable & Sendable>: Sendable {
    /// How often `modify` tries again when others write the same item meanwhile.
    package static var attemptsMax: Int { 16 }

    package let store: any KeyValueStore
    package let prefix: StoreKey
    /// What people call one of them: `user`, `role`, `join token`.
    package let kind: String
    /// Whether the name itself must not appear in messages, as with tokens.
    private let isNameSecret: Bool

    package init(_ kind: String, in store: any KeyValueStore, under prefix: StoreKey, isNameSecret: Bool = false) {
        self.store = store
        self.prefix = prefix
        self.kind = kind
        self.isNameSecret = isNameSecret
    }

    package func key(_ name: String) throws(TeleportError) -> StoreKey {
        try prefix.appending(name)
    }

    /// nil where there is none of this name.
    package func find(_ name: String) async throws(TeleportError) -> Stored<Value>? {
        guard let item = try await store.get(try key(name)) else { return nil }
        return try decode(item)
    }

    /// - Throws: `NotFound` with the kind and name.
    package func get(_ name: String) async throws(TeleportError) -> Stored<Value> {
        guard let stored = try await find(name) else { throw .notFound("\(label(name)) is not found") }
        return stored
    }

    /// All of them, by name.
    package func list() async throws(TeleportError) -> [Stored<Value>] {
        try await listed().stored
    }

    /// All of them, and the revision to watch from.
    package func listed() async throws(TeleportError) -> (stored: [Stored<Value>], revision: Revision) {
        let range = try await store.range(prefix)
        var stored: [Stored<Value>] = []
        stored.reserveCapacity(range.items.count)
        for item in range.items { stored.append(try decode(item)) }
        return (stored, range.revision)
    }

    /// - Throws: `AlreadyExists`.
    @discardableResult
    package func create(_ name: String, _ value: Value, ttl: Duration? = nil) async throws(TeleportError) -> Revision {
        try await named(name) { () throws(TeleportError) in try await store.create(try key(name), try encode(value), ttl: ttl) }
    }

    @discardableResult
    package func put(_ name: String, _ value: Value, ttl: Duration? = nil) async throws(TeleportError) -> Revision {
        try await store.put(try key(name), try encode(value), ttl: ttl)
    }

    /// - Throws: `CompareFailed` where it changed since `expected`.
    @discardableResult
    package func replace(
        _ name: String, expected: Revision, _ value: Value, ttl: Duration? = nil
    ) async throws(TeleportError) -> Revision {
        try await named(name) { () throws(TeleportError) in
            try await store.compareAndSwap(try key(name), expected: expected, try encode(value), ttl: ttl)
        }
    }

    /// Changes the item that is there, again where another was faster; the time it has left stays as it is.
    ///
    /// - Returns: what was stored.
    /// - Throws: `NotFound`; what `change` throws.
    @discardableResult
    package func modify(
        _ name: String, now: UnixTime, _ change: (inout Value) throws(TeleportError) -> Void
    ) async throws(TeleportError) -> Value {
        for _ in 0..<Self.attemptsMax {
            let stored = try await get(name)
            var value = stored.value
            try change(&value)
            let ttl = stored.expires.map { Duration.seconds($0.seconds - now.seconds) }
            do throws(TeleportError) {
                try await store.compareAndSwap(try key(name), expected: stored.revision, try encode(value), ttl: ttl)
                return value
            } catch {
                guard error.kind == .compareFailed else { throw error }
            }
        }
        throw TeleportError(.compareFailed, "\(label(name)) is being changed by too many at once")
    }

    /// - Throws: `NotFound`; `CompareFailed` where it changed since `expected`.
    package func delete(_ name: String, expected: Revision? = nil) async throws(TeleportError) {
        try await named(name) { () throws(TeleportError) in try await store.delete(try key(name), expected: expected) }
    }

    /// The writes of these, to be done in one transaction with others.
    package func creating(_ name: String, _ value: Value, ttl: Duration? = nil) throws(TeleportError) -> StoreWrite {
        .create(try key(name), try encode(value), ttl: ttl)
    }

    package func putting(_ name: String, _ value: Value, ttl: Duration? = nil) throws(TeleportError) -> StoreWrite {
        .put(try key(name), try encode(value), ttl: ttl)
    }

    package func deleting(_ name: String, expected: Revision? = nil) throws(TeleportError) -> StoreWrite {
        .delete(try key(name), expected: expected)
    }

    package func encode(_ value: Value) throws(TeleportError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch {
            throw .badParameter("this \(kind) cannot be stored", cause: error)
        }
    }

    package func decode(_ item: StoreItem) throws(TeleportError) -> Stored<Value> {
        do {
            let value = try JSONDecoder().decode(Value.self, from: Data(item.value))
            return Stored(name: item.key.name, value: value, revision: item.revision, expires: item.expires)
        } catch {
            throw TeleportError(.systemError, "the stored \(label(item.key.name)) cannot be read", cause: error)
        }
    }

    private func label(_ name: String) -> String {
        isNameSecret ? "this \(kind)" : "\(kind) \(name)"
    }

    /// The store's errors in the words of this kind.
    private func named<Result>(
        _ name: String, _ body: () async throws(TeleportError) -> Result
    ) async throws(TeleportError) -> Result {
        do throws(TeleportError) {
            return try await body()
        } catch {
            switch error.storeError {
            case .exists: throw .alreadyExists("\(label(name)) already exists", cause: error)
            case .missing: throw .notFound("\(label(name)) is not found", cause: error)
            case .conflict: throw TeleportError(.compareFailed, "\(label(name)) has changed in the meantime", cause: error)
            default: throw error
            }
        }
    }
}
