import Base
import Crypto
import SSHWire

@testable import SSHEngine

/// A client that says whatever a test wants: the packets and keys of the protocol, none of its rules.
final class RawClient {
    var server: SSHEngine
    private var writer = PacketWriter(padding: [UInt8](repeating: 0, count: PacketWriter.paddingBytesMax), buffers: BufferPool())
    private var reader = PacketReader(buffers: BufferPool())
    private let methods: [String]
    private let now = Instant(nanoseconds: 1)
    private let randomness = SeededRandomness(seed: 77)
    private var ourInit: [UInt8] = []
    /// The server's messages, in order.
    var received: [[UInt8]] = []
    var events: [EngineEvent] = []
    var error: SSHError?
    var sessionIdentifier: [UInt8] = []
    var answersUser: UserAuthAnswer = .accept

    init(configuration: EngineConfiguration = EnginePair.serverConfiguration(), strict: Bool = true) {
        server = SSHEngine(configuration: configuration, randomness: SeededRandomness(seed: 78), now: Instant(nanoseconds: 1))
        methods = ["curve25519-sha256", "ext-info-c"] + (strict ? [AlgorithmNames.strictClient] : [])
    }

    var lastError: SSHError.Reason? { error?.reason }
    var serverIsFinished: Bool { !server.wantsInput }
    var lastNumber: UInt8? { received.last?.first }

    func sendRaw(_ bytes: [UInt8]) {
        guard error == nil else { return }
        var bytes = bytes
        var span = bytes.mutableSpan
        do throws(SSHError) {
            while let event = try server.nextEvent(in: &span, now: now) {
                events.append(event)
                if case .userAuthAttempted(let token, _) = event { try server.resolve(userAuth: token, answersUser) }
            }
        } catch {
            self.error = error
        }
        read()
    }

    func send(_ payload: [UInt8]) {
        writer.write(payload)
        flush()
    }

    private func flush() {
        let bytes = Array(copying: writer.bytes)
        writer.consume(bytes.count)
        sendRaw(bytes)
    }

    private func read() {
        var bytes = Array(copying: server.output)
        server.consumeOutput(bytes.count)
        var position = 0
        // The version line comes first.
        if received.isEmpty, bytes.starts(with: Array("SSH-".utf8)), let end = bytes.firstIndex(of: 10) {
            received.append(Array(bytes[...end]))
            position = end + 1
        }
        while let payload = next(&bytes, &position) {
            received.append(payload)
            if payload[0] == 21 { takeKeys() }
        }
    }

    private var pending: (outbound: PacketProtection, inbound: PacketProtection)?

    private func next(_ bytes: inout [UInt8], _ position: inout Int) -> [UInt8]? {
        var span = bytes.mutableSpan
        guard let packet = try? reader.next(in: &span, position: &position) else { return nil }
        if packet.isAssembled { return Array(reader.assembled[packet.payload]) }
        return Array(copying: span.span.extracting(packet.payload))
    }

    private func takeKeys() {
        finishExchange()
        guard let pending else { return }
        reader.take(pending.inbound, resetsSequence: methods.contains(AlgorithmNames.strictClient))
    }

    static let version = "SSH-2.0-raw"

    func sendVersion() { sendRaw(Array("\(Self.version)\r\n".utf8)) }

    func initMessage(guesses: Bool = false, methods: [String]? = nil) -> [UInt8] {
        KeyExchangeInitMessage(
            cookie: [UInt8](repeating: 9, count: 16), keyExchange: methods ?? self.methods, hostKeys: ["ssh-ed25519"],
            encryption: ["aes128-gcm@openssh.com"], mac: ["hmac-sha2-256"], firstKeyExchangePacketFollows: guesses
        ).payload()
    }

    private let agreement = KeyAgreement.generate(.x25519, randomness: SeededRandomness(seed: 79))

    func sendInit(guesses: Bool = false, methods: [String]? = nil) {
        ourInit = initMessage(guesses: guesses, methods: methods)
        send(ourInit)
    }

    func sendShare() { send(KeyExchangeECDHInitMessage(clientPublicKey: agreement.publicKey).payload()) }

    /// Derives the keys from what the server has answered.
    private func finishExchange() {
        guard let reply = received.last(where: { $0[0] == 31 }).flatMap({ try? KeyExchangeECDHReplyMessage(payload: $0) }),
            let theirInit = received.last(where: { $0[0] == 20 }), let version = received.first,
            let secret = try? agreement.sharedSecret(with: reply.serverPublicKey)
        else { return }
        let hash = ExchangeHash(
            clientIdentification: Self.version, serverIdentification: String(decoding: version.dropLast(2), as: UTF8.self),
            clientInit: ourInit, serverInit: theirInit, hostKey: reply.hostKey, clientShare: agreement.publicKey,
            serverShare: reply.serverPublicKey, secret: secret
        ).compute(with: .sha256)
        if sessionIdentifier.isEmpty { sessionIdentifier = hash }
        let derivation = KeyDerivation(secret: secret, exchangeHash: hash, sessionIdentifier: sessionIdentifier, hash: .sha256)
        let algorithm = PacketAlgorithm.aesGCM(keyBytes: 16)
        pending = (
            PacketProtection(algorithm, keys: derivation.keys(for: algorithm, clientToServer: true), isSealing: true),
            PacketProtection(algorithm, keys: derivation.keys(for: algorithm, clientToServer: false), isSealing: false)
        )
    }

    func sendNewKeys() {
        send([21])
        guard let pending else { return }
        writer.take(pending.outbound, resetsSequence: methods.contains(AlgorithmNames.strictClient))
    }

    func exchangeKeys() {
        sendInit()
        sendShare()
        sendNewKeys()
    }

    func connect() {
        sendVersion()
        exchangeKeys()
    }

    func requestService() { send(ServiceRequestMessage(service: ServiceName.userAuth).payload()) }

    /// A signed request as it should be; `change` makes it what it should not be.
    func sendSignedRequest(
        user: String = "alice", key: PrivateKey = EnginePair.userKey, as blob: [UInt8]? = nil, algorithm: String? = nil,
        session: [UInt8]? = nil
    ) {
        let certificate = EnginePair.userCertificate(key: key)
        let blob = blob ?? certificate.blob
        let name = algorithm ?? certificate.typeName
        let signed = UserAuthRequestMessage.signedData(
            sessionIdentifier: session ?? sessionIdentifier, user: user, service: ServiceName.connection, algorithm: name, key: blob)
        let signature = try? key.sign(signed).encoded()
        send(UserAuthRequestMessage(user: user, method: .publicKey(.init(algorithm: name, key: blob, signature: signature))).payload())
    }

    func logIn() {
        connect()
        requestService()
        sendSignedRequest()
    }

    /// A channel of the client's number 5, accepted.
    func openChannel() -> UInt32 {
        send(ChannelOpenMessage(type: "session", senderChannel: 5, initialWindowSize: 1000, maximumPacketSize: 100).payload())
        guard case .channelOpenRequested(let offer)? = events.last else { return .max }
        server.acceptChannel(offer.id)
        read()
        return offer.id.number
    }
}
