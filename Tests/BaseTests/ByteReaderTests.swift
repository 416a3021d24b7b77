import Base
import Testing

@Suite("RFC 4251 §5 wire types")
struct ByteReaderTests {
    struct MPInt: Sendable, CustomTestStringConvertible {
        let name: String
        let magnitude: [UInt8]
        let encoded: [UInt8]
        var testDescription: String { name }
    }

    /// The positive examples of RFC 4251 §5.
    static let mpints = [
        MPInt(name: "0", magnitude: [], encoded: [0, 0, 0, 0]),
        MPInt(
            name: "9a378f9b2e332a7", magnitude: [0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7],
            encoded: [0, 0, 0, 8, 0x09, 0xa3, 0x78, 0xf9, 0xb2, 0xe3, 0x32, 0xa7]),
        MPInt(name: "80", magnitude: [0x80], encoded: [0, 0, 0, 2, 0x00, 0x80]),
    ]

    @Test(arguments: mpints)
    func `mpint is written and read as the RFC's examples`(vector: MPInt) throws {
        var writer = ByteWriter()
        writer.writeMPInt(vector.magnitude)
        let bytes = writer.finish()
        #expect(bytes == vector.encoded)
        var reader = ByteReader(bytes.span)
        let magnitude = try reader.readMPInt()
        #expect(magnitude == vector.magnitude)
    }

    @Test func `a string longer than what is left is refused and consumes nothing`() {
        let bytes: [UInt8] = [0, 0, 0, 3, 1, 2]
        var reader = ByteReader(bytes.span)
        do throws(WireError) {
            _ = try reader.readString()
            Issue.record("no error")
        } catch {
            #expect(error == .truncated(needed: 1))
        }
        #expect(reader.offset == 0)
    }

    @Test(arguments: ["a,,b", ",a", "a,", "a b", String(repeating: "x", count: 65)])
    func `a name-list with an empty, unprintable or overlong name is refused`(list: String) {
        var writer = ByteWriter()
        writer.writeText(list)
        let bytes = writer.finish()
        var reader = ByteReader(bytes.span)
        do throws(WireError) {
            _ = try reader.readNameList()
            Issue.record("no error")
        } catch {
            #expect(error == .badName)
        }
    }

    @Test func `a string of what is written in place has its length`() throws {
        var writer = ByteWriter()
        writer.writeByte(9)
        writer.writeString { writer in
            writer.writeRaw([UInt8](repeating: 7, count: 300))
            writer.writeString { _ in }
        }
        #expect(Array(writer.finish().prefix(6)) == [9, 0, 0, 1, 0x30, 7])
    }

    @Test func `base 64 round-trips every length and refuses stray bits`() {
        for count in 0..<20 {
            let bytes = SeededRandomness(seed: UInt64(count)).bytes(count)
            #expect(Base64.decode(Base64.encode(bytes)) == bytes)
            #expect(Base64.decode(Base64.encode(bytes, padded: false)) == bytes)
        }
        #expect(Base64.decode("QQ=!") == nil)
        #expect(Base64.decode("QR==") == nil)
    }
}
