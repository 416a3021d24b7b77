internal import Base
internal import Crypto
internal import SSHWire

/// The key exchange of RFC 4253 §7 and §8: one machine for the first and for every rekey, in either role.
///
///     idle ──ours──▶ initSent ──theirs──▶ awaitingShare (server) / awaitingReply (client) ──▶ [host key answer] ──▶ awaitingNewKeys ──▶ idle
///       └───────────────theirs────────────────▲
struct KeyExchange: ~Copyable {
    /// Both KEXINITs and what follows from them.
    private struct Offers {
        let algorithms: NegotiatedAlgorithms
        let clientInit: [UInt8]
        let serverInit: [UInt8]
    }

    /// The new keys of both directions, before they are in use.
    private struct NewKeys {
        let outbound: PacketProtection
        let inbound: PacketProtection
        let summary: KeyExchangeSummary
    }

    private enum State {
        case idle
        /// As a client, perhaps with a share for the method that we like best (RFC 4253 §7, `first_kex_packet_follows`).
        case initSent(ours: [UInt8], guess: KeyAgreement?)
        /// Server: the client's share is next.
        case awaitingShare(Offers)
        /// Client: our share is out.
        case awaitingReply(Offers, KeyAgreement)
        /// Client: the signature is right; whether the key is, is asked.
        case awaitingHostKeyAnswer(NewKeys, hostKey: [UInt8])
        /// Our NEWKEYS is out and our new keys are in use.
        case awaitingNewKeys(inbound: PacketProtection, KeyExchangeSummary)
    }

    private let role: EngineRole
    private let algorithms: AlgorithmPreferences
    private let hostKeys: [HostKey]
    private let prefersOwnOrder: Bool
    private let guesses: Bool
    private var state = State.idle
    /// What a server that prefers its own order offered first; the same again whenever it begins.
    private var ownCiphers: [String]

    /// The exchange hash of the first exchange; empty before.
    private(set) var sessionIdentifier: [UInt8] = []
    /// Whether both sides announced strict key exchange in their first KEXINIT.
    private(set) var isStrict = false
    /// Whether the client may be sent EXT_INFO (RFC 8308 §2.1).
    private(set) var peerTakesExtensionInfo = false
    /// Whether the peer's next key exchange packet was sent on a wrong guess and is to be dropped.
    private(set) var dropsGuess = false
    /// The host key that the caller accepted: a rekey with the same one asks nothing.
    private var acceptedHostKey: [UInt8]?

    init(role: EngineRole, configuration: EngineConfiguration) {
        self.role = role
        algorithms = configuration.algorithms
        ownCiphers = configuration.algorithms.cipher
        switch configuration.role {
        case .client(let options):
            hostKeys = []
            prefersOwnOrder = false
            guesses = options.goesAhead
        case .server(let options):
            hostKeys = options.hostKeys
            guesses = false
            prefersOwnOrder = options.prefersOwnOrder
        }
    }

    // MARK: State

    private var isFirst: Bool { sessionIdentifier.isEmpty }

    var isRunning: Bool {
        switch state {
        case .idle: false
        case .initSent, .awaitingShare, .awaitingReply, .awaitingHostKeyAnswer, .awaitingNewKeys: true
        }
    }

    /// Between our KEXINIT and our NEWKEYS nothing of the upper layers may be sent (RFC 4253 §7.1).
    var blocksOutput: Bool {
        switch state {
        case .idle, .awaitingNewKeys: false
        case .initSent, .awaitingShare, .awaitingReply, .awaitingHostKeyAnswer: true
        }
    }

    /// Where the peer is, given where it is in the upper layers.
    func gatePhase(_ upper: GatePhase, isFirstExchange: Bool) -> GatePhase {
        switch state {
        case .idle, .initSent: isFirstExchange ? .firstInit : upper
        case .awaitingShare, .awaitingReply, .awaitingHostKeyAnswer: isFirstExchange ? .firstReply : .rekeyReply
        case .awaitingNewKeys: isFirstExchange ? .firstNewKeys : .rekeyNewKeys
        }
    }

