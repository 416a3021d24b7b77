import Base
import SSHWire
import Testing

@Suite("Messages of RFC 4253, 4252, 4254 and 8308")
struct MessageTests {
    struct Vector: Sendable, CustomTestStringConvertible {
        let name: String
        let payload: [UInt8]
        /// Its last field is all that is left, so that more and fewer bytes are still a message.
        let isOpenEnded: Bool
        let rewritten: @Sendable ([UInt8]) throws -> [UInt8]
        var testDescription: String { name }

        init<Message: SSHMessage>(_ message: Message, isOpenEnded: Bool = false) {
            name = "\(Message.number)"
            payload = message.payload()
            self.isOpenEnded = isOpenEnded
            rewritten = { bytes in
                let read = try Message(payload: bytes)
                #expect(read == message || bytes != message.payload())
                return read.payload()
            }
        }
    }

    static let vectors = [
        Vector(DisconnectMessage(reason: .protocolError, description: "bad packet")),
        Vector(IgnoreMessage(data: [1, 2, 3])),
        Vector(UnimplementedMessage(sequenceNumber: 0xffff_ffff)),
        Vector(DebugMessage(alwaysDisplay: true, message: "größer")),
        Vector(ServiceRequestMessage(service: ServiceName.userAuth)),
        Vector(ServiceAcceptMessage(service: ServiceName.connection)),
        Vector(ExtensionInfoMessage(serverSignatureAlgorithms: AlgorithmNames.serverSignatureAlgorithms)),
        Vector(
            KeyExchangeInitMessage(
                cookie: Array(0..<16), keyExchange: AlgorithmNames.keyExchange, hostKeys: AlgorithmNames.clientHostKeys,
                encryption: AlgorithmNames.ciphers, mac: AlgorithmNames.macs, firstKeyExchangePacketFollows: true)),
        Vector(NewKeysMessage()),
        Vector(KeyExchangeECDHInitMessage(clientPublicKey: [UInt8](repeating: 7, count: 32))),
        Vector(KeyExchangeECDHReplyMessage(hostKey: [1], serverPublicKey: [2, 2], signature: [3, 3, 3])),
        Vector(UserAuthRequestMessage(user: "root", method: .none)),
        Vector(UserAuthRequestMessage(user: "root", method: .publicKey(.init(algorithm: "ssh-ed25519", key: [9], signature: nil)))),
        Vector(UserAuthRequestMessage(user: "", method: .publicKey(.init(algorithm: "rsa-sha2-256", key: [9], signature: [8])))),
        Vector(UserAuthRequestMessage(user: "root", method: .other("keyboard-interactive")), isOpenEnded: true),
        Vector(UserAuthFailureMessage(methodsThatCanContinue: ["publickey"])),
        Vector(UserAuthSuccessMessage()),
        Vector(UserAuthBannerMessage(message: "hello\r\n")),
        Vector(UserAuthPublicKeyOKMessage(algorithm: "ssh-ed25519", key: [1, 2])),
        Vector(GlobalRequestMessage(name: "keepalive@openssh.com", wantReply: true), isOpenEnded: true),
        Vector(RequestSuccessMessage(payload: [0, 0, 0, 22]), isOpenEnded: true),
        Vector(RequestFailureMessage()),
        Vector(ChannelOpenMessage(type: "session", senderChannel: 1, initialWindowSize: 2, maximumPacketSize: 3), isOpenEnded: true),
        Vector(
            ChannelOpenConfirmationMessage(recipientChannel: 0, senderChannel: 1, initialWindowSize: .max, maximumPacketSize: 32768),
            isOpenEnded: true),
        Vector(ChannelOpenFailureMessage(recipientChannel: 4, reason: .administrativelyProhibited, description: "no")),
        Vector(ChannelWindowAdjustMessage(recipientChannel: 4, bytesToAdd: .max)),
        Vector(ChannelEOFMessage(recipientChannel: 4)),
        Vector(ChannelCloseMessage(recipientChannel: .max)),
        Vector(ChannelRequestMessage(recipientChannel: 4, type: "shell", wantReply: false), isOpenEnded: true),
        Vector(ChannelSuccessMessage(recipientChannel: 4)),
        Vector(ChannelFailureMessage(recipientChannel: 4)),
    ]

    @Test(arguments: vectors)
    func `a message that is written reads as itself`(vector: Vector) throws {
        #expect(try vector.rewritten(vector.payload) == vector.payload)
    }

