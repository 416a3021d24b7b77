/// Puts a name before every line of an output that comes in pieces.
package struct LinePrefix: Sendable {
    private let prefix: [UInt8]
    private var held: [UInt8] = []

    /// A line that is longer is cut into several.
    private static let lineBytesMax = 64 << 10

    package init(_ name: String) {
        prefix = Array("\(name): ".utf8)
    }

    /// The lines that are whole now.
    package mutating func feed(_ bytes: [UInt8]) -> [UInt8] {
        var output: [UInt8] = []
        for byte in bytes {
            held.append(byte)
            if byte == 0x0a || held.count >= Self.lineBytesMax { output += take() }
        }
        return output
    }

    /// What is left of the last line.
    package mutating func finish() -> [UInt8] {
        held.isEmpty ? [] : take()
    }

    private mutating func take() -> [UInt8] {
        if held.last != 0x0a { held.append(0x0a) }
        defer { held.removeAll(keepingCapacity: true) }
        return prefix + held
    }
}
