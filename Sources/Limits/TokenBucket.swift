package import Base

/// So many a period on average, and `burst` at once.
package struct Rate: Sendable, Hashable {
    package let period: Duration
    package let average: Int
    package let burst: Int

    package init(_ average: Int, per period: Duration, burst: Int) {
        precondition(average > 0 && burst > 0 && period > .zero, "a rate lets something through")
        self.average = average
        self.period = period
        self.burst = burst
    }

    /// Between two takers at the average rate.
    fileprivate var interval: Duration { period / average }
}

/// A bucket of ``Rate/burst`` tokens that fills at ``Rate/average`` a period, as one moment: when it will be full again
/// (the generic cell rate algorithm, ITU-T I.371).
package struct TokenBucket: Sendable {
    private let rate: Rate
    private var fullAt: Instant

    /// A full bucket.
    package init(_ rate: Rate, now: Instant) {
        self.rate = rate
        fullAt = now
    }

    /// Takes a token where there is one.
    package mutating func take(now: Instant) -> Bool {
        guard wait(now: now) == .zero else { return false }
        fullAt = max(fullAt, now) + rate.interval
        return true
    }

    /// How long until there is a token; zero where there is one.
    package func wait(now: Instant) -> Duration {
        let missing = fullAt - now
        let allowed = rate.interval * (rate.burst - 1)
        return missing > allowed ? missing - allowed : .zero
    }

    package func isFull(now: Instant) -> Bool {
        fullAt <= now
    }
}
