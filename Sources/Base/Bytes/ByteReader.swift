/// Why bytes are not what RFC 4251 §5 says they should be.
package enum WireError: Error, Equatable, Sendable {
    /// Fewer bytes are left than the type needs.
    case truncated(needed: Int)
    /// Bytes are left after the last field.
    case trailingBytes(Int)
    /// A `string` that must be text is not UTF-8.
    case notUTF8
    /// An `mpint` that is negative or has needless leading zeros.
    case badMPInt
    /// A name in a name-list is empty, longer than 64 bytes or not printable US-ASCII (RFC 4251 §6).
    case badName
    /// A length or count above what this field may have.
    case tooLong(Int)
    /// A field holds a value that its type does not allow.
    case badValue(String)
}

/// Reads the wire types of RFC 4251 §5 from borrowed bytes.
package struct ByteReader: ~Escapable {
    private let bytes: Span<UInt8>
    /// Bytes read so far: `0...bytes.count`.
    package private(set) var offset = 0

    @_lifetime(copy bytes)
    package init(_ bytes: Span<UInt8>) {
        self.bytes = bytes
    }

    package var remaining: Int { bytes.count - offset }

    private func need(_ count: Int) throws(WireError) {
        guard count <= remaining else { throw .truncated(needed: count - remaining) }
    }

    package mutating func readByte() throws(WireError) -> UInt8 {
        try need(1)
        defer { offset += 1 }
        return bytes[offset]
    }

    /// `boolean`: any value but 0 is true.
    package mutating func readBoolean() throws(WireError) -> Bool {
        try readByte() != 0
    }

    /// A big-endian `uint32`. Nothing is consumed on failure.
    package mutating func readUInt32() throws(WireError) -> UInt32 {
        try need(4)
        defer { offset += 4 }
        var value: UInt32 = 0
        for index in 0..<4 { value = value << 8 | UInt32(bytes[offset + index]) }
        return value
    }

    package mutating func readUInt64() throws(WireError) -> UInt64 {
        try need(8)
        defer { offset += 8 }
        var value: UInt64 = 0
        for index in 0..<8 { value = value << 8 | UInt64(bytes[offset + index]) }
        return value
    }

    /// The next `count` bytes, borrowed.
    @_lifetime(copy self)
    package mutating func readSpan(count: Int) throws(WireError) -> Span<UInt8> {
        try need(count)
        defer { offset += count }
        return bytes.extracting(offset..<offset + count)
    }

    /// A `string`, borrowed.
    @_lifetime(copy self)
    package mutating func readStringSpan() throws(WireError) -> Span<UInt8> {
        let start = offset
        let count = Int(try readUInt32())
        guard count <= remaining else {
            offset = start
            throw .truncated(needed: count - (bytes.count - start - 4))
        }
        return try readSpan(count: count)
    }

    /// A `string`, copied.
    ///
    /// - Parameter max: the most bytes this field may have.
    package mutating func readString(max: Int = .max) throws(WireError) -> [UInt8] {
        let span = try readStringSpan()
        guard span.count <= max else { throw .tooLong(span.count) }
        return Array(copying: span)
    }

    /// A `string` that must be valid UTF-8.
    package mutating func readText(max: Int = .max) throws(WireError) -> String {
        let raw = try readString(max: max)
        guard let text = String(validating: raw, as: UTF8.self) else { throw .notUTF8 }
        return text
    }

    /// The magnitude of a positive `mpint`, without leading zeros.
    package mutating func readMPInt(max: Int = 2048) throws(WireError) -> [UInt8] {
        var magnitude = try readString(max: max)
        guard let first = magnitude.first else { return [] }
        if first & 0x80 != 0 { throw .badMPInt }
        if first == 0 {
            guard magnitude.count > 1, magnitude[1] & 0x80 != 0 else { throw .badMPInt }
            magnitude.removeFirst()
        }
        return magnitude
    }

    /// A `name-list` of at most `max` names.
    package mutating func readNameList(max: Int = 256) throws(WireError) -> [String] {
        let raw = try readStringSpan()
        if raw.isEmpty { return [] }
        var names: [String] = []
        var name: [UInt8] = []
        for index in 0...raw.count {
            if index == raw.count || raw[index] == UInt8(ascii: ",") {
                guard !name.isEmpty, name.count <= 64 else { throw .badName }
                guard names.count < max else { throw .tooLong(names.count + 1) }
                names.append(String(decoding: name, as: UTF8.self))
                name.removeAll(keepingCapacity: true)
            } else {
                guard raw[index] > 0x20, raw[index] < 0x7f else { throw .badName }
                name.append(raw[index])
            }
        }
        return names
    }

    /// All that is left, copied.
    package mutating func readRest() -> [UInt8] {
        defer { offset = bytes.count }
        return Array(copying: bytes.extracting(offset..<bytes.count))
    }

    /// Says that every field has been read.
    package func finish() throws(WireError) {
        guard remaining == 0 else { throw .trailingBytes(remaining) }
    }
}
