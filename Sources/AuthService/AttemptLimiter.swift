internal import Base
internal import Limits

/// Slows down guessing: a budget of failures for each source, which refills with time. What succeeds costs nothing and refills nothing.
final class AttemptLimiter: Sendable {
    /// A person who mistypes is not hindered; a guesser gets one attempt in three seconds, of 2^64 and more.
    private static let rate = Rate(20, per: .seconds(60), burst: 20)
    /// A bound for the table; past it whoever failed longest ago is forgotten.
    static let sourcesMax = 10_000

    private struct Budget {
        var bucket: TokenBucket
        var failed: Instant
    }

    private let clock: any Clock
    private let budgets = Lock<[String: Budget]>([:])

    init(clock: any Clock) {
        self.clock = clock
    }

    /// - Throws: `LimitExceeded` while the source has no budget left.
    func check(_ source: String) throws(TeleportError) {
        let now = clock.now()
        let wait = budgets.withLock { $0[source]?.bucket.wait(now: now) ?? .zero }
        guard wait == .zero else { throw .limitExceeded("too many failed attempts; try again later") }
    }

    func countFailure(_ source: String) {
        let now = clock.now()
        budgets.withLock { budgets in
            var budget = budgets[source] ?? Budget(bucket: TokenBucket(Self.rate, now: now), failed: now)
            _ = budget.bucket.take(now: now)
            budget.failed = now
            if budgets[source] == nil, budgets.count >= Self.sourcesMax, let oldest = budgets.min(by: { $0.value.failed < $1.value.failed })
            {
                budgets[oldest.key] = nil
            }
            budgets[source] = budget
        }
    }
}
