import Base
import SSHWire

@testable import SSHEngine

/// Two engines that speak to each other in memory, with a clock that only the test moves and deliveries in chunks of any size.
final class EnginePair {
    /// What one side has seen and how it behaves.
    struct Side {
        var events: [EngineEvent] = []
        var error: SSHError?
        var received: [ChannelID: [UInt8]] = [:]
        var extended: [ChannelID: [UInt8]] = [:]
        var opened: [ChannelID] = []
        var requests: [ChannelRequestOffer] = []
        var requestReplies: [Bool] = []
        var globalReplies: [Bool] = []
        var ends: [ChannelID] = []
        var closed: [ChannelID] = []
        var refused: [ChannelOpenFailureReason] = []
        var exchanges: [KeyExchangeSummary] = []
        var attempts: [UserAuthAttempt] = []
        var offers: [HostKeyOffer] = []
        var writable: [ChannelID] = []
        /// Whether received data is consumed at once.
        var consumes = true
        /// Bytes of a channel that goes on sending as long as it is writable.
        var source: (id: ChannelID, left: Int)?
        var isAuthenticated = false
        var globalRequests: [String] = []
    }

    static let userKey = PrivateKey.generate(randomness: SeededRandomness(seed: 1))
    static let hostKey = PrivateKey.generate(randomness: SeededRandomness(seed: 2))
    static let authorityKey = PrivateKey.generate(randomness: SeededRandomness(seed: 3))
    static let wallTime = UnixTime(seconds: 1_800_000_000)

    var client: SSHEngine
    var server: SSHEngine
    var clientSide = Side()
    var serverSide = Side()
    var now = Instant(nanoseconds: 1_000_000_000)
    var chunk = Int.max
    var answersHostKey: (HostKeyOffer) -> HostKeyAnswer? = { _ in .accept }
    var answersUser: (UserAuthAttempt) -> UserAuthAnswer? = { _ in .accept }
    var opensChannel: (ChannelOpenOffer) -> Bool? = { _ in true }
    var answersRequest: (ChannelRequestOffer) -> Bool? = { _ in true }
    /// What the client does behind its login, where it goes ahead.
    var loginSent: (inout SSHEngine) -> Void = { _ in }

    static func clientConfiguration(credentials: [UserCredential]? = nil) -> EngineConfiguration {
        EngineConfiguration(
            role: .client(
                ClientOptions(
                    user: "alice",
                    credentials: credentials ?? [UserCredential(identity: .certificate(userCertificate()), signer: .key(userKey))])))
    }

    static func serverConfiguration() -> EngineConfiguration {
        EngineConfiguration(role: .server(ServerOptions(hostKeys: [HostKey(key: hostKey, certificate: hostCertificate())])))
    }

    static func userCertificate(key: PrivateKey = userKey) -> Certificate {
        certificate(kind: .user, key: key.publicKey, principals: ["alice"])
    }

    static func hostCertificate() -> Certificate {
        certificate(kind: .host, key: hostKey.publicKey, principals: ["node"])
    }

    private static func certificate(kind: CertificateKind, key: PublicKey, principals: [String]) -> Certificate {
        let request = CertificateSigner.Request(
            kind: kind, publicKey: key, keyID: "alice", validPrincipals: principals, validAfter: UnixTime(seconds: 1_700_000_000),
            validBefore: UnixTime(seconds: 1_900_000_000))
        do {
            return try CertificateSigner(key: authorityKey, randomness: SeededRandomness(seed: 4)).sign(request)
        } catch {
            preconditionFailure("a certificate for tests: \(error)")
        }
    }

    init(client: EngineConfiguration = clientConfiguration(), server: EngineConfiguration = serverConfiguration()) {
        self.client = SSHEngine(configuration: client, randomness: SeededRandomness(seed: 11), now: now)
        self.server = SSHEngine(configuration: server, randomness: SeededRandomness(seed: 12), now: now)
    }

    /// Delivers until nobody has anything to say.
    func drive() {
        for _ in 0..<1_000_000 {
            feedSources()
            let toServer = take(&client)
            let toClient = take(&server)
            if toServer.isEmpty, toClient.isEmpty {
                // Answers may have let an engine go on with what it held.
                let before = (client.outputCount, server.outputCount)
                deliver([], toServer: true)
                deliver([], toServer: false)
                feedSources()
                if before == (client.outputCount, server.outputCount) { return }
            }
            deliver(toServer, toServer: true)
            deliver(toClient, toServer: false)
        }
        preconditionFailure("the pair never comes to rest")
    }

    /// How often a line of some length is crossed there and back until `done`; what both sides have said crosses at once.
    func roundTrips(until done: (EnginePair) -> Bool) -> Int? {
        for crossing in 0..<100 {
            if done(self) { return crossing / 2 }
            let toServer = take(&client)
            let toClient = take(&server)
            deliver(toServer, toServer: true)
            deliver(toClient, toServer: false)
        }
        return nil
    }

    private func take(_ engine: inout SSHEngine) -> [UInt8] {
        let bytes = Array(copying: engine.output)
        engine.consumeOutput(bytes.count)
        return bytes
    }

