/// Appends the wire types of RFC 4251 §5 to an owned buffer.
package struct ByteWriter: ~Copyable {
    package private(set) var bytes: [UInt8]

    package init(capacity: Int = 64) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    package var count: Int { bytes.count }

    package mutating func writeByte(_ value: UInt8) {
        bytes.append(value)
    }

    package mutating func writeBoolean(_ value: Bool) {
        bytes.append(value ? 1 : 0)
    }

    package mutating func writeUInt32(_ value: UInt32) {
        for shift in stride(from: 24, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift))) }
    }

    package mutating func writeUInt64(_ value: UInt64) {
        for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift))) }
    }

    /// Bytes as they are, with no length before them.
    package mutating func writeRaw(_ raw: [UInt8]) {
        bytes.append(contentsOf: raw)
    }

    package mutating func writeRaw(_ raw: Span<UInt8>) {
        bytes.append(copying: raw)
    }

    /// A `string`.
    package mutating func writeString(_ raw: [UInt8]) {
        writeUInt32(UInt32(raw.count))
        bytes.append(contentsOf: raw)
    }

    package mutating func writeString(_ raw: Span<UInt8>) {
        writeUInt32(UInt32(raw.count))
        writeRaw(raw)
    }

    /// A `string` of all that `body` writes, in place.
    package mutating func writeString(_ body: (inout ByteWriter) -> Void) {
        let start = bytes.count
        writeUInt32(0)
        body(&self)
        let length = UInt32(bytes.count - start - 4)
        for index in 0..<4 { bytes[start + index] = UInt8(truncatingIfNeeded: length >> UInt32(24 - 8 * index)) }
    }

    /// A `string` of UTF-8 text.
    package mutating func writeText(_ text: String) {
        writeUInt32(UInt32(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    /// A positive `mpint` from its magnitude.
    package mutating func writeMPInt(_ magnitude: [UInt8]) {
        let trimmed = magnitude.drop { $0 == 0 }
        let padded = (trimmed.first ?? 0) & 0x80 != 0
        writeUInt32(UInt32(trimmed.count + (padded ? 1 : 0)))
        if padded { bytes.append(0) }
        bytes.append(contentsOf: trimmed)
    }

    package mutating func writeNameList(_ names: [String]) {
        writeText(names.joined(separator: ","))
    }

    package consuming func finish() -> [UInt8] {
        bytes
    }
}
