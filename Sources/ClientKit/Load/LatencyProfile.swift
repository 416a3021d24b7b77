internal import Base

/// How long many requests took, in a memory that does not grow: buckets that widen with what they hold, so that no figure is off by more than 1 %.
///
///     0 … 127 ns: a bucket each │ beyond: 128 for every power of two
package struct LatencyProfile: Sendable {
    private var buckets = [Int](repeating: 0, count: (UInt64.bitWidth - Self.precisionBits + 1) << Self.precisionBits)
    package private(set) var count = 0
    package private(set) var longest: Duration = .zero

    private static let precisionBits = 7

    package init() {}

    package mutating func record(_ duration: Duration) {
        buckets[Self.bucket(of: duration.clampedNanoseconds)] += 1
        count += 1
        longest = max(longest, duration)
    }

    /// What `percent` of the requests did not exceed; zero where there were none.
    package func percentile(_ percent: Int) -> Duration {
        let wanted = (count * percent + 99) / 100
        var seen = 0
        for (bucket, count) in buckets.enumerated() where count > 0 {
            seen += count
            if seen >= wanted { return min(.nanoseconds(Int64(clamping: Self.last(of: bucket))), longest) }
        }
        return longest
    }

    private static func bucket(of nanoseconds: UInt64) -> Int {
        let shift = max(0, UInt64.bitWidth - nanoseconds.leadingZeroBitCount - precisionBits - 1)
        return shift << precisionBits + Int(nanoseconds >> shift)
    }

    /// The longest that a bucket holds.
    private static func last(of bucket: Int) -> UInt64 {
        let shift = max(0, bucket >> precisionBits - 1)
        return UInt64(bucket - shift << precisionBits) << shift | (1 << shift - 1)
    }
}
