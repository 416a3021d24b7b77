import Base
import SSHWire
import Testing

@testable import SSHEngine

@Suite("A peer that breaks the rules")
struct MalformedPeerTests {
    @Test func `the raw client can behave`() {
        let raw = RawClient()
        raw.logIn()
        #expect(raw.error == nil)
        #expect(raw.lastNumber == 52)
        #expect(raw.openChannel() == 0)
    }

    // MARK: Identification (RFC 4253 §4.2)

    struct Line: Sendable {
        let text: String
        let reason: SSHError.Reason?
    }

    @Test(arguments: [
        Line(text: "SSH-2.0-x\r\n", reason: nil), Line(text: "SSH-2.0-x\n", reason: nil),
        Line(text: "SSH-2.0-\(String(repeating: "x", count: 245))\r\n", reason: nil),
        Line(text: "SSH-2.0-\(String(repeating: "x", count: 246))\r\n", reason: .identificationTooLong),
        Line(text: "SSH-2.0-\(String(repeating: "x", count: 300))", reason: .identificationTooLong),
        Line(text: "SSH-1.5-x\r\n", reason: .versionNotSupported("SSH-1.5-x")),
        Line(text: "SSH-1.99-x\r\n", reason: .versionNotSupported("SSH-1.99-x")),
        Line(text: "GET / HTTP/1.1\r\n", reason: .identificationMalformed), Line(text: "\r\n", reason: .identificationMalformed),
        Line(text: "SSH-2.0-\r\n", reason: .identificationMalformed), Line(text: "SSH-2.0-a\u{1b}b\r\n", reason: .identificationMalformed),
        Line(text: "SSH-2.0-a\0b\r\n", reason: .identificationMalformed),
    ])
    func `a client's version line`(line: Line) {
        let raw = RawClient()
        raw.sendRaw(Array(line.text.utf8))
        #expect(raw.lastError == line.reason)
    }

    @Test(arguments: [
        "PROXY TCP4 10.0.0.1 10.0.0.2 5000 22\r\nSSH-2.0-x\r\n", "\r\n\r\n\0\r\nQUIT\n\u{21}\u{11}\0\u{0c}SSH-2.0-x\r\n",
    ])
    func `the address that a balancer's header claims is not believed`(header: String) {
        let raw = RawClient()
        raw.sendRaw(Array(header.utf8))
        #expect(raw.lastError == .identificationMalformed)
    }