    mutating func guessDropped() {
        dropsGuess = false
    }

    // MARK: KEXINIT

    /// Whether our first KEXINIT waits for the client's.
    var holdsFirstInit: Bool { role == .server && prefersOwnOrder }

    /// Whether a guessed share is out and the server's KEXINIT, or what it makes of the guess, is to come.
    var awaitsVerdictOnGuess: Bool {
        switch state {
        case .initSent, .awaitingReply: guesses && isFirst
        case .idle, .awaitingShare, .awaitingHostKeyAnswer, .awaitingNewKeys: false
        }
    }

    /// - Returns: the payloads of our KEXINIT and of the share that follows it on a guess.
    mutating func begin(randomness: any Randomness) -> [[UInt8]] {
        switch state {
        case .idle:
            let method = guesses && isFirst ? algorithms.keyExchange.first.flatMap(KeyExchangeMethod.init(name:)) : nil
            let guess = method.map { KeyAgreement.generate($0.curve, randomness: randomness) }
            let payload = ourInit(randomness, guesses: guess != nil).payload()
            state = .initSent(ours: payload, guess: guess)
            guard let guess else { return [payload] }
            return [payload, KeyExchangeECDHInitMessage(clientPublicKey: guess.publicKey).payload()]
        case .initSent, .awaitingShare, .awaitingReply, .awaitingHostKeyAnswer, .awaitingNewKeys:
            preconditionFailure("a key exchange is running")
        }
    }

    private func ourInit(_ randomness: any Randomness, guesses: Bool) -> KeyExchangeInitMessage {
        var methods = algorithms.keyExchange
        if isFirst {
            switch role {
            case .client: methods += [AlgorithmNames.extensionInfoClient, AlgorithmNames.strictClient]
            case .server: methods += [AlgorithmNames.strictServer]
            }
        }
        return KeyExchangeInitMessage(
            cookie: randomness.bytes(KeyExchangeInitMessage.cookieBytes), keyExchange: methods, hostKeys: hostKeyNames,
            encryption: ownCiphers, mac: algorithms.mac, firstKeyExchangePacketFollows: guesses)
    }

    private var hostKeyNames: [String] {
        switch role {
        case .client:
            return algorithms.hostKey
        case .server:
            let certified = hostKeys.filter { $0.certificate != nil }
            return certified.flatMap { $0.key.publicKey.type.signatureAlgorithms.map(\.certificateName) }
                + hostKeys.flatMap { $0.key.publicKey.type.signatureAlgorithms.map(\.rawValue) }
        }
    }

    /// - Parameter payload: the peer's KEXINIT as it came.
    /// - Returns: what is to be sent, in order.
    mutating func receiveInit(_ payload: [UInt8], sequenceNumber: UInt32, randomness: any Randomness) throws(SSHError) -> [[UInt8]] {
        let theirs: KeyExchangeInitMessage
        do throws(WireError) {
            theirs = try KeyExchangeInitMessage(payload: payload)
        } catch {
            throw SSHError(.malformedMessage(MessageNumber.keyExchangeInit.rawValue, error))
        }
        var sent: [[UInt8]] = []
        let ours: [UInt8]
        var guess: KeyAgreement?
        switch state {
        case .idle:
            if role == .server, prefersOwnOrder {
                ownCiphers = Negotiation.favourite(
                    of: algorithms.cipher, among: theirs.encryptionServerToClient.filter(theirs.encryptionClientToServer.contains))
            }
            sent = begin(randomness: randomness)
            ours = sent[0]
        case .initSent(let payload, let sentGuess):
            ours = payload
            guess = sentGuess
        case .awaitingShare, .awaitingReply, .awaitingHostKeyAnswer, .awaitingNewKeys:
            preconditionFailure("the gate lets a second KEXINIT pass")
        }
        let offers = try negotiate(ours: ours, theirs: theirs, theirPayload: payload, sequenceNumber: sequenceNumber)
        switch role {
        case .server:
            state = .awaitingShare(offers)
        case .client:
            if let guess, !offers.algorithms.clientGuessedWrong {
                state = .awaitingReply(offers, guess)
            } else {
                let agreement = KeyAgreement.generate(offers.algorithms.method.curve, randomness: randomness)
                sent.append(KeyExchangeECDHInitMessage(clientPublicKey: agreement.publicKey).payload())
                state = .awaitingReply(offers, agreement)
            }
        }
        return sent
    }

