package import Base

/// Rates for each of many keys (an address, a user), in a table that has a bound.
///
/// When the table is full of keys that are in use, a key that is not in it takes from one bucket that all such keys share: a flood from many
/// addresses neither grows the table nor pushes out what is known of others.
package struct RateLimiter<Key: Hashable & Sendable>: Sendable {
    private let rates: [Rate]
    private let keysMax: Int
    private var buckets: [Key: [TokenBucket]] = [:]
    private var overflow: [TokenBucket]
    private var lastSweep: Instant

    /// - Parameters:
    ///   - rates: all of them hold at once; none means no limit.
    ///   - keysMax: 100,000 keys are some 10 MiB.
    package init(_ rates: [Rate], keysMax: Int = 100_000, now: Instant) {
        precondition(keysMax > 0, "a table has room for a key")
        self.rates = rates
        self.keysMax = keysMax
        overflow = rates.map { TokenBucket($0, now: now) }
        lastSweep = now
    }

    package var keyCount: Int { buckets.count }

    /// Whether `key` may go on; takes a token of each rate if so, and none if not.
    package mutating func admit(_ key: Key, now: Instant) -> Bool {
        if rates.isEmpty { return true }
        if var known = buckets[key] {
            defer { buckets[key] = known }
            return Self.take(&known, now)
        }
        if buckets.count >= keysMax { sweep(now) }
        guard buckets.count < keysMax else { return Self.take(&overflow, now) }
        var fresh = rates.map { TokenBucket($0, now: now) }
        defer { buckets[key] = fresh }
        return Self.take(&fresh, now)
    }

    /// Forgets what `key` has taken, as after a success.
    package mutating func forget(_ key: Key) {
        buckets[key] = nil
    }

    /// Full buckets say no more than none. At most one pass over the table in a hundredth of the shortest period.
    private mutating func sweep(_ now: Instant) {
        guard let shortest = rates.map(\.period).min(), now - lastSweep >= shortest / 100 else { return }
        lastSweep = now
        buckets = buckets.filter { !$0.value.allSatisfy { $0.isFull(now: now) } }
    }

    private static func take(_ buckets: inout [TokenBucket], _ now: Instant) -> Bool {
        guard buckets.allSatisfy({ $0.wait(now: now) == .zero }) else { return false }
        for index in buckets.indices { _ = buckets[index].take(now: now) }
        return true
    }
}

extension IPAddress {
    /// Whom a limit counts this address for: an IPv4 address itself, an IPv6 address by its /64, which one subscriber has whole.
    package var limited: IPAddress {
        if case .v6(let high, _) = unmapped { return .v6(high: high, low: 0) }
        return unmapped
    }
}