    func deliver(_ bytes: [UInt8], toServer: Bool) {
        var start = 0
        repeat {
            let end = min(bytes.count, chunk == .max ? bytes.count : start + chunk)
            var part = Array(bytes[start..<end])
            if toServer {
                Self.run(&server, &serverSide, &part, self)
            } else {
                Self.run(&client, &clientSide, &part, self)
            }
            start = end
        } while start < bytes.count
    }

    private static func run(_ engine: inout SSHEngine, _ side: inout Side, _ part: inout [UInt8], _ pair: EnginePair) {
        guard side.error == nil else { return }
        var span = part.mutableSpan
        do throws(SSHError) {
            while let event = try engine.nextEvent(in: &span, now: pair.now) {
                try handle(event, &engine, &side, span.span, pair)
            }
        } catch {
            side.error = error
        }
    }

    private static func handle(
        _ event: EngineEvent, _ engine: inout SSHEngine, _ side: inout Side, _ input: Span<UInt8>, _ pair: EnginePair
    ) throws(SSHError) {
        switch event {
        case .keysExchanged(let summary): side.exchanges.append(summary)
        case .hostKeyOffered(let token, let offer):
            side.offers.append(offer)
            if let answer = pair.answersHostKey(offer) { try engine.resolve(hostKey: token, answer) }
        case .signatureWanted(let token, let request):
            let algorithm = PublicKeyAlgorithm(name: request.algorithm)?.signature ?? .ed25519
            try engine.resolve(signature: token, try? EnginePair.userKey.sign(request.bytes, with: algorithm).encoded())
        case .userAuthAttempted(let token, let attempt):
            side.attempts.append(attempt)
            if let answer = pair.answersUser(attempt) { try engine.resolve(userAuth: token, answer) }
        case .banner: break
        case .loginSent: pair.loginSent(&engine)
        case .authenticated: side.isAuthenticated = true
        case .channelOpenRequested(let offer):
            side.opened.append(offer.id)
            switch pair.opensChannel(offer) {
            case true?: engine.acceptChannel(offer.id)
            case false?: engine.refuseChannel(offer.id, reason: .administrativelyProhibited, message: "no")
            case nil: break
            }
        case .channelOpened(let id, _): side.opened.append(id)
        case .channelRefused(_, let reason, _): side.refused.append(reason)
        case .channelData(let id, let bytes):
            append(bytes, input, to: &side.received[id, default: []])
            if side.consumes { engine.consumed(bytes.count, on: id) }
        case .channelExtendedData(let id, _, let bytes):
            append(bytes, input, to: &side.extended[id, default: []])
            if side.consumes { engine.consumed(bytes.count, on: id) }
        case .channelRequest(let id, let offer):
            side.requests.append(offer)
            if offer.wantsReply, let success = pair.answersRequest(offer) { engine.replyToRequest(on: id, success: success) }
        case .channelRequestReply(_, let success): side.requestReplies.append(success)
        case .channelEOF(let id): side.ends.append(id)
        case .channelClosed(let id): side.closed.append(id)
        case .channelWritable(let id): side.writable.append(id)
        case .globalRequest(let offer):
            side.globalRequests.append(offer.name)
            if offer.wantsReply { engine.replyToGlobalRequest(success: offer.name.hasPrefix("yes")) }
        case .globalReply(let success, _): side.globalReplies.append(success)
        case .disconnected: break
        }
        side.events.append(event)
    }

    private static func append(_ bytes: ReceivedBytes, _ input: Span<UInt8>, to store: inout [UInt8]) {
        switch bytes {
        case .input(let range): store.append(copying: input.extracting(range))
        case .assembled(let assembled, let range): store += assembled[range]
        }
    }

    private func feedSources() {
        Self.feed(&client, &clientSide)
        Self.feed(&server, &serverSide)
    }

    private static func feed(_ engine: inout SSHEngine, _ side: inout Side) {
        while let source = side.source, source.left > 0, engine.isWritable(source.id) {
            let part = [UInt8](repeating: UInt8(truncatingIfNeeded: source.left), count: min(source.left, 50_000))
            engine.send(part.span, on: source.id)
            side.source = (source.id, source.left - part.count)
        }
    }

    // An engine cannot be copied into an expectation: what is expected of one is read here.
    var clientDeadline: Instant? { client.nextDeadline }
    var serverDeadline: Instant? { server.nextDeadline }
    var clientStorageBytes: Int { client.outbox.writer.storageBytes }
    var clientOutputCount: Int { client.outputCount }
    var serverOutputCount: Int { server.outputCount }
    var clientSession: [UInt8] { client.sessionIdentifier }
    var serverSession: [UInt8] { server.sessionIdentifier }
    var channelCounts: (client: Int, server: Int) { (client.channelCount, server.channelCount) }
    var wantsInput: (client: Bool, server: Bool) { (client.wantsInput, server.wantsInput) }

    /// A session channel, open on both sides.
    func openChannel() -> (client: ChannelID, server: ChannelID) {
        guard let id = client.openChannel(type: "session", payload: []) else { preconditionFailure("no room for a channel") }
        drive()
        guard let other = serverSide.opened.last else { preconditionFailure("the server saw no channel") }
        return (id, other)
    }
}