    private mutating func negotiate(
        ours payload: [UInt8], theirs: KeyExchangeInitMessage, theirPayload: [UInt8], sequenceNumber: UInt32
    ) throws(SSHError) -> Offers {
        guard let ours = try? KeyExchangeInitMessage(payload: payload) else { preconditionFailure("our own KEXINIT is malformed") }
        let client = role == .client ? ours : theirs
        let server = role == .client ? theirs : ours
        if isFirst {
            isStrict =
                client.keyExchangeAlgorithms.contains(AlgorithmNames.strictClient)
                && server.keyExchangeAlgorithms.contains(AlgorithmNames.strictServer)
            peerTakesExtensionInfo = client.keyExchangeAlgorithms.contains(AlgorithmNames.extensionInfoClient)
            // Whatever came before it could have been put there by somebody in the middle (CVE-2023-48795).
            if isStrict, sequenceNumber != 0 { throw SSHError(.keyExchangeInitNotFirst) }
        }
        let chosen = try Negotiation.choose(client: client, server: server)
        dropsGuess = role == .server ? chosen.clientGuessedWrong : chosen.serverGuessedWrong
        return Offers(
            algorithms: chosen, clientInit: role == .client ? payload : theirPayload, serverInit: role == .client ? theirPayload : payload)
    }

    // MARK: Shares and keys

    struct ServerAnswer {
        let reply: [UInt8]
        let outbound: PacketProtection
    }

    /// Server: the client's share has come.
    mutating func receiveShare(
        _ message: KeyExchangeECDHInitMessage, identifications: (client: String, server: String), randomness: any Randomness
    ) throws(SSHError) -> ServerAnswer {
        guard case .awaitingShare(let offers) = state else { preconditionFailure("the gate lets a share pass") }
        let agreement = KeyAgreement.generate(offers.algorithms.method.curve, randomness: randomness)
        let secret = try agree(agreement, with: message.clientPublicKey)
        let algorithm = offers.algorithms.hostKey
        let key = hostKeys.first {
            $0.key.publicKey.type == algorithm.signature.keyType && (!algorithm.isCertificate || $0.certificate != nil)
        }
        guard let key else { preconditionFailure("agreed on a host key that we do not have") }
        let blob = algorithm.isCertificate ? key.certificate?.blob ?? [] : key.key.publicKey.blob
        let hash = ExchangeHash(
            clientIdentification: identifications.client, serverIdentification: identifications.server, clientInit: offers.clientInit,
            serverInit: offers.serverInit, hostKey: blob, clientShare: message.clientPublicKey, serverShare: agreement.publicKey,
            secret: secret
        ).compute(with: offers.algorithms.method.hash)
        let signature: Signature
        do throws(KeyError) {
            signature = try key.key.sign(hash, with: algorithm.signature)
        } catch {
            throw SSHError(.hostKeyUnusable(error))
        }
        let keys = deriveKeys(offers, secret: secret, exchangeHash: hash)
        state = .awaitingNewKeys(inbound: keys.inbound, keys.summary)
        let reply = KeyExchangeECDHReplyMessage(hostKey: blob, serverPublicKey: agreement.publicKey, signature: signature.encoded())
        return ServerAnswer(reply: reply.payload(), outbound: keys.outbound)
    }

