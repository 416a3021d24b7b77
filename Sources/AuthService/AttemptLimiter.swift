internal import Base

/// Slows down guessing: a budget of failures for each source, which refills with time. What succeeds costs nothing.
final class AttemptLimiter: Sendable {
    /// So many failures at once, then one every `refill`.
    static let burst = 20.0
    static let refillSeconds = 3.0
    /// A bound for the table; past it the oldest source is forgotten, which gives a guesser at most one more burst an address.
    static let sourcesMax = 10_000

    private struct Budget {
        var left: Double
        var at: Instant
    }

    private let clock: any Clock
    private let budgets = Lock<[String: Budget]>([:])

    init(clock: any Clock) {
        self.clock = clock
    }

    /// - Throws: `LimitExceeded` while the source has no budget left.
    func check(_ source: String) throws(TeleportError) {
        let now = clock.now()
        let left = budgets.withLock { Self.refilled($0[source], now).left }
        guard left >= 1 else { throw .limitExceeded("too many failed attempts; try again later") }
    }

    func countFailure(_ source: String) {
        let now = clock.now()
        budgets.withLock { budgets in
            var budget = Self.refilled(budgets[source], now)
            budget.left = max(0, budget.left - 1)
            if budgets[source] == nil, budgets.count >= Self.sourcesMax, let oldest = budgets.min(by: { $0.value.at < $1.value.at }) {
                budgets[oldest.key] = nil
            }
            budgets[source] = budget
        }
    }

    private static func refilled(_ budget: Budget?, _ now: Instant) -> Budget {
        guard let budget else { return Budget(left: burst, at: now) }
        let seconds = Double((now - budget.at).clampedNanoseconds) / 1e9
        return Budget(left: min(burst, budget.left + seconds / refillSeconds), at: now)
    }
}
