internal import Base
internal import SSHWire

/// What each message of the peer does, layer by layer; the gate has let it pass.
extension SSHEngine {
    // MARK: Transport

    mutating func handleTransport(
        _ message: MessageNumber, _ payload: Span<UInt8>, _ sequenceNumber: UInt32
    ) throws(SSHError) -> EngineEvent? {
        switch message {
        case .disconnect:
            let disconnect = try decode(payload) as DisconnectMessage
            isFinished = true
            return .disconnected(reason: disconnect.reason, message: disconnect.description.withoutControls)
        case .keyExchangeInit:
            let wasRunning = keyExchange.isRunning
            let sent = try keyExchange.receiveInit(Array(copying: payload), sequenceNumber: sequenceNumber, randomness: randomness)
            if !wasRunning {
                keyExchangeBegan = now
                outbox.block()
            }
            for payload in sent { outbox.writer.write(payload) }
            return nil
        case .keyExchangeECDHInit:
            let answer = try keyExchange.receiveShare(
                try decode(payload), identifications: (peerIdentification, ourIdentification), randomness: randomness)
            outbox.writer.write(answer.reply)
            try takeOutbound(answer.outbound)
            return nil
        case .keyExchangeECDHReply:
            let offer = try keyExchange.receiveReply(try decode(payload), identifications: (ourIdentification, peerIdentification))
            guard let offer else {
                try takeOutbound(keyExchange.acceptHostKey())
                return nil
            }
            return .hostKeyOffered(ask(.hostKey), offer)
        case .newKeys:
            _ = try decode(payload) as NewKeysMessage
            let (inbound, summary) = keyExchange.receiveNewKeys()
            reader.take(inbound, resetsSequence: keyExchange.isStrict)
            isFirstExchange = false
            rekeyPolicy.keysTaken(now: now)
            return .keysExchanged(summary)
        case .ignore, .unimplemented, .debug, .serviceRequest, .serviceAccept, .extensionInfo, .userAuthRequest, .userAuthFailure,
            .userAuthSuccess, .userAuthBanner, .userAuthPublicKeyOK, .globalRequest, .requestSuccess, .requestFailure, .channelOpen,
            .channelOpenConfirmation, .channelOpenFailure, .channelWindowAdjust, .channelData, .channelExtendedData, .channelEOF,
            .channelClose, .channelRequest, .channelSuccess, .channelFailure:
            preconditionFailure("not of this layer")
        }
    }

    mutating func beginKeyExchange() {
        keyExchangeBegan = now
        for payload in keyExchange.begin(randomness: randomness) { outbox.writer.write(payload) }
        outbox.block()
    }

    /// Our NEWKEYS goes out and what waited goes out under the new keys.
    mutating func takeOutbound(_ protection: PacketProtection) throws(SSHError) {
        outbox.writer.write(NewKeysMessage().payload())
        outbox.writer.take(protection, resetsSequence: keyExchange.isStrict)
        if isFirstExchange {
            switch authentication {
            case .server:
                if keyExchange.peerTakesExtensionInfo {
                    let names = AlgorithmNames.serverSignatureAlgorithms
                    outbox.writer.write(ExtensionInfoMessage(serverSignatureAlgorithms: names).payload())
                }
            case .client(var client):
                let (service, step) = try client.begin(
                    sessionIdentifier: keyExchange.sessionIdentifier, knowsAlgorithms: isPeerOurs)
                authentication = .client(client)
                outbox.writer.write(service)
                if let event = take(step) { events.append(event) }
            }
        }
        outbox.unblock()
        connection.flushAll(&outbox, &events)
    }

    mutating func beginRekeyIfDue() {
        guard upperPhase == .connection, !keyExchange.isRunning, !isFinished else { return }
        if rekeyPolicy.isDue(
            bytes: max(reader.bytesOpened, outbox.writer.bytesSealed), packets: max(reader.packetsOpened, outbox.writer.packetsSealed))
        {
            beginKeyExchange()
        }
    }

    // MARK: User authentication

    mutating func handleUserAuth(_ message: MessageNumber, _ payload: Span<UInt8>) throws(SSHError) -> EngineEvent? {
        switch authentication {
        case .server(var server):
            let event = try handleUserAuth(message, payload, &server)
            authentication = .server(server)
            return event
        case .client(var client):
            let event = try handleUserAuth(message, payload, &client)
            authentication = .client(client)
            return event
        }
    }