    /// Client: the server's share, key and signature have come.
    ///
    /// - Returns: the key to ask about; nil where it is the one that was accepted before.
    mutating func receiveReply(
        _ message: KeyExchangeECDHReplyMessage, identifications: (client: String, server: String)
    ) throws(SSHError) -> HostKeyOffer? {
        guard case .awaitingReply(let offers, let agreement) = state else { preconditionFailure("the gate lets a reply pass") }
        let secret = try agree(agreement, with: message.serverPublicKey)
        let hash = ExchangeHash(
            clientIdentification: identifications.client, serverIdentification: identifications.server, clientInit: offers.clientInit,
            serverInit: offers.serverInit, hostKey: message.hostKey, clientShare: agreement.publicKey,
            serverShare: message.serverPublicKey, secret: secret
        ).compute(with: offers.algorithms.method.hash)
        let algorithm = offers.algorithms.hostKey
        let identity: KeyIdentity
        do throws(KeyError) {
            identity = try KeyIdentity(blob: message.hostKey, algorithm: algorithm)
        } catch {
            throw SSHError(.hostKeyMalformed(error))
        }
        guard let signature = try? Signature(decoding: message.signature) else { throw SSHError(.hostKeySignature(.badSignature)) }
        do throws(KeyError) {
            try identity.publicKey.verify(signature, over: hash, allowed: [algorithm.signature])
        } catch {
            throw SSHError(.hostKeySignature(error))
        }
        state = .awaitingHostKeyAnswer(deriveKeys(offers, secret: secret, exchangeHash: hash), hostKey: message.hostKey)
        if acceptedHostKey == message.hostKey { return nil }
        return HostKeyOffer(algorithm: algorithm.name, blob: message.hostKey, identity: identity)
    }

    /// Client: the host key is right.
    ///
    /// - Returns: the keys to use after our NEWKEYS.
    mutating func acceptHostKey() -> PacketProtection {
        guard case .awaitingHostKeyAnswer(let keys, let hostKey) = state else { preconditionFailure("no host key is in question") }
        acceptedHostKey = hostKey
        state = .awaitingNewKeys(inbound: keys.inbound, keys.summary)
        return keys.outbound
    }

    /// - Returns: the keys that the peer's next packet comes under.
    mutating func receiveNewKeys() -> (inbound: PacketProtection, summary: KeyExchangeSummary) {
        guard case .awaitingNewKeys(let inbound, let summary) = state else { preconditionFailure("the gate lets NEWKEYS pass") }
        state = .idle
        return (inbound, summary)
    }

    private func agree(_ agreement: KeyAgreement, with share: [UInt8]) throws(SSHError) -> [UInt8] {
        do throws(CryptoError) {
            return try agreement.sharedSecret(with: share)
        } catch {
            throw SSHError(.badKeyShare)
        }
    }

    private mutating func deriveKeys(_ offers: Offers, secret: [UInt8], exchangeHash: [UInt8]) -> NewKeys {
        let isRekey = !isFirst
        if !isRekey { sessionIdentifier = exchangeHash }
        let chosen = offers.algorithms
        let derivation = KeyDerivation(
            secret: secret, exchangeHash: exchangeHash, sessionIdentifier: sessionIdentifier, hash: chosen.method.hash)
        let isClient = role == .client
        return NewKeys(
            outbound: PacketProtection(
                isClient ? chosen.clientToServer : chosen.serverToClient,
                keys: derivation.keys(for: isClient ? chosen.clientToServer : chosen.serverToClient, clientToServer: isClient),
                isSealing: true),
            inbound: PacketProtection(
                isClient ? chosen.serverToClient : chosen.clientToServer,
                keys: derivation.keys(for: isClient ? chosen.serverToClient : chosen.clientToServer, clientToServer: !isClient),
                isSealing: false),
            summary: KeyExchangeSummary(
                isRekey: isRekey, keyExchange: chosen.keyExchangeName, hostKey: chosen.hostKey.name,
                cipherFromClient: chosen.clientToServer.name, cipherFromServer: chosen.serverToClient.name, isStrict: isStrict))
    }
}