    @Test(arguments: vectors.filter { !$0.isOpenEnded })
    func `a message cut anywhere, or with a byte too many, is refused`(vector: Vector) {
        for count in 0..<vector.payload.count {
            // RFC 4253 §11.1 with the language tag left out is met in the wild.
            if vector.name == "disconnect", count == vector.payload.count - 4 { continue }
            #expect(throws: WireError.self) { try vector.rewritten(Array(vector.payload[..<count])) }
        }
        #expect(throws: WireError.trailingBytes(1)) { try vector.rewritten(vector.payload + [0]) }
    }

    @Test(arguments: vectors)
    func `another message's number is refused`(vector: Vector) {
        #expect(throws: WireError.badValue("message number")) { try vector.rewritten([255] + vector.payload.dropFirst()) }
    }

    @Test(arguments: vectors)
    func `arbitrary bytes are refused or read, never trapped on`(vector: Vector) {
        let randomness = SeededRandomness(seed: UInt64(vector.payload.count))
        for _ in 0..<200 {
            var bytes = vector.payload
            for index in bytes.indices.dropFirst() where randomness.bytes(1)[0] < 20 { bytes[index] = randomness.bytes(1)[0] }
            if let again = try? vector.rewritten(bytes) { #expect(again.count <= bytes.count + 8 || !again.isEmpty) }
        }
    }

    @Test func `bytes of a publickey request are those of RFC 4252`() throws {
        var writer = ByteWriter()
        writer.writeByte(50)
        for text in ["alice", "ssh-connection", "publickey"] { writer.writeText(text) }
        writer.writeByte(1)
        writer.writeText("ssh-ed25519")
        writer.writeString([1, 2])
        let signed = writer.bytes
        writer.writeString([3, 4])
        let expected = writer.finish()
        let message = UserAuthRequestMessage(
            user: "alice", method: .publicKey(.init(algorithm: "ssh-ed25519", key: [1, 2], signature: [3, 4])))
        #expect(message.payload() == expected)
        let data = UserAuthRequestMessage.signedData(
            sessionIdentifier: [7], user: "alice", service: "ssh-connection", algorithm: "ssh-ed25519", key: [1, 2])
        #expect(data == [0, 0, 0, 1, 7] + signed)
    }

    @Test func `a disconnect without a language tag is read`() throws {
        let bytes = DisconnectMessage(reason: .byApplication, description: "bye").payload().dropLast(4)
        #expect(try DisconnectMessage(payload: Array(bytes)).description == "bye")
    }

    @Test func `text for people that is not UTF-8 is repaired`() throws {
        let bytes: [UInt8] = [53, 0, 0, 0, 2, 0xff, 0x41, 0, 0, 0, 0]
        #expect(try UserAuthBannerMessage(payload: bytes).message == "\u{fffd}A")
    }

    @Test(arguments: ["a\0b", "a\nb", "\u{1b}[2J", "\u{7f}"])
    func `a user name with control characters is refused`(user: String) {
        #expect(throws: WireError.badValue("control character")) {
            try UserAuthRequestMessage(payload: UserAuthRequestMessage(user: user, method: .none).payload())
        }
    }

    @Test func `a user name that is not UTF-8 is refused`() {
        var bytes = UserAuthRequestMessage(user: "ab", method: .none).payload()
        bytes[5] = 0xff
        #expect(throws: WireError.notUTF8) { try UserAuthRequestMessage(payload: bytes) }
    }

    /// A limit: the message at it, and one past it.
    struct Limit: Sendable, CustomTestStringConvertible {
        let name: String
        let limit: Int
        let read: @Sendable (Int) throws -> Void
        var testDescription: String { name }
    }

