/// What a figure is called, what it means, and how it moves.
package struct Metric: Sendable {
    package enum Kind: String, Sendable {
        /// Only grows while the process runs; its name ends in `_total`.
        case counter
        case gauge
        case histogram
    }

    package let kind: Kind
    package let name: String
    package let help: String

    /// - Parameter name: with the unit at its end, in seconds or bytes.
    package init(_ kind: Kind, _ name: String, _ help: String) {
        precondition(
            !name.isEmpty && name.utf8.allSatisfy { $0 == UInt8(ascii: "_") || (0x61...0x7a).contains($0) }, "a metric named \(name)")
        precondition((kind == .counter) == name.hasSuffix("_total"), "a counter ends in _total, and nothing else does: \(name)")
        self.kind = kind
        self.name = name
        self.help = help
    }
}
