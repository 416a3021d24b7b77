/// How long to wait before the next attempt: exponential, capped, with full jitter.
///
/// Attempt *n* waits a random time in `0..<min(longest, first · 2ⁿ)`, so that many who failed together do not come back together.
package struct Backoff: Sendable {
    package let first: Duration
    package let longest: Duration
    /// Failures in a row.
    package private(set) var failures = 0

    package init(first: Duration, longest: Duration) {
        precondition(first > .zero && longest >= first, "a back-off that does not grow")
        self.first = first
        self.longest = longest
    }

    /// The longest that the next delay may be.
    package var ceiling: Duration {
        var ceiling = first
        for _ in 0..<failures {
            if ceiling >= longest { return longest }
            ceiling += ceiling
        }
        return min(ceiling, longest)
    }

    /// Counts a failure and says how long to wait after it.
    package mutating func next(_ randomness: some Randomness) -> Duration {
        let delay = Duration.nanoseconds(Int64(Double(ceiling.clampedNanoseconds) * randomness.unit()))
        failures += 1
        return delay
    }

    /// An attempt came through.
    package mutating func reset() {
        failures = 0
    }
}
