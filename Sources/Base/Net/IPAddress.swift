/// An IPv4 or IPv6 address, without a zone.
package enum IPAddress: Hashable, Sendable, LosslessStringConvertible {
    case v4(UInt32)
    case v6(high: UInt64, low: UInt64)

    package static let loopback4 = IPAddress.v4(0x7f00_0001)
    package static let loopback6 = IPAddress.v6(high: 0, low: 1)
    package static let any4 = IPAddress.v4(0)
    package static let any6 = IPAddress.v6(high: 0, low: 0)

    /// Network order: 4 or 16 bytes, else nil.
    package init?(bytes: [UInt8]) {
        func word(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
        switch bytes.count {
        case 4: self = .v4(UInt32(word(0..<4)))
        case 16: self = .v6(high: word(0..<8), low: word(8..<16))
        default: return nil
        }
    }

    /// Four decimal numbers without leading zeros, or the text forms of RFC 4291 §2.2; no brackets, no zone.
    package init?(_ text: String) {
        if let v4 = Self.parse4(text[...]) {
            self = .v4(v4)
        } else if let groups = Self.parse6(text) {
            func word(_ range: Range<Int>) -> UInt64 { groups[range].reduce(0) { $0 << 16 | UInt64($1) } }
            self = .v6(high: word(0..<4), low: word(4..<8))
        } else {
            return nil
        }
    }

    /// Network order.
    package var bytes: [UInt8] {
        func split(_ word: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * (count - 1 - $0))) }
        }
        switch self {
        case .v4(let word): return split(UInt64(word), 4)
        case .v6(let high, let low): return split(high, 8) + split(low, 8)
        }
    }

    package var isLoopback: Bool {
        switch unmapped {
        case .v4(let word): word >> 24 == 127
        case .v6(let high, let low): high == 0 && low == 1
        }
    }

    /// 169.254.0.0/16 (RFC 3927), where clouds have their metadata, and fe80::/10 (RFC 4291 §2.5.6).
    package var isLinkLocal: Bool {
        switch unmapped {
        case .v4(let word): word >> 16 == 0xa9fe
        case .v6(let high, _): high >> 54 == 0xfe80 >> 6
        }
    }

    /// 0.0.0.0 and ::, which listen everywhere and are nobody's address.
    package var isUnspecified: Bool { self == .any4 || self == .any6 }

    /// The IPv4 address behind `::ffff:a.b.c.d`, which a dual-stack socket reports (RFC 4291 §2.5.5.2); else itself.
    package var unmapped: IPAddress {
        if case .v6(0, let low) = self, low >> 32 == 0xffff { return .v4(UInt32(truncatingIfNeeded: low)) }
        return self
    }

    /// RFC 5952 for IPv6.
    package var description: String {
        switch self {
        case .v4(let word):
            return (0..<4).map { String(word >> UInt32(24 - 8 * $0) & 255) }.joined(separator: ".")
        case .v6(let high, let low):
            if case .v4 = unmapped { return "::ffff:\(unmapped)" }
            return Self.format6((0..<8).map { UInt16(truncatingIfNeeded: ($0 < 4 ? high : low) >> UInt64(48 - 16 * ($0 % 4))) })
        }
    }

    private static func parse4(_ text: Substring) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var word: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                part.utf8.count == 1 || part.first != "0", let value = UInt8(part)
            else { return nil }
            word = word << 8 | UInt32(value)
        }
        return word
    }

    /// The eight groups, `::` filled in.
    private static func parse6(_ text: String) -> [UInt16]? {
        let halves = text.split(separator: "::", maxSplits: 2, omittingEmptySubsequences: false)
        guard (1...2).contains(halves.count) else { return nil }
        guard let head = groups(halves[0], mayEndInIPv4: halves.count == 1) else { return nil }
        guard halves.count == 2 else { return head.count == 8 ? head : nil }
        guard let tail = groups(halves[1], mayEndInIPv4: true), head.count + tail.count <= 7 else { return nil }
        return head + [UInt16](repeating: 0, count: 8 - head.count - tail.count) + tail
    }

    private static func groups(_ text: Substring, mayEndInIPv4: Bool) -> [UInt16]? {
        if text.isEmpty { return [] }
        var groups: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if mayEndInIPv4, index == parts.count - 1, let v4 = parse4(part) {
                groups += [UInt16(v4 >> 16), UInt16(v4 & 0xffff)]
                continue
            }
            guard (1...4).contains(part.utf8.count), part.first != "+", let value = UInt16(part, radix: 16) else { return nil }
            groups.append(value)
        }
        return groups.count <= 8 ? groups : nil
    }

    private static func format6(_ groups: [UInt16]) -> String {
        var longest = 0..<0
        var start = 0
        for index in 0...8 where index == 8 || groups[index] != 0 {
            if index - start > max(longest.count, 1) { longest = start..<index }
            start = index + 1
        }
        func text(_ range: Range<Int>) -> String { range.map { String(groups[$0], radix: 16) }.joined(separator: ":") }
        return longest.isEmpty ? text(0..<8) : text(0..<longest.lowerBound) + "::" + text(longest.upperBound..<8)
    }
}

/// Addresses with a common prefix: `10.0.0.0/8`, `fd00::/8`, or one address alone.
package struct AddressRange: Hashable, Sendable, LosslessStringConvertible {
    package let address: IPAddress
    package let prefixLength: Int

    /// nil for anything but an address, or an address, a slash and a length that it can have.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(String(parts[0])) else { return nil }
        let bits = address.bytes.count * 8
        var length = bits
        if parts.count == 2 {
            guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let given = Int(parts[1]), given <= bits else { return nil }
            length = given
        }
        self.address = address
        prefixLength = length
    }

    /// Whether `candidate`, unmapped, begins with the range's prefix.
    package func contains(_ candidate: IPAddress) -> Bool {
        let bytes = candidate.unmapped.bytes
        let own = address.bytes
        guard bytes.count == own.count else { return false }
        let whole = prefixLength / 8
        guard bytes[..<whole] == own[..<whole] else { return false }
        let rest = prefixLength % 8
        return rest == 0 || (bytes[whole] ^ own[whole]) >> UInt8(8 - rest) == 0
    }

    package var description: String { "\(address)/\(prefixLength)" }
}
