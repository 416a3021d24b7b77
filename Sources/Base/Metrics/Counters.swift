/// Named counts and levels that a service owns and the health endpoint reads.
///
/// Not for the data path, which keeps its own plain integers and adds them here now and then.
package final class Counters: Sendable {
    /// Names a service may use: enough for every counter with its reasons, and no way for a peer's text to grow the table.
    package static let namesMax = 512

    private let values = Lock<[String: Int64]>([:])

    package init() {}

    /// Adds to a count, which starts at 0. Past the most names, a new one is not counted.
    package func add(_ name: String, _ amount: Int64 = 1) {
        values.withLock { values in
            guard values[name] != nil || values.count < Self.namesMax else { return }
            let (sum, overflow) = values[name, default: 0].addingReportingOverflow(amount)
            values[name] = overflow ? .max : sum
        }
    }

    /// Sets a level.
    package func set(_ name: String, _ value: Int64) {
        values.withLock { values in
            guard values[name] != nil || values.count < Self.namesMax else { return }
            values[name] = value
        }
    }

    package subscript(name: String) -> Int64 {
        values.withLock { $0[name] ?? 0 }
    }

    /// Everything at one moment, by name.
    package var snapshot: [String: Int64] {
        values.withLock { $0 }
    }
}
