/// A moment of the monotonic clock, in nanoseconds since an arbitrary start.
package struct Instant: Comparable, Hashable, Sendable {
    package let nanoseconds: UInt64

    package init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    package static func < (left: Instant, right: Instant) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The moment `duration` later; a sum past the end of time stays at the end.
    package static func + (left: Instant, duration: Duration) -> Instant {
        let (sum, overflow) = left.nanoseconds.addingReportingOverflow(duration.clampedNanoseconds)
        return Instant(nanoseconds: overflow ? .max : sum)
    }

    /// How long from `right` to `left`; zero where `left` is the earlier.
    package static func - (left: Instant, right: Instant) -> Duration {
        left > right ? .nanoseconds(Int64(clamping: left.nanoseconds - right.nanoseconds)) : .zero
    }
}

/// A moment of the wall clock, in seconds since 1970-01-01 00:00 UTC: what certificates and tokens are dated with.
package struct UnixTime: Comparable, Hashable, Sendable, Codable {
    package let seconds: Int64

    package init(seconds: Int64) {
        self.seconds = seconds
    }

    package init(from decoder: any Decoder) throws {
        seconds = try decoder.singleValueContainer().decode(Int64.self)
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(seconds)
    }

    package static func < (left: UnixTime, right: UnixTime) -> Bool { left.seconds < right.seconds }

    /// The moment `duration` later, in whole seconds.
    package static func + (left: UnixTime, duration: Duration) -> UnixTime {
        let (sum, overflow) = left.seconds.addingReportingOverflow(duration.components.seconds)
        return UnixTime(seconds: overflow ? (duration < .zero ? .min : .max) : sum)
    }
}

/// Where a service reads the time: one injected value.
package protocol Clock: Sendable {
    func now() -> Instant
    func wallTime() -> UnixTime
}

extension Duration {
    /// Whole nanoseconds, clamped to what 64 bits hold; a negative duration is 0.
    package var clampedNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (product, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return .max }
        let (sum, carried) = product.addingReportingOverflow(UInt64(attoseconds) / 1_000_000_000)
        return carried ? .max : sum
    }

    /// Milliseconds, rounded up, so that a timer never fires early.
    package var clampedMilliseconds: UInt64 {
        let nanoseconds = clampedNanoseconds
        return nanoseconds / 1_000_000 + (nanoseconds % 1_000_000 == 0 ? 0 : 1)
    }
}
