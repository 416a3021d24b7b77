internal import Base

/// When keys have been used enough (RFC 4253 §9, RFC 4344 §3).
struct RekeyPolicy: Sendable {
    private let limits: RekeyLimits
    private var since: Instant

    init(limits: RekeyLimits, now: Instant) {
        self.limits = limits
        since = now
    }

    /// New keys are in use in both directions.
    mutating func keysTaken(now: Instant) {
        since = now
    }

    /// - Parameters: of the direction that has carried more under the present keys.
    func isDue(bytes: UInt64, packets: UInt64) -> Bool {
        bytes >= limits.bytesMax || packets >= limits.packetsMax
    }

    var deadline: Instant { since + limits.intervalMax }
}
