/// How many of something took how long. Recording allocates nothing.
package struct Histogram: Equatable, Sendable {
    /// In seconds, increasing; what is longer than the last is counted apart.
    let bounds: [Double]
    private(set) var counts: [UInt64]
    private(set) var sum: Double = 0

    package init(bounds: [Double]) {
        self.bounds = bounds
        counts = [UInt64](repeating: 0, count: bounds.count + 1)
    }

    package mutating func record(_ duration: Duration) {
        let seconds = duration.inSeconds
        counts[bounds.firstIndex { seconds <= $0 } ?? bounds.count] += 1
        sum += seconds
    }
}

extension Duration {
    package var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