    private mutating func handleUserAuth(
        _ message: MessageNumber, _ payload: Span<UInt8>, _ server: inout UserAuthServer
    ) throws(SSHError) -> EngineEvent? {
        if message == .serviceRequest {
            for answer in try server.receive(try decode(payload) as ServiceRequestMessage) { outbox.send(answer) }
            upperPhase = .userAuth
        } else if message == .userAuthRequest {
            switch try server.receive(try decode(payload) as UserAuthRequestMessage, sessionIdentifier: keyExchange.sessionIdentifier) {
            case .send(let answers): for answer in answers { outbox.send(answer) }
            case .ask(let attempt): return .userAuthAttempted(ask(.userAuth), attempt)
            }
        } else {
            // A client's EXT_INFO says nothing that a server has use for.
            precondition(message == .extensionInfo, "the gate lets a server's message pass")
            _ = try decode(payload) as ExtensionInfoMessage
        }
        return nil
    }

    private mutating func handleUserAuth(
        _ message: MessageNumber, _ payload: Span<UInt8>, _ client: inout UserAuthClient
    ) throws(SSHError) -> EngineEvent? {
        let session = keyExchange.sessionIdentifier
        switch message {
        case .extensionInfo:
            client.receive(try decode(payload) as ExtensionInfoMessage)
            return nil
        case .serviceAccept:
            let step = try client.receive(try decode(payload) as ServiceAcceptMessage, sessionIdentifier: session)
            upperPhase = .userAuth
            return take(step)
        case .userAuthFailure:
            return take(try client.receive(try decode(payload) as UserAuthFailureMessage, sessionIdentifier: session))
        case .userAuthSuccess:
            _ = try decode(payload) as UserAuthSuccessMessage
            try client.receiveSuccess()
            return succeed(client.user)
        case .userAuthBanner:
            let banner = try decode(payload) as UserAuthBannerMessage
            return .banner(banner.message.withoutControls)
        case .userAuthPublicKeyOK:
            throw SSHError(.keyQueryAnswered)
        case .disconnect, .ignore, .unimplemented, .debug, .keyExchangeInit, .newKeys, .keyExchangeECDHInit, .keyExchangeECDHReply,
            .serviceRequest, .userAuthRequest, .globalRequest, .requestSuccess, .requestFailure, .channelOpen, .channelOpenConfirmation,
            .channelOpenFailure, .channelWindowAdjust, .channelData, .channelExtendedData, .channelEOF, .channelClose, .channelRequest,
            .channelSuccess, .channelFailure:
            preconditionFailure("not of this layer")
        }
    }

    mutating func take(_ step: UserAuthClient.Step) -> EngineEvent? {
        switch step {
        case .send(let payloads):
            for payload in payloads { outbox.send(payload) }
            return nil
        case .request(let payload, let isLast):
            outbox.send(payload)
            guard isLast, isPeerOurs else { return nil }
            isAhead = true
            return .loginSent
        case .sign(let request):
            return .signatureWanted(ask(.signature), request)
        }
    }

    mutating func succeed(_ user: String) -> EngineEvent {
        self.user = user
        isAhead = false
        upperPhase = .connection
        reader.lengthMax = PacketReader.lengthMax
        return .authenticated(user: user)
    }

    // MARK: Connection

    mutating func handleConnection(_ message: MessageNumber, _ payload: Span<UInt8>) throws(SSHError) -> EngineEvent? {
        switch message {
        case .channelOpen: return connection.receive(try decode(payload) as ChannelOpenMessage, &outbox)
        case .channelOpenConfirmation:
            return try connection.receive(try decode(payload) as ChannelOpenConfirmationMessage, &outbox, &events)
        case .channelOpenFailure: return try connection.receive(try decode(payload) as ChannelOpenFailureMessage)
        case .channelEOF: return try connection.receiveEOF(try decode(payload))
        case .channelClose: return try connection.receiveClose(try decode(payload), &outbox)
        case .channelRequest: return try connection.receive(try decode(payload) as ChannelRequestMessage)
        case .channelSuccess:
            let reply = try decode(payload) as ChannelSuccessMessage
            return try connection.receiveReply(channel: reply.recipientChannel, success: true)
        case .channelFailure:
            let reply = try decode(payload) as ChannelFailureMessage
            return try connection.receiveReply(channel: reply.recipientChannel, success: false)
        case .globalRequest: return try connection.receive(try decode(payload) as GlobalRequestMessage)
        case .requestSuccess:
            return try connection.receiveGlobalReply(success: true, payload: (try decode(payload) as RequestSuccessMessage).payload)
        case .requestFailure:
            _ = try decode(payload) as RequestFailureMessage
            return try connection.receiveGlobalReply(success: false, payload: [])
        case .disconnect, .ignore, .unimplemented, .debug, .keyExchangeInit, .newKeys, .keyExchangeECDHInit, .keyExchangeECDHReply,
            .serviceRequest, .serviceAccept, .extensionInfo, .userAuthRequest, .userAuthFailure, .userAuthSuccess, .userAuthBanner,
            .userAuthPublicKeyOK, .channelWindowAdjust, .channelData, .channelExtendedData:
            preconditionFailure("not of this layer")
        }
    }
}
