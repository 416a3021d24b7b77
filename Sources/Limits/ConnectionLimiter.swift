package import Base

/// Connections that are open: in all, not yet authenticated, by address and by user.
///
/// Each connection is ``open(from:)``, perhaps ``authenticate(_:)``, then ``close(from:user:)`` once, whatever happened between.
package struct ConnectionLimiter: Sendable {
    package struct Maximum: Sendable, Equatable {
        package var connections: Int
        /// Strangers are few, so that a flood of them leaves room for those who are known.
        package var unauthenticated: Int
        package var perAddress: Int
        package var perUser: Int

        package init(connections: Int, unauthenticated: Int, perAddress: Int, perUser: Int) {
            self.connections = connections
            self.unauthenticated = unauthenticated
            self.perAddress = perAddress
            self.perUser = perUser
        }
    }

    package enum Refusal: Error, Equatable, Sendable {
        case connections, unauthenticated, perAddress, perUser
    }

    private let maximum: Maximum
    private var addresses: [IPAddress: Int] = [:]
    private var users: [String: Int] = [:]
    package private(set) var count = 0
    package private(set) var unauthenticatedCount = 0

    package init(_ maximum: Maximum) {
        self.maximum = maximum
    }

    /// Counts a connection that was accepted.
    ///
    /// - Parameter address: nil for a unix socket.
    /// - Throws: why the connection is to be closed at once; then it is not counted, and ``close(from:user:)`` is not called.
    package mutating func open(from address: IPAddress?) throws(Refusal) {
        guard count < maximum.connections else { throw .connections }
        guard unauthenticatedCount < maximum.unauthenticated else { throw .unauthenticated }
        if let address = address?.limited {
            guard addresses[address, default: 0] < maximum.perAddress else { throw .perAddress }
            addresses[address, default: 0] += 1
        }
        count += 1
        unauthenticatedCount += 1
    }

    /// Counts an open connection for its user.
    ///
    /// - Throws: ``Refusal/perUser``; the connection stays unauthenticated until it is closed.
    package mutating func authenticate(_ user: String) throws(Refusal) {
        precondition(unauthenticatedCount > 0, "more connections authenticated than opened")
        guard users[user, default: 0] < maximum.perUser else { throw .perUser }
        users[user, default: 0] += 1
        unauthenticatedCount -= 1
    }

    /// - Parameter user: of the ``authenticate(_:)`` that went well, else nil.
    package mutating func close(from address: IPAddress?, user: String?) {
        precondition(count > 0, "more connections closed than opened")
        count -= 1
        if let address = address?.limited { Self.release(&addresses, address) }
        if let user {
            Self.release(&users, user)
        } else {
            precondition(unauthenticatedCount > 0, "an authenticated connection closed without its user")
            unauthenticatedCount -= 1
        }
    }

    private static func release<Key: Hashable>(_ counts: inout [Key: Int], _ key: Key) {
        guard let held = counts[key] else { preconditionFailure("closed for somebody who has no connection open") }
        counts[key] = held > 1 ? held - 1 : nil
    }
}
