import Base
import SSHWire
import Testing

@Suite("The proxy's side of SOCKS")
struct SocksTests {
    struct Conversation: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let request: SocksRequest
        var output: [UInt8] = []
    }

    static let methods: [UInt8] = [5, 1, 0]
    static let conversations = [
        Conversation(
            testDescription: "SOCKS 5 with a name (RFC 1928 §4)", bytes: methods + [5, 1, 0, 3, 3] + Array("db1".utf8) + [0x15, 0x38],
            request: SocksRequest(version: .five, host: "db1", port: 5432), output: [5, 0]),
        Conversation(
            testDescription: "SOCKS 5 with an IPv4 address", bytes: [5, 2, 2, 0, 5, 1, 0, 1, 10, 0, 0, 7, 0, 80],
            request: SocksRequest(version: .five, host: "10.0.0.7", port: 80), output: [5, 0]),
        Conversation(
            testDescription: "SOCKS 5 with an IPv6 address",
            bytes: methods + [5, 1, 0, 4] + [UInt8](repeating: 0, count: 15) + [1, 0, 80],
            request: SocksRequest(version: .five, host: "::1", port: 80), output: [5, 0]),
        Conversation(
            testDescription: "SOCKS 4", bytes: [4, 1, 0, 80, 10, 0, 0, 7] + Array("me".utf8) + [0],
            request: SocksRequest(version: .four, host: "10.0.0.7", port: 80)),
        Conversation(
            testDescription: "SOCKS 4a", bytes: [4, 1, 0, 80, 0, 0, 0, 1, 0] + Array("db1".utf8) + [0],
            request: SocksRequest(version: .four, host: "db1", port: 80)),
    ]

    @Test(arguments: conversations)
    func `a request is read, however it is cut, and what follows it is the target's`(conversation: Conversation) throws {
        let bytes = conversation.bytes + Array("GET".utf8)
        for cut in 0...conversation.bytes.count {
            var negotiation = SocksNegotiation()
            let first = try negotiation.receive(Array(bytes[..<cut]).span)
            if cut == conversation.bytes.count {
                #expect(first.output == conversation.output && first.request == conversation.request && first.rest.isEmpty)
                continue
            }
            #expect(first.request == nil && first.rest.isEmpty)
            let second = try negotiation.receive(Array(bytes[cut...]).span)
            #expect(first.output + second.output == conversation.output)
            #expect(second.request == conversation.request && second.rest == Array("GET".utf8))
        }
    }

    struct Refusal: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let reply: [UInt8]
    }

    static let refusals = [
        Refusal(testDescription: "HTTP", bytes: Array("GET / HTTP/1.1".utf8), reply: []),
        Refusal(testDescription: "only methods with authentication", bytes: [5, 2, 1, 2], reply: [5, 0xff]),
        Refusal(testDescription: "no method at all", bytes: [5, 0], reply: [5, 0xff]),
        Refusal(testDescription: "BIND", bytes: methods + [5, 2, 0, 1, 0], reply: [5, 7, 0, 1, 0, 0, 0, 0, 0, 0]),
        Refusal(testDescription: "an address of type 2", bytes: methods + [5, 1, 0, 2, 0], reply: [5, 8, 0, 1, 0, 0, 0, 0, 0, 0]),
        Refusal(testDescription: "a request of version 4 behind methods", bytes: methods + [4, 1, 0, 80, 1], reply: []),
        Refusal(testDescription: "an empty name", bytes: methods + [5, 1, 0, 3, 0, 0, 80], reply: [5, 1, 0, 1, 0, 0, 0, 0, 0, 0]),
        Refusal(
            testDescription: "a name with a line break", bytes: methods + [5, 1, 0, 3, 2, 0x61, 0x0a, 0, 80],
            reply: [5, 1, 0, 1, 0, 0, 0, 0, 0, 0]),
        Refusal(testDescription: "SOCKS 4 BIND", bytes: [4, 2, 0, 80, 1, 2, 3, 4, 0], reply: [0, 0x5b, 0, 0, 0, 0, 0, 0]),
        Refusal(
            testDescription: "a SOCKS 4 user without an end", bytes: [4, 1, 0, 80, 1, 2, 3, 4] + [UInt8](repeating: 0x61, count: 256),
            reply: [0, 0x5b, 0, 0, 0, 0, 0, 0]),
        Refusal(
            testDescription: "a SOCKS 4a host without an end",
            bytes: [4, 1, 0, 80, 0, 0, 0, 1, 0] + [UInt8](repeating: 0x61, count: 256), reply: [0, 0x5b, 0, 0, 0, 0, 0, 0]),
    ]

    @Test(arguments: refusals)
    func `what is no request is refused with the answer that fits`(refusal: Refusal) {
        var negotiation = SocksNegotiation()
        let error = #expect(throws: SocksError.self) { _ = try negotiation.receive(refusal.bytes.span) }
        #expect(error?.reply == refusal.reply)
    }

    @Test func `a name may be as long as its length says, and no longer is kept`() throws {
        let name = [UInt8](repeating: 0x61, count: 255)
        var negotiation = SocksNegotiation()
        let step = try negotiation.receive((Self.methods + [5, 1, 0, 3, 255] + name + [0, 80]).span)
        #expect(step.request?.host.utf8.count == 255)
        var socks4 = SocksNegotiation()
        let long = try socks4.receive(([4, 1, 0, 80, 0, 0, 0, 1] + name + [0] + name + [0]).span)
        #expect(long.request?.host.utf8.count == 255)
    }

    @Test func `the answer is of the version that was spoken`() {
        let five = SocksRequest(version: .five, host: "a", port: 1)
        #expect(five.reply(.connected) == [5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        #expect(five.reply(.notAllowed)[1] == 2 && five.reply(.connectionRefused)[1] == 5)
        let four = SocksRequest(version: .four, host: "a", port: 1)
        #expect(four.reply(.connected) == [0, 0x5a, 0, 0, 0, 0, 0, 0] && four.reply(.notAllowed)[1] == 0x5b)
    }
}
