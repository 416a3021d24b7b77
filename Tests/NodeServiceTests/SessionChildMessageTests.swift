import Base
import NodeService
import Testing

@Suite("SessionChildMessage")
struct SessionChildMessageTests {
    static let message = SessionChildMessage(
        account: LoginEnvironmentTests.account, arguments: [Array("-bash".utf8), [0xff, 0xfe]],
        environment: ["LANG=C"], hasTerminal: true)

    @Test func `reads what was written`() throws {
        #expect(try SessionChildMessage(decoding: Self.message.encoded()) == Self.message)
    }

    @Test func `is refused when it ends anywhere before its end, or after`() {
        let bytes = Self.message.encoded()
        for count in 0..<bytes.count {
            #expect(throws: WireError.self) { try SessionChildMessage(decoding: Array(bytes.prefix(count))) }
        }
        #expect(throws: WireError.trailingBytes(1)) { try SessionChildMessage(decoding: bytes + [0]) }
    }

    @Test func `a NUL in an argument is refused, since exec would cut there`() {
        var message = Self.message
        message.arguments.append([0x61, 0, 0x62])
        #expect(throws: WireError.badValue("NUL")) { try SessionChildMessage(decoding: message.encoded()) }
    }
}
