import Testing

@testable import SSHEngine

@Suite("RFC 4253 §7.1: which message when")
struct MessageGateTests {
    /// One line of the table, said once more by hand: what each phase does with a message from each side.
    struct Line: Sendable, CustomTestStringConvertible {
        let name: String
        let number: UInt8
        let sender: EngineRole
        /// firstInit, firstReply, firstNewKeys, service, userAuth, connection, rekeyReply, rekeyNewKeys: a(ccept) i(gnore) u(nimplemented) v(iolation)
        let verdicts: String
        /// The first three under strict key exchange.
        let strict: String
        var testDescription: String { "\(name) from the \(sender)" }
    }

    static let lines: [Line] = [
        Line(name: "DISCONNECT", number: 1, sender: .client, verdicts: "aaaaaaaa", strict: "aaa"),
        Line(name: "DISCONNECT", number: 1, sender: .server, verdicts: "aaaaaaaa", strict: "aaa"),
        Line(name: "IGNORE", number: 2, sender: .client, verdicts: "iiiiiiii", strict: "vvv"),
        Line(name: "UNIMPLEMENTED", number: 3, sender: .server, verdicts: "iiiiiiii", strict: "vvv"),
        Line(name: "DEBUG", number: 4, sender: .server, verdicts: "iiiiiiii", strict: "vvv"),
        Line(name: "SERVICE_REQUEST", number: 5, sender: .client, verdicts: "vvvavvvv", strict: "vvv"),
        Line(name: "SERVICE_REQUEST", number: 5, sender: .server, verdicts: "vvvvvvvv", strict: "vvv"),
        Line(name: "SERVICE_ACCEPT", number: 6, sender: .server, verdicts: "vvvavvvv", strict: "vvv"),
        Line(name: "SERVICE_ACCEPT", number: 6, sender: .client, verdicts: "vvvvvvvv", strict: "vvv"),
        Line(name: "EXT_INFO", number: 7, sender: .client, verdicts: "vvvavvvv", strict: "vvv"),
        Line(name: "EXT_INFO", number: 7, sender: .server, verdicts: "vvvaavvv", strict: "vvv"),
        Line(name: "unknown of the transport", number: 8, sender: .client, verdicts: "vvvuuuvv", strict: "vvv"),
        Line(name: "KEXINIT", number: 20, sender: .client, verdicts: "avvvvavv", strict: "avv"),
        Line(name: "KEXINIT", number: 20, sender: .server, verdicts: "avvvvavv", strict: "avv"),
        Line(name: "NEWKEYS", number: 21, sender: .client, verdicts: "vvavvvva", strict: "vva"),
        Line(name: "NEWKEYS", number: 21, sender: .server, verdicts: "vvavvvva", strict: "vva"),
        Line(name: "KEX_ECDH_INIT", number: 30, sender: .client, verdicts: "vavvvvav", strict: "vav"),
        Line(name: "KEX_ECDH_INIT", number: 30, sender: .server, verdicts: "vvvvvvvv", strict: "vvv"),
        Line(name: "KEX_ECDH_REPLY", number: 31, sender: .server, verdicts: "vavvvvav", strict: "vav"),
        Line(name: "KEX_ECDH_REPLY", number: 31, sender: .client, verdicts: "vvvvvvvv", strict: "vvv"),
        Line(name: "KEX_DH_GEX_INIT", number: 32, sender: .client, verdicts: "vvvvvvvv", strict: "vvv"),
        Line(name: "the last of key exchange", number: 49, sender: .client, verdicts: "vvvvvvvv", strict: "vvv"),
        Line(name: "USERAUTH_REQUEST", number: 50, sender: .client, verdicts: "vvvvaivv", strict: "vvv"),
        Line(name: "USERAUTH_REQUEST", number: 50, sender: .server, verdicts: "vvvvvvvv", strict: "vvv"),
        Line(name: "USERAUTH_FAILURE", number: 51, sender: .server, verdicts: "vvvvavvv", strict: "vvv"),
        Line(name: "USERAUTH_SUCCESS", number: 52, sender: .server, verdicts: "vvvvavvv", strict: "vvv"),
        Line(name: "USERAUTH_SUCCESS", number: 52, sender: .client, verdicts: "vvvvvvvv", strict: "vvv"),
        Line(name: "USERAUTH_BANNER", number: 53, sender: .server, verdicts: "vvvvavvv", strict: "vvv"),
        Line(name: "USERAUTH_PK_OK", number: 60, sender: .server, verdicts: "vvvvavvv", strict: "vvv"),
        Line(name: "USERAUTH_INFO_RESPONSE", number: 61, sender: .client, verdicts: "vvvuuuvv", strict: "vvv"),
        Line(name: "GLOBAL_REQUEST", number: 80, sender: .client, verdicts: "vvvvvaaa", strict: "vvv"),
        Line(name: "REQUEST_SUCCESS", number: 81, sender: .client, verdicts: "vvvvvaaa", strict: "vvv"),
        Line(name: "REQUEST_FAILURE", number: 82, sender: .server, verdicts: "vvvvvaaa", strict: "vvv"),
        Line(name: "unknown of the connection", number: 83, sender: .server, verdicts: "vvvuuuvv", strict: "vvv"),
        Line(name: "CHANNEL_OPEN", number: 90, sender: .client, verdicts: "vvvvvaaa", strict: "vvv"),
        Line(name: "CHANNEL_OPEN", number: 90, sender: .server, verdicts: "vvvvvaaa", strict: "vvv"),
        Line(name: "CHANNEL_WINDOW_ADJUST", number: 93, sender: .client, verdicts: "vvvvvaaa", strict: "vvv"),
        Line(name: "CHANNEL_DATA", number: 94, sender: .client, verdicts: "vvvvvaaa", strict: "vvv"),
        Line(name: "CHANNEL_FAILURE", number: 100, sender: .server, verdicts: "vvvvvaaa", strict: "vvv"),
        Line(name: "unknown of the channels", number: 101, sender: .server, verdicts: "vvvuuuvv", strict: "vvv"),
        Line(name: "zero", number: 0, sender: .client, verdicts: "vvvuuuvv", strict: "vvv"),
        Line(name: "the highest", number: 255, sender: .client, verdicts: "vvvuuuvv", strict: "vvv"),
    ]

    private static func letter(_ verdict: MessageGate.Verdict) -> Character {
        switch verdict {
        case .accept: "a"
        case .ignore: "i"
        case .unimplemented: "u"
        case .violation: "v"
        }
    }

    @Test(arguments: lines)
    func `each message has its phases`(line: Line) {
        let verdicts = GatePhase.allCases.map { Self.letter(MessageGate.verdict(line.number, from: line.sender, in: $0, isStrict: false)) }
        #expect(String(verdicts) == line.verdicts)
        let strict = GatePhase.allCases.map { Self.letter(MessageGate.verdict(line.number, from: line.sender, in: $0, isStrict: true)) }
        #expect(String(strict.prefix(3)) == line.strict)
        #expect(strict.dropFirst(3) == verdicts.dropFirst(3), "strictness is about the first exchange")
    }

    @Test func `each row of the table is in this one`() {
        for row in MessageGate.rows where !row.senders.isEmpty {
            #expect(Self.lines.contains { row.numbers.contains($0.number) && row.senders.contains($0.sender) })
        }
    }
}
