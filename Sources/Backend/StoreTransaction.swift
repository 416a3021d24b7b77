package import Base

/// One write of a transaction and the condition under which it is done.
package struct StoreWrite: Equatable, Sendable {
    package enum Condition: Equatable, Sendable {
        case always, absent, present
        case revision(Revision)
    }

    package enum Change: Equatable, Sendable {
        /// - Parameter ttl: how long the item stays, in whole seconds, rounded up; nil: for ever.
        case put([UInt8], ttl: Duration?)
        case delete
        /// Only the condition counts.
        case none
    }

    /// The most writes of one transaction: what etcd takes by default.
    package static let countMax = 128
    /// The most bytes of one value: below what etcd takes in a request.
    package static let valueBytesMax = 1 << 20

    package let key: StoreKey
    package let condition: Condition
    package let change: Change

    package init(_ key: StoreKey, _ condition: Condition, _ change: Change) {
        self.key = key
        self.condition = condition
        self.change = change
    }

    package static func put(_ key: StoreKey, _ value: [UInt8], ttl: Duration? = nil) -> StoreWrite {
        StoreWrite(key, .always, .put(value, ttl: ttl))
    }

    package static func create(_ key: StoreKey, _ value: [UInt8], ttl: Duration? = nil) -> StoreWrite {
        StoreWrite(key, .absent, .put(value, ttl: ttl))
    }

    package static func swap(_ key: StoreKey, expected: Revision, _ value: [UInt8], ttl: Duration? = nil) -> StoreWrite {
        StoreWrite(key, .revision(expected), .put(value, ttl: ttl))
    }

    package static func delete(_ key: StoreKey, expected: Revision? = nil) -> StoreWrite {
        StoreWrite(key, expected.map(Condition.revision) ?? .present, .delete)
    }

    package static func deleteIfPresent(_ key: StoreKey) -> StoreWrite {
        StoreWrite(key, .always, .delete)
    }

    /// Nothing changes, but the transaction fails where the item is not the one that `expected` put.
    package static func check(_ key: StoreKey, expected: Revision) -> StoreWrite {
        StoreWrite(key, .revision(expected), .none)
    }

    /// Throws where the condition does not hold for what lies under the key.
    package func verify(found: Revision?) throws(StoreError) {
        switch condition {
        case .always: return
        case .absent: if found != nil { throw .exists(key) }
        case .present: if found == nil { throw .missing(key) }
        case .revision(let expected): if found != expected { throw .conflict(key, expected: expected, found: found) }
        }
    }

    /// When an item with this time to live expires.
    package static func expiry(ttl: Duration?, now: UnixTime) -> UnixTime? {
        guard let ttl else { return nil }
        let whole = Duration.seconds(ttl.components.seconds)
        return now + (ttl > whole ? whole + .seconds(1) : whole)
    }
}

extension [StoreWrite] {
    /// Refuses what no store would take.
    package func verifySize() throws(StoreError) {
        guard count <= StoreWrite.countMax else {
            throw .tooLarge("\(count) writes in one transaction, at most \(StoreWrite.countMax) are taken")
        }
        for write in self {
            guard case .put(let value, _) = write.change, value.count > StoreWrite.valueBytesMax else { continue }
            throw .tooLarge("the value of \(write.key) has \(value.count) bytes, at most \(StoreWrite.valueBytesMax) are kept")
        }
    }
}
