import Base
import Testing

/// A text and the text that its value prints, or nil where it is none.
struct TextVector: Sendable, CustomTestStringConvertible {
    let text: String
    let printed: String?

    init(_ text: String, _ printed: String?) {
        self.text = text
        self.printed = printed
    }

    var testDescription: String { text }
}

@Suite("IPAddress and AddressRange")
struct IPAddressTests {
    /// RFC 4291 §2.2 and RFC 5952 §4.
    static let vectors = [
        TextVector("0.0.0.0", "0.0.0.0"), TextVector("255.255.255.255", "255.255.255.255"), TextVector("127.0.0.1", "127.0.0.1"),
        TextVector("256.0.0.1", nil), TextVector("01.2.3.4", nil), TextVector("1.2.3", nil), TextVector("1.2.3.4.5", nil),
        TextVector("1.2.3.+4", nil), TextVector("", nil), TextVector(" 1.2.3.4", nil), TextVector("1..2.3", nil),
        TextVector("::", "::"), TextVector("::1", "::1"), TextVector("1::", "1::"), TextVector("2001:DB8::1", "2001:db8::1"),
        TextVector("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), TextVector("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        TextVector("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), TextVector("0:0:0:0:0:0:0:0", "::"),
        TextVector("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), TextVector("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
        TextVector("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), TextVector("1:2:3:4:5:6:7", nil), TextVector("1:2:3:4:5:6:7:8:9", nil),
        TextVector("1::2::3", nil), TextVector(":::", nil), TextVector(":1", nil), TextVector("1:", nil), TextVector("12345::", nil),
        TextVector("::+1", nil), TextVector("fe80::1%eth0", nil), TextVector("[::1]", nil), TextVector("1.2.3.4::", nil),
        TextVector("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), TextVector("1:2:3:4:5:6:7:8::", nil),
    ]

    @Test(arguments: vectors)
    func `a text is an address or is refused`(vector: TextVector) {
        #expect(IPAddress(vector.text)?.description == vector.printed)
    }

    @Test(arguments: vectors.filter { $0.printed != nil })
    func `bytes hold the same address`(vector: TextVector) throws {
        let address = try #require(IPAddress(vector.text))
        #expect(IPAddress(bytes: address.bytes) == address)
    }

    struct RangeVector: Sendable, CustomTestStringConvertible {
        let range: String
        let address: String
        let isInside: Bool
        var testDescription: String { "\(address) in \(range)" }
    }

    @Test(arguments: [
        RangeVector(range: "10.0.0.0/8", address: "10.255.0.1", isInside: true),
        RangeVector(range: "10.0.0.0/8", address: "11.0.0.0", isInside: false),
        RangeVector(range: "10.0.0.0/8", address: "::ffff:10.1.2.3", isInside: true),
        RangeVector(range: "192.168.1.128/25", address: "192.168.1.127", isInside: false),
        RangeVector(range: "192.168.1.128/25", address: "192.168.1.128", isInside: true),
        RangeVector(range: "1.2.3.4", address: "1.2.3.4", isInside: true),
        RangeVector(range: "1.2.3.4", address: "1.2.3.5", isInside: false),
        RangeVector(range: "0.0.0.0/0", address: "8.8.8.8", isInside: true),
        RangeVector(range: "0.0.0.0/0", address: "::1", isInside: false),
        RangeVector(range: "fd00::/8", address: "fdff::1", isInside: true),
        RangeVector(range: "fd00::/8", address: "fe00::1", isInside: false),
    ])
    func `a range is a prefix`(vector: RangeVector) throws {
        let range = try #require(AddressRange(vector.range))
        let address = try #require(IPAddress(vector.address))
        #expect(range.contains(address) == vector.isInside)
    }

    @Test(arguments: ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+8", "::/129", "/8", "a/8"])
    func `a bad range is refused`(text: String) {
        #expect(AddressRange(text) == nil)
    }
}

@Suite("SocketAddress and HostPort")
struct SocketAddressTests {
    @Test(arguments: [
        TextVector("1.2.3.4:22", "1.2.3.4:22"), TextVector("[::1]:22", "[::1]:22"), TextVector("/run/a.sock", "/run/a.sock"),
        TextVector("::1:22", nil), TextVector("1.2.3.4", nil), TextVector("1.2.3.4:", nil), TextVector("1.2.3.4:65536", nil),
        TextVector("[::1]", nil), TextVector("[::1]x:1", nil), TextVector("host:22", nil), TextVector("1.2.3.4:+1", nil),
    ])
    func `a text is a socket address or is refused`(vector: TextVector) {
        #expect(SocketAddress(vector.text)?.description == vector.printed)
    }

    @Test(arguments: [
        TextVector("db1:3022", "db1:3022"), TextVector("db1", "db1:22"), TextVector("[fd00::1]:1", "[fd00::1]:1"),
        TextVector("fd00::1", "[fd00::1]:22"),
        TextVector("[fd00::1]", "[fd00::1]:22"), TextVector(":22", nil), TextVector("", nil), TextVector("[x", nil),
    ])
    func `a default port fills in`(vector: TextVector) {
        #expect(HostPort(vector.text, defaultPort: 22)?.description == vector.printed)
    }
}