    @Test func `a client reads past a server's greeting, up to a limit`() throws {
        var reader = Identification(reader: .client)
        var lines: [String] = []
        for byte in "hello\r\nworld\r\nSSH-1.99-old\r\n".utf8 { if let line = try reader.read(byte) { lines.append(line) } }
        #expect(lines == ["SSH-1.99-old"])
        var flooded = Identification(reader: .client)
        #expect(throws: SSHError(.identificationTooLong)) {
            for byte in String(repeating: "x\n", count: 65).utf8 { _ = try flooded.read(byte) }
        }
        var long = Identification(reader: .client)
        #expect(throws: SSHError(.identificationTooLong)) {
            for byte in String(repeating: "x", count: 1024).utf8 { _ = try long.read(byte) }
        }
    }

    // MARK: Packets (RFC 4253 §6)

    struct Frame: Sendable {
        let name: String
        let bytes: [UInt8]
        let reason: SSHError.Reason?
    }

    private static func frame(length: UInt32, padding: UInt8, count: Int) -> [UInt8] {
        var writer = ByteWriter()
        writer.writeUInt32(length)
        writer.writeByte(padding)
        return writer.finish() + [2] + [UInt8](repeating: 0, count: max(0, count - 1))
    }

    @Test(arguments: [
        Frame(name: "nothing", bytes: frame(length: 0, padding: 0, count: 8), reason: .packetLength(0)),
        Frame(name: "shorter than its padding", bytes: frame(length: 5, padding: 4, count: 8), reason: .packetLength(5)),
        Frame(name: "no multiple of the block", bytes: frame(length: 13, padding: 4, count: 20), reason: .packetLength(13)),
        Frame(name: "padding of three", bytes: frame(length: 12, padding: 3, count: 11), reason: .packetPadding(length: 12, padding: 3)),
        Frame(
            name: "padding over the payload", bytes: frame(length: 12, padding: 11, count: 11),
            reason: .packetPadding(length: 12, padding: 11)),
        Frame(
            name: "padding past the end", bytes: frame(length: 12, padding: 255, count: 11),
            reason: .packetPadding(length: 12, padding: 255)),
        Frame(name: "one byte of payload", bytes: frame(length: 12, padding: 10, count: 11), reason: .keyExchangeInitNotFirst),
        Frame(name: "above the limit", bytes: frame(length: 35_004, padding: 4, count: 8), reason: .packetLength(35_004)),
        Frame(name: "the largest number", bytes: frame(length: .max, padding: 4, count: 8), reason: .packetLength(.max)),
    ])
    func `a packet's lengths are held to the rules`(frame: Frame) {
        let raw = RawClient()
        raw.sendVersion()
        raw.sendRaw(frame.bytes)
        // A well-formed frame holds an IGNORE, which strict key exchange finds out at the KEXINIT behind it.
        if raw.error == nil { raw.sendInit() }
        #expect(raw.lastError == frame.reason, "\(frame.name)")
    }

    @Test func `a sealed packet that was changed is refused`() {
        let raw = RawClient()
        raw.logIn()
        raw.sendRaw([0, 0, 0, 16] + [UInt8](repeating: 7, count: 32))
        #expect(raw.lastError == .packetAuthentication)
        #expect(raw.serverIsFinished)
    }

    @Test func `every truncation and every changed byte of a KEXINIT is refused or answered, never a trap`() {
        let whole = RawClient().initMessage()
        for end in 1..<whole.count {
            let raw = RawClient()
            raw.sendVersion()
            raw.send(Array(whole[..<end]))
            #expect(raw.error != nil)
        }
        for index in stride(from: 17, to: whole.count, by: 3) {
            let raw = RawClient()
            raw.sendVersion()
            var changed = whole
            changed[index] ^= 0xff
            raw.send(changed)
        }
    }

    // MARK: Strict key exchange (PROTOCOL; CVE-2023-48795)

    @Test func `an IGNORE before the KEXINIT ends strict key exchange`() {
        let raw = RawClient()
        raw.sendVersion()
        raw.send(IgnoreMessage(data: []).payload())
        raw.sendInit()
        #expect(raw.lastError == .keyExchangeInitNotFirst)
    }

    @Test func `an IGNORE within strict key exchange ends it`() {
        let raw = RawClient()
        raw.sendVersion()
        raw.sendInit()
        raw.send(IgnoreMessage(data: []).payload())
        #expect(raw.lastError == .unexpectedMessage(2, in: .firstReply))
    }

    @Test func `without strict key exchange an IGNORE is one`() {
        let raw = RawClient(strict: false)
        raw.sendVersion()
        raw.send(IgnoreMessage(data: []).payload())
        raw.sendInit()
        raw.send(IgnoreMessage(data: []).payload())
        raw.sendShare()
        raw.send(DebugMessage(alwaysDisplay: true, message: "x").payload())
        raw.sendNewKeys()
        raw.requestService()
        raw.sendSignedRequest()
        #expect(raw.error == nil)
        #expect(raw.lastNumber == 52)
    }

    @Test func `an unknown message within the first exchange ends it`() {
        let raw = RawClient(strict: false)
        raw.sendVersion()
        raw.send([200])
        #expect(raw.lastError == .unexpectedMessage(200, in: .firstInit))
    }

    @Test func `a wrong guess is dropped, a right one used`() {
        let wrong = RawClient()
        wrong.sendVersion()
        wrong.sendInit(guesses: true, methods: ["mlkem768x25519-sha256", "curve25519-sha256", AlgorithmNames.strictClient])
        wrong.send(KeyExchangeECDHInitMessage(clientPublicKey: [UInt8](repeating: 1, count: 1216)).payload())
        wrong.sendShare()
        wrong.sendNewKeys()
        wrong.requestService()
        #expect(wrong.error == nil)
        #expect(wrong.lastNumber == 6)

        let right = RawClient(
            configuration: {
                var configuration = EnginePair.serverConfiguration()
                configuration.role = .server(ServerOptions(hostKeys: [HostKey(key: EnginePair.hostKey, certificate: nil)]))
                return configuration
            }())
        right.sendVersion()
        right.sendInit(guesses: true)
        right.sendShare()
        right.sendNewKeys()
        right.requestService()
        #expect(right.error == nil)
        #expect(right.lastNumber == 6)
    }

    @Test(arguments: [0, 1, 31, 33, 64])
    func `a key share of the wrong length is refused`(count: Int) {
        let raw = RawClient()
        raw.sendVersion()
        raw.sendInit()
        raw.send(KeyExchangeECDHInitMessage(clientPublicKey: [UInt8](repeating: 9, count: count)).payload())
        #expect(raw.lastError == .badKeyShare)
    }

    @Test func `a key share that makes a secret of zeros is refused`() {
        let raw = RawClient()
        raw.sendVersion()
        raw.sendInit()
        raw.send(KeyExchangeECDHInitMessage(clientPublicKey: [UInt8](repeating: 0, count: 32)).payload())
        #expect(raw.lastError == .badKeyShare)
    }

    // MARK: Order

    @Test(arguments: [UInt8(5), 50, 80, 90, 94, 98, 21, 30])
    func `nothing but a KEXINIT opens a connection`(number: UInt8) {
        let raw = RawClient()
        raw.sendVersion()
        raw.send([number, 0, 0, 0, 0])
        #expect(raw.lastError == .unexpectedMessage(number, in: .firstInit))
    }

    @Test(arguments: [UInt8(80), 90, 94, 98, 20, 52, 6])
    func `nothing of the connection comes before authentication`(number: UInt8) {
        let raw = RawClient()
        raw.connect()
        raw.requestService()
        raw.send([number, 0, 0, 0, 0, 0])
        #expect(raw.lastError == .unexpectedMessage(number, in: .userAuth))
    }

    @Test func `an unknown message is answered with its number`() throws {
        let raw = RawClient()
        raw.logIn()
        raw.send([199, 1, 2, 3])
        #expect(raw.error == nil)
        let answer = try UnimplementedMessage(payload: try #require(raw.received.last))
        // NEWKEYS set it to 0: the service request and the login came before.
        #expect(answer.sequenceNumber == 2)
    }

    @Test func `within a rekey nobody logs in, and what channels carry is taken`() {
        let raw = RawClient()
        raw.logIn()
        let channel = raw.openChannel()
        raw.sendInit()
        raw.send(ChannelEOFMessage(recipientChannel: channel).payload())
        #expect(raw.error == nil)
        raw.send(ServiceRequestMessage(service: ServiceName.userAuth).payload())
        #expect(raw.lastError == .unexpectedMessage(5, in: .rekeyReply))
    }

    @Test func `a rekey that the peer begins and finishes goes through`() {
        let raw = RawClient()
        raw.logIn()
        raw.exchangeKeys()
        #expect(raw.error == nil)
        #expect(raw.openChannel() == 0)
    }

    @Test func `what a peer makes us say in a rekey that it leaves unfinished is bounded`() {
        let raw = RawClient()
        raw.logIn()
        raw.server.rekey()
        for _ in 0..<20_000 where raw.error == nil {
            raw.send(ChannelOpenMessage(type: "x", senderChannel: 0, initialWindowSize: 0, maximumPacketSize: 0).payload())
        }
        guard case .outputHeld = raw.lastError else {
            Issue.record("held without a bound")
            return
        }
    }

    // MARK: Channels (RFC 4254 §5)

    @Test func `data beyond the window is refused, to its last byte taken`() {
        var configuration = EnginePair.serverConfiguration()
        configuration.limits.windowBytes = 100
        let raw = RawClient(configuration: configuration)
        raw.logIn()
        let channel = raw.openChannel()
        raw.send(data(channel, 100))
        #expect(raw.error == nil)
        raw.send(data(channel, 1))
        #expect(raw.lastError == .windowExceeded(channel: channel))
    }

    @Test func `a thousand channels that nobody reads hold little more than some dozen`() throws {
        var configuration = EnginePair.serverConfiguration()
        configuration.limits.windowBytes = 8 << 20
        configuration.limits.windowBytesFirst = 8 << 20
        let raw = RawClient(configuration: configuration)
        raw.logIn()
        let windows = try (0..<1000).map { _ in
            _ = raw.openChannel()
            return try ChannelOpenConfirmationMessage(payload: raw.received.last ?? []).initialWindowSize
        }
        let limits = configuration.limits
        #expect(windows.first == limits.windowBytes && windows.last == limits.windowBytesMin)
        #expect(windows.reduce(0) { $0 + Int($1) } <= limits.windowBytesTotal + windows.count * Int(limits.windowBytesMin))
    }

    @Test func `a new channel's window is small, and doubles as it is read, up to the most`() throws {
        var configuration = EnginePair.serverConfiguration()
        configuration.limits.windowBytesFirst = 1000
        configuration.limits.windowBytes = 3000
        let raw = RawClient(configuration: configuration)
        raw.logIn()
        let channel = raw.openChannel()
        #expect(try ChannelOpenConfirmationMessage(payload: raw.received.last ?? []).initialWindowSize == 1000)
        // Half of 1000 read makes it 2000, half of that 3000; then it stays.
        for (read, granted) in [(500, 1500), (1000, 2000), (1500, 1500)] as [(Int, UInt32)] {
            raw.send(data(channel, read))
            guard case .channelData(let id, _)? = raw.events.last else {
                Issue.record("no data came")
                return
            }
            raw.server.consumed(read, on: id)
            raw.sendRaw([])
            #expect(try ChannelWindowAdjustMessage(payload: raw.received.last ?? []).bytesToAdd == granted)
        }
    }

    @Test func `what closed channels held is there for those that stay`() throws {
        var configuration = EnginePair.serverConfiguration()
        configuration.limits.windowBytes = 100
        configuration.limits.windowBytesMin = 10
        configuration.limits.windowBytesTotal = 6400
        let raw = RawClient(configuration: configuration)
        raw.logIn()
        let channels = (0..<60).map { _ in raw.openChannel() }
        let last = try #require(channels.last)
        let small = try ChannelOpenConfirmationMessage(payload: raw.received.last ?? []).initialWindowSize
        #expect((10..<50).contains(small))
        for channel in channels.dropLast() { raw.send(ChannelCloseMessage(recipientChannel: channel).payload()) }
        raw.send(data(last, Int(small)))
        guard case .channelData(let id, _)? = raw.events.last else {
            Issue.record("no data came")
            return
        }
        raw.server.consumed(Int(small), on: id)
        raw.sendRaw([])
        #expect(try ChannelWindowAdjustMessage(payload: raw.received.last ?? []).bytesToAdd == 2 * small)
    }

    @Test func `a packet above our maximum is refused`() {
        let raw = RawClient()
        raw.logIn()
        let channel = raw.openChannel()
        raw.send(data(channel, 32 << 10))
        #expect(raw.error == nil)
        raw.send(data(channel, (32 << 10) + 1))
        #expect(raw.lastError == .channelPacketTooLarge(channel: channel))
    }

    @Test func `adjustments past 2^32 - 1 are refused`() {
        let raw = RawClient()
        raw.logIn()
        let channel = raw.openChannel()
        raw.send(ChannelWindowAdjustMessage(recipientChannel: channel, bytesToAdd: .max - 1000).payload())
        #expect(raw.error == nil)
        raw.send(ChannelWindowAdjustMessage(recipientChannel: channel, bytesToAdd: 1).payload())
        #expect(raw.lastError == .windowOverflow(channel: channel))
    }

    @Test func `a channel that does not exist is refused`() {
        let raw = RawClient()
        raw.logIn()
        raw.send(ChannelEOFMessage(recipientChannel: 3).payload())
        #expect(raw.lastError == .channelUnknown(3))
    }

    @Test func `a channel that was not accepted takes nothing`() {
        let raw = RawClient()
        raw.logIn()
        raw.send(ChannelOpenMessage(type: "session", senderChannel: 5, initialWindowSize: 10, maximumPacketSize: 10).payload())
        raw.send(data(0, 1))
        #expect(raw.lastError == .channelState(94, channel: 0))
    }

    @Test func `a confirmation that nobody asked for is refused`() {
        let raw = RawClient()
        raw.logIn()
        let channel = raw.openChannel()
        let confirmation = ChannelOpenConfirmationMessage(
            recipientChannel: channel, senderChannel: 1, initialWindowSize: 1, maximumPacketSize: 1)
        raw.send(confirmation.payload())
        #expect(raw.lastError == .channelState(91, channel: channel))
    }

    @Test func `data after EOF is refused`() {
        let raw = RawClient()
        raw.logIn()
        let channel = raw.openChannel()
        raw.send(ChannelEOFMessage(recipientChannel: channel).payload())
        raw.send(data(channel, 1))
        #expect(raw.lastError == .channelState(94, channel: channel))
    }

    @Test(arguments: [UInt8(99), 100])
    func `a channel reply that nobody asked for is refused`(number: UInt8) {
        let raw = RawClient()
        raw.logIn()
        let channel = raw.openChannel()
        raw.send([number, 0, 0, 0, UInt8(channel)])
        #expect(raw.lastError == .replyNotAsked(number))
    }

    @Test(arguments: [UInt8(81), 82])
    func `a global reply that nobody asked for is refused`(number: UInt8) {
        let raw = RawClient()
        raw.logIn()
        raw.send([number])
        #expect(raw.lastError == .replyNotAsked(number))
    }

    @Test func `channels above the limit are refused one by one`() throws {
        var configuration = EnginePair.serverConfiguration()
        configuration.limits.channelsMax = 2
        let raw = RawClient(configuration: configuration)
        raw.logIn()
        _ = raw.openChannel()
        _ = raw.openChannel()
        raw.send(ChannelOpenMessage(type: "session", senderChannel: 9, initialWindowSize: 1, maximumPacketSize: 1).payload())
        #expect(raw.error == nil)
        let failure = try ChannelOpenFailureMessage(payload: try #require(raw.received.last))
        #expect(failure.recipientChannel == 9)
        #expect(failure.reason == .resourceShortage)
    }

    @Test func `requests that pile up unanswered end the connection`() {
        var configuration = EnginePair.serverConfiguration()
        configuration.limits.unansweredRequestsMax = 3
        let raw = RawClient(configuration: configuration)
        raw.logIn()
        for _ in 0..<3 { raw.send(GlobalRequestMessage(name: "x", wantReply: true).payload()) }
        #expect(raw.error == nil)
        raw.send(GlobalRequestMessage(name: "x", wantReply: true).payload())
        #expect(raw.lastError == .requestsUnanswered(4))
    }

    @Test func `every truncation of every message of the connection is refused or answered, never a trap`() {
        let messages: [[UInt8]] = [
            ChannelOpenMessage(type: "session", senderChannel: 5, initialWindowSize: 10, maximumPacketSize: 10).payload(),
            ChannelWindowAdjustMessage(recipientChannel: 0, bytesToAdd: 1).payload(), data(0, 8),
            ChannelRequestMessage(recipientChannel: 0, type: "exec", wantReply: true, payload: [1, 2]).payload(),
            GlobalRequestMessage(name: "keepalive@openssh.com", wantReply: true).payload(),
            DisconnectMessage(reason: .byApplication, description: "x").payload(),
        ]
        for message in messages {
            for end in 1..<message.count {
                let raw = RawClient()
                raw.logIn()
                _ = raw.openChannel()
                raw.send(Array(message[..<end]))
            }
        }
    }

    private func data(_ channel: UInt32, _ count: Int) -> [UInt8] {
        var writer = ByteWriter()
        ChannelDataHeader(recipientChannel: channel, count: count).writePayload(to: &writer)
        writer.writeRaw([UInt8](repeating: 1, count: count))
        return writer.finish()
    }
}