    static let limits = [
        Limit(name: "user", limit: FieldLimit.user) {
            _ = try UserAuthRequestMessage(payload: UserAuthRequestMessage(user: text($0), method: .none).payload())
        },
        Limit(name: "service", limit: FieldLimit.name) {
            _ = try ServiceRequestMessage(payload: ServiceRequestMessage(service: text($0)).payload())
        },
        Limit(name: "disconnect", limit: FieldLimit.message) {
            _ = try DisconnectMessage(payload: DisconnectMessage(reason: .macError, description: text($0)).payload())
        },
        Limit(name: "banner", limit: FieldLimit.banner) {
            _ = try UserAuthBannerMessage(payload: UserAuthBannerMessage(message: text($0)).payload())
        },
        Limit(name: "key", limit: FieldLimit.keyBlob) {
            _ = try UserAuthPublicKeyOKMessage(payload: UserAuthPublicKeyOKMessage(algorithm: "x", key: bytes($0)).payload())
        },
        Limit(name: "key share", limit: FieldLimit.keyShare) {
            _ = try KeyExchangeECDHInitMessage(payload: KeyExchangeECDHInitMessage(clientPublicKey: bytes($0)).payload())
        },
        Limit(name: "signature", limit: FieldLimit.signature) {
            let message = KeyExchangeECDHReplyMessage(hostKey: [], serverPublicKey: [], signature: bytes($0))
            _ = try KeyExchangeECDHReplyMessage(payload: message.payload())
        },
        Limit(name: "extensions", limit: ExtensionInfoMessage.extensionsMax) {
            let message = ExtensionInfoMessage(extensions: .init(repeating: .init(name: "a", value: []), count: $0))
            _ = try ExtensionInfoMessage(payload: message.payload())
        },
        Limit(name: "command", limit: FieldLimit.command) {
            _ = try SessionRequest(type: "exec", payload: SessionRequest.exec(command: [UInt8](repeating: 65, count: $0)).payload())
        },
        Limit(name: "subsystem", limit: SessionRequest.subsystemNameMax) {
            _ = try SessionRequest(type: "subsystem", payload: SessionRequest.subsystem(name: text($0)).payload())
        },
        Limit(name: "environment", limit: SessionRequest.environmentValueMax) {
            _ = try SessionRequest(type: "env", payload: SessionRequest.environment(name: "A", value: text($0)).payload())
        },
        Limit(name: "host", limit: FieldLimit.host) {
            let request = GlobalRequestType.tcpipForward(address: text($0), port: 1)
            _ = try GlobalRequestType(name: request.name, payload: request.payload())
        },
        Limit(name: "socket path", limit: FieldLimit.socketPath) {
            let type = ChannelOpenType.directStreamLocal(path: text($0))
            _ = try ChannelOpenType(type: type.type, payload: type.payload())
        },
        Limit(name: "destination", limit: ChannelOpenType.destinationMax) {
            let type = ChannelOpenType.transport(destination: text($0))
            _ = try ChannelOpenType(type: type.type, payload: type.payload())
        },
        Limit(name: "host keys", limit: GlobalRequestType.hostKeysMax) {
            let request = GlobalRequestType.hostKeys(.init(repeating: [1], count: $0))
            _ = try GlobalRequestType(name: request.name, payload: request.payload())
        },
    ]

    @Test(arguments: limits)
    func `a field may be as long as its limit and no longer`(limit: Limit) throws {
        try limit.read(limit.limit)
        #expect(throws: WireError.tooLong(limit.limit + 1)) { try limit.read(limit.limit + 1) }
    }

    private static func text(_ count: Int) -> String { String(repeating: "a", count: count) }
    private static func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 1, count: count) }
}

@Suite("RFC 4254 §5.2 channel data")
struct ChannelDataHeaderTests {
    @Test func `data is named by where it lies`() throws {
        let payload: [UInt8] = [94, 0, 0, 0, 5, 0, 0, 0, 3, 1, 2, 3]
        let header = try ChannelDataHeader(payload: payload.span)
        #expect(header.recipientChannel == 5)
        #expect(header.extendedType == nil)
        #expect(Array(payload[header.data]) == [1, 2, 3])
    }

    @Test func `extended data has its type`() throws {
        let payload: [UInt8] = [95, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 8, 9]
        let header = try ChannelDataHeader(payload: payload.span)
        #expect(header.extendedType == ChannelDataHeader.standardError)
        #expect(Array(payload[header.data]) == [8, 9])
    }

    @Test(arguments: [nil, 1, 7] as [UInt32?])
    func `a header that is written reads as itself`(type: UInt32?) throws {
        let header = ChannelDataHeader(recipientChannel: 9, extendedType: type, count: 4)
        var writer = ByteWriter()
        header.writePayload(to: &writer)
        writer.writeRaw([1, 2, 3, 4])
        let payload = writer.finish()
        #expect(payload.count == header.data.upperBound)
        let read = try ChannelDataHeader(payload: payload.span)
        #expect(read == header)
    }

    @Test(
        arguments: [
            [94, 0, 0, 0, 5, 0, 0, 0, 4, 1, 2, 3], [94, 0, 0, 0, 5, 0, 0, 0, 2, 1, 2, 3], [94, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 1],
            [96, 0, 0, 0, 5], [94, 0, 0, 0, 5], [],
        ] as [[UInt8]])
    func `a length that is not that of the data is refused`(payload: [UInt8]) {
        #expect(throws: WireError.self) { try Self.read(payload) }
    }

    private static func read(_ payload: [UInt8]) throws(WireError) -> ChannelDataHeader { try ChannelDataHeader(payload: payload.span) }
}
