package import Base
package import SSHWire

/// The SSH protocol (RFC 4251-4254) over one connection, in either role: bytes and commands in, events and bytes out.
///
/// It has no socket, clock or randomness of its own. Whoever owns it
/// 1. hands what was read to ``nextEvent(in:now:)`` and calls it again, with the same bytes, until it returns nil;
/// 2. gives commands at any time, also between two events;
/// 3. at the end of a turn writes ``output`` and says how much with ``consumeOutput(_:)``;
/// 4. calls ``handleDeadline(now:)`` at ``nextDeadline``.
///
/// A thrown ``SSHError`` is the end: the output holds what the peer is still to be told, then the connection is closed.
/// Commands that name a channel that has closed meanwhile do nothing.
package struct SSHEngine: ~Copyable {
    /// A question that the caller has not answered.
    private enum Question {
        case hostKey
        case userAuth
        case signature
    }

    private enum Authentication {
        case client(UserAuthClient)
        case server(UserAuthServer)
    }

    /// What may come while a question is open: a client may send ahead, and more than this is no client.
    private static let heldInputBytesMax = 1 << 20

    private let role: EngineRole
    private let limits: EngineLimits
    private let randomness: any Randomness
    private let ourIdentification: String
    private let started: Instant

    private var identification: Identification?
    private var reader = PacketReader()
    private var outbox: Outbox
    private var keyExchange: KeyExchange
    private var authentication: Authentication
    private var connection: ConnectionLayer
    private var rekeyPolicy: RekeyPolicy

    /// Where the peer is above the transport.
    private var upperPhase = GatePhase.service
    private var isFirstExchange = true
    private var keyExchangeBegan: Instant
    private var question: (token: DecisionToken, Question)?
    private var questionsAsked: UInt64 = 0
    /// Found while commands and key changes were carried out, to be told before the next message.
    private var events: [EngineEvent] = []
    private var isFinished = false
    private var now: Instant

    /// Bytes of the caller's present input that have been read.
    private var inputPosition = 0
    /// Input that came while a question was open, and how much of it has been read.
    private var held: [UInt8] = []
    private var heldPosition = 0

    package private(set) var peerIdentification = ""
    package private(set) var user: String?

    package init(configuration: EngineConfiguration, randomness: any Randomness, now: Instant) {
        switch configuration.role {
        case .client(let options):
            role = .client
            authentication = .client(UserAuthClient(options: options))
        case .server(let options):
            precondition(!options.hostKeys.isEmpty, "a server without a host key")
            role = .server
            authentication = .server(UserAuthServer(banner: options.banner, attemptsMax: configuration.limits.authenticationAttemptsMax))
        }
        limits = configuration.limits
        self.randomness = randomness
        started = now
        self.now = now
        keyExchangeBegan = now
        identification = Identification(reader: role)
        ourIdentification = Identification.ours(configuration.softwareVersion)
        outbox = Outbox(writer: PacketWriter(padding: randomness.bytes(PacketWriter.paddingBytesMax)))
        keyExchange = KeyExchange(role: role, configuration: configuration)
        connection = ConnectionLayer(limits: configuration.limits)
        rekeyPolicy = RekeyPolicy(limits: configuration.rekey, now: now)

        outbox.writer.writeRaw(Array("\(ourIdentification)\r\n".utf8))
        if !keyExchange.holdsFirstInit { beginKeyExchange() }
    }

    // MARK: Bytes in, events out

    /// The next thing that has happened, or nil when all of `input` has been taken in.
    ///
    /// Packets are opened in place, so `input` changes. Where a decision is pending the rest of `input` is kept and nil is returned; after
    /// the answer, call again, with an empty span if nothing new has been read.
    package mutating func nextEvent(in input: inout MutableSpan<UInt8>, now: Instant) throws(SSHError) -> EngineEvent? {
        self.now = now
        do throws(SSHError) {
            if let event = try advance(&input) { return event }
        } catch {
            fail(error)
            throw error
        }
        inputPosition = 0
        return nil
    }

    /// Whether reading from the peer makes sense: false while a decision is pending and after the end.
    package var wantsInput: Bool { question == nil && !isFinished }

    private mutating func advance(_ input: inout MutableSpan<UInt8>) throws(SSHError) -> EngineEvent? {
        while true {
            if !events.isEmpty { return events.removeFirst() }
            if isFinished { return nil }
            if outbox.isOverfull { throw SSHError(.outputHeld(outbox.heldBytes)) }
            if question != nil {
                try hold(input)
                return nil
            }
            beginRekeyIfDue()
            if heldPosition < held.count {
                if let event = try receiveHeld() { return event }
                continue
            }
            var position = inputPosition
            let received = try receive(&input, &position)
            inputPosition = position
            switch received {
            case .nothing: return nil
            case .handled: continue
            case .event(let event): return event
            case .data(let id, let type, let bytes): return Self.event(id, type, bytes)
            }
        }
    }

    /// Keeps what the caller has read while a question is open.
    private mutating func hold(_ input: borrowing MutableSpan<UInt8>) throws(SSHError) {
        let rest = input.span.extracting(inputPosition..<input.count)
        if heldPosition > 0 {
            held.removeFirst(heldPosition)
            heldPosition = 0
        }
        guard held.count + rest.count <= Self.heldInputBytesMax else { throw SSHError(.inputHeld(rest.count)) }
        held.append(copying: rest)
        inputPosition = input.count
    }

    private mutating func receiveHeld() throws(SSHError) -> EngineEvent? {
        var bytes = held
        held = []
        var position = heldPosition
        let received = try receive(bytes: &bytes, &position)
        heldPosition = position
        held = bytes
        switch received {
        case .nothing:
            held = []
            heldPosition = 0
            return nil
        case .handled:
            return nil
        case .event(let event):
            return event
        case .data(let id, let type, .input(let range)):
            return Self.event(id, type, .assembled(bytes, range))
        case .data(let id, let type, .assembled(let assembled, let range)):
            return Self.event(id, type, .assembled(assembled, range))
        }
    }

    private static func event(_ id: ChannelID, _ type: UInt32?, _ bytes: ReceivedBytes) -> EngineEvent {
        if let type { .channelExtendedData(id, type: type, bytes) } else { .channelData(id, bytes) }
    }

    // MARK: Packets

    /// What one step into the input came to.
    private enum Received {
        /// All of it has been read.
        case nothing
        case handled
        case event(EngineEvent)
        case data(ChannelID, type: UInt32?, ReceivedBytes)

        init(_ event: EngineEvent?) {
            self = event.map { .event($0) } ?? .handled
        }
    }

    private mutating func receive(bytes: inout [UInt8], _ position: inout Int) throws(SSHError) -> Received {
        var span = bytes.mutableSpan
        return try receive(&span, &position)
    }

    private mutating func receive(_ input: inout MutableSpan<UInt8>, _ position: inout Int) throws(SSHError) -> Received {
        if identification != nil { return try identify(input, &position) }
        guard let packet = try reader.next(in: &input, position: &position) else { return .nothing }
        if packet.isAssembled {
            let assembled = reader.assembled
            return try handle(assembled.span.extracting(packet.payload), packet) { .assembled(assembled, $0) }
        }
        return try handle(input.span.extracting(packet.payload), packet) { .input($0) }
    }

    private mutating func identify(_ input: borrowing MutableSpan<UInt8>, _ position: inout Int) throws(SSHError) -> Received {
        while position < input.count {
            let byte = input[position]
            position += 1
            if let line = try identification?.read(byte) {
                peerIdentification = line
                identification = nil
                return .handled
            }
        }
        return .nothing
    }

    private mutating func handle(
        _ payload: Span<UInt8>, _ packet: PacketReader.Packet, _ place: (Range<Int>) -> ReceivedBytes
    ) throws(SSHError) -> Received {
        let number = payload[0]
        if keyExchange.dropsGuess, (30...49).contains(number) {
            keyExchange.guessDropped()
            return .handled
        }
        let phase = keyExchange.gatePhase(upperPhase, isFirstExchange: isFirstExchange)
        switch MessageGate.verdict(number, from: role.peer, in: phase, isStrict: keyExchange.isStrict) {
        case .violation:
            throw SSHError(.unexpectedMessage(number, in: phase))
        case .ignore:
            return .handled
        case .unimplemented:
            outbox.send(UnimplementedMessage(sequenceNumber: packet.sequenceNumber).payload())
            return .handled
        case .accept:
            break
        }
        guard let message = MessageNumber(rawValue: number) else { preconditionFailure("the gate accepts an unknown number") }
        switch message {
        case .channelData, .channelExtendedData:
            guard let received = try connection.receiveData(payload) else { return .handled }
            let start = packet.payload.lowerBound
            return .data(received.id, type: received.type, place(start + received.data.lowerBound..<start + received.data.upperBound))
        case .channelWindowAdjust:
            return Received(try connection.receive(try decode(payload) as ChannelWindowAdjustMessage, &outbox))
        case .channelOpen, .channelOpenConfirmation, .channelOpenFailure, .channelEOF, .channelClose, .channelRequest, .channelSuccess,
            .channelFailure, .globalRequest, .requestSuccess, .requestFailure:
            return Received(try handleConnection(message, payload))
        case .serviceRequest, .serviceAccept, .extensionInfo, .userAuthRequest, .userAuthFailure, .userAuthSuccess, .userAuthBanner,
            .userAuthPublicKeyOK:
            return Received(try handleUserAuth(message, payload))
        case .disconnect, .ignore, .unimplemented, .debug, .keyExchangeInit, .newKeys, .keyExchangeECDHInit, .keyExchangeECDHReply:
            return Received(try handleTransport(message, payload, packet.sequenceNumber))
        }
    }

    private func decode<Message: SSHMessage>(_ payload: Span<UInt8>) throws(SSHError) -> Message {
        do throws(WireError) {
            return try Message(payload: payload)
        } catch {
            throw SSHError(.malformedMessage(Message.number.rawValue, error))
        }
    }

    // MARK: Transport

    private mutating func handleTransport(
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

    private mutating func beginKeyExchange() {
        keyExchangeBegan = now
        outbox.writer.write(keyExchange.begin(randomness: randomness))
        outbox.block()
    }

    /// Our NEWKEYS goes out and what waited goes out under the new keys.
    private mutating func takeOutbound(_ protection: PacketProtection) throws(SSHError) {
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
                let (service, step) = try client.begin(sessionIdentifier: keyExchange.sessionIdentifier)
                authentication = .client(client)
                outbox.writer.write(service)
                if let event = take(step) { events.append(event) }
            }
        }
        outbox.unblock()
        connection.flushAll(&outbox, &events)
    }

    private mutating func beginRekeyIfDue() {
        guard upperPhase == .connection, !keyExchange.isRunning, !isFinished else { return }
        if rekeyPolicy.isDue(
            bytes: max(reader.bytesOpened, outbox.writer.bytesSealed), packets: max(reader.packetsOpened, outbox.writer.packetsSealed))
        {
            beginKeyExchange()
        }
    }

    // MARK: User authentication

    private mutating func handleUserAuth(_ message: MessageNumber, _ payload: Span<UInt8>) throws(SSHError) -> EngineEvent? {
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

    private mutating func take(_ step: UserAuthClient.Step) -> EngineEvent? {
        switch step {
        case .send(let payloads):
            for payload in payloads { outbox.send(payload) }
            return nil
        case .sign(let request):
            return .signatureWanted(ask(.signature), request)
        }
    }

    private mutating func succeed(_ user: String) -> EngineEvent {
        self.user = user
        upperPhase = .connection
        reader.lengthMax = PacketReader.lengthMax
        return .authenticated(user: user)
    }

    // MARK: Connection

    private mutating func handleConnection(_ message: MessageNumber, _ payload: Span<UInt8>) throws(SSHError) -> EngineEvent? {
        switch message {
        case .channelOpen: return connection.receive(try decode(payload) as ChannelOpenMessage, &outbox)
        case .channelOpenConfirmation: return try connection.receive(try decode(payload) as ChannelOpenConfirmationMessage, &outbox)
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

    // MARK: Questions

    private mutating func ask(_ what: Question) -> DecisionToken {
        precondition(question == nil, "two questions at once")
        questionsAsked += 1
        let token = DecisionToken(number: questionsAsked)
        question = (token, what)
        return token
    }

    /// - Returns: false where the connection has ended meanwhile.
    private mutating func answer(_ token: DecisionToken, _ what: Question) -> Bool {
        if isFinished { return false }
        guard let asked = question, asked.token == token, asked.1 == what else { preconditionFailure("answers a question that is not open") }
        question = nil
        return true
    }

    package mutating func resolve(hostKey token: DecisionToken, _ answer: HostKeyAnswer) throws(SSHError) {
        guard self.answer(token, .hostKey) else { return }
        try failing { (engine) throws(SSHError) in
            switch answer {
            case .accept: try engine.takeOutbound(engine.keyExchange.acceptHostKey())
            case .reject(let reason): throw SSHError(.hostKeyRefused(reason))
            }
        }
    }

    package mutating func resolve(userAuth token: DecisionToken, _ answer: UserAuthAnswer) throws(SSHError) {
        guard self.answer(token, .userAuth) else { return }
        try failing { (engine) throws(SSHError) in
            guard case .server(var server) = engine.authentication else { preconditionFailure("a client lets nobody in") }
            switch try server.resolve(answer) {
            case .send(let payload):
                engine.outbox.send(payload)
            case .succeed(let user, let payload):
                engine.outbox.send(payload)
                engine.events.append(engine.succeed(user))
            }
            engine.authentication = .server(server)
        }
    }

    /// - Parameter signature: the signature blob of RFC 4253 §6.6, or nil where the key cannot or may not sign.
    package mutating func resolve(signature token: DecisionToken, _ signature: [UInt8]?) throws(SSHError) {
        guard answer(token, .signature) else { return }
        try failing { (engine) throws(SSHError) in
            guard case .client(var client) = engine.authentication else { preconditionFailure("a server signs no user's request") }
            let step = try client.resolve(signature: signature, sessionIdentifier: engine.keyExchange.sessionIdentifier)
            engine.authentication = .client(client)
            if let event = engine.take(step) { engine.events.append(event) }
        }
    }

    private mutating func failing(_ body: (inout SSHEngine) throws(SSHError) -> Void) throws(SSHError) {
        do throws(SSHError) {
            try body(&self)
        } catch {
            fail(error)
            throw error
        }
    }

    /// The end, by our judgement: the peer is told what it may know.
    private mutating func fail(_ error: SSHError) {
        guard !isFinished else { return }
        outbox.dropHeld()
        if let reason = error.disconnectReason {
            outbox.writer.write(DisconnectMessage(reason: reason, description: error.peerText).payload())
        }
        isFinished = true
    }

    // MARK: Bytes out

    /// How much is to be written to the peer.
    package var outputCount: Int { outbox.writer.count }

    /// What is to be written to the peer.
    package var output: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { outbox.writer.bytes }
    }

    package mutating func consumeOutput(_ count: Int) { outbox.writer.consume(count) }

    /// Gives back the memory of buffers that hold nothing: for a connection that has gone quiet.
    package mutating func releaseMemory() { outbox.writer.releaseMemory() }

    // MARK: Time

    package var nextDeadline: Instant? {
        // A person who looks at a host key is given time.
        if isFinished || (role == .client && question != nil) { return nil }
        if upperPhase != .connection {
            let authentication = started + limits.authenticationTimeMax
            return keyExchange.isRunning ? min(authentication, keyExchangeBegan + limits.keyExchangeTimeMax) : authentication
        }
        return keyExchange.isRunning ? keyExchangeBegan + limits.keyExchangeTimeMax : rekeyPolicy.deadline
    }

    /// Does what is due at `now`; calling it too early does nothing.
    package mutating func handleDeadline(now: Instant) throws(SSHError) {
        self.now = now
        guard let deadline = nextDeadline, now >= deadline else { return }
        try failing { (engine) throws(SSHError) in
            if engine.keyExchange.isRunning, now >= engine.keyExchangeBegan + engine.limits.keyExchangeTimeMax {
                throw SSHError(.keyExchangeTimeout)
            }
            guard engine.upperPhase == .connection else { throw SSHError(.authenticationTimeout) }
            engine.beginKeyExchange()
        }
    }

    // MARK: State

    /// The exchange hash of the first key exchange; empty before.
    package var sessionIdentifier: [UInt8] { keyExchange.sessionIdentifier }
    package var channelCount: Int { connection.channelCount }

    // MARK: Channels

    /// Opens a channel; nil when the table is full. Only after ``EngineEvent/authenticated(user:)``.
    ///
    /// - Parameter window: what the peer may send before we have consumed it; nil for the configured size.
    package mutating func openChannel(type: String, payload: [UInt8], window: UInt32? = nil) -> ChannelID? {
        precondition(upperPhase == .connection, "opens a channel before authentication")
        guard !isFinished else { return nil }
        return connection.openChannel(type: type, payload: payload, window: window, &outbox)
    }

    package mutating func acceptChannel(_ id: ChannelID, payload: [UInt8] = [], window: UInt32? = nil) {
        guard !isFinished else { return }
        connection.acceptChannel(id, payload: payload, window: window, &outbox)
    }

    package mutating func refuseChannel(_ id: ChannelID, reason: ChannelOpenFailureReason, message: String) {
        guard !isFinished else { return }
        connection.refuseChannel(id, reason: reason, message: message, &outbox)
    }

    /// Seals `bytes` into the output as far as window and keys allow; the rest waits in the channel's queue.
    ///
    /// The queue takes all that is given: whoever has a source of data asks ``isWritable(_:)``.
    package mutating func send(_ bytes: Span<UInt8>, on id: ChannelID) {
        guard !isFinished else { return }
        connection.send(bytes, extendedType: nil, on: id, &outbox)
        beginRekeyIfDue()
    }

    package mutating func sendExtended(_ bytes: Span<UInt8>, type: UInt32, on id: ChannelID) {
        guard !isFinished else { return }
        connection.send(bytes, extendedType: type, on: id, &outbox)
        beginRekeyIfDue()
    }

    /// Whether the queue is below its high mark; after a no, ``EngineEvent/channelWritable(_:)`` says when there is room again.
    package mutating func isWritable(_ id: ChannelID) -> Bool {
        !isFinished && connection.isWritable(id)
    }

    /// After the queued data. Again, and after a close, it does nothing.
    package mutating func sendEOF(on id: ChannelID) {
        guard !isFinished else { return }
        connection.sendEOF(on: id, &outbox)
    }

    /// After the queued data; ``EngineEvent/channelClosed(_:)`` follows when the peer has closed too, and no other event before it.
    package mutating func closeChannel(_ id: ChannelID) {
        guard !isFinished else { return }
        connection.closeChannel(id, &outbox)
    }

    /// Says that `count` received bytes have been used, so that the peer may send as many more.
    package mutating func consumed(_ count: Int, on id: ChannelID) {
        guard !isFinished else { return }
        connection.consumed(count, on: id, &outbox)
    }

    /// Goes out at once, before queued data. Where a reply is wanted ``EngineEvent/channelRequestReply(_:success:)`` brings it, in order.
    package mutating func sendRequest(_ type: String, payload: [UInt8] = [], wantsReply: Bool, on id: ChannelID) {
        guard !isFinished else { return }
        connection.sendRequest(type, payload: payload, wantsReply: wantsReply, on: id, &outbox)
    }

    /// Answers the oldest unanswered request of the peer on this channel.
    package mutating func replyToRequest(on id: ChannelID, success: Bool) {
        guard !isFinished else { return }
        connection.replyToRequest(on: id, success: success, &outbox)
    }

    // MARK: The connection as a whole

    package mutating func sendGlobalRequest(_ name: String, payload: [UInt8] = [], wantsReply: Bool) {
        precondition(upperPhase == .connection, "a global request before authentication")
        guard !isFinished else { return }
        connection.sendGlobalRequest(name, payload: payload, wantsReply: wantsReply, &outbox)
    }

    /// Answers the oldest unanswered global request of the peer.
    package mutating func replyToGlobalRequest(success: Bool, payload: [UInt8] = []) {
        guard !isFinished else { return }
        connection.replyToGlobalRequest(success: success, payload: payload, &outbox)
    }

    /// Begins a key exchange, unless one is running.
    package mutating func rekey() {
        precondition(upperPhase == .connection, "a rekey before authentication")
        guard !isFinished, !keyExchange.isRunning else { return }
        beginKeyExchange()
    }

    /// Puts a good-bye into the output; nothing more is read or sent after it.
    package mutating func disconnect(reason: DisconnectReason, message: String) {
        guard !isFinished else { return }
        outbox.dropHeld()
        outbox.writer.write(DisconnectMessage(reason: reason, description: message).payload())
        isFinished = true
    }
}

extension String {
    /// Without what a terminal or a log would act on: a peer's text, made fit to be shown. Line ends and tabs stay.
    var withoutControls: String {
        String(String.UnicodeScalarView(unicodeScalars.filter { scalar in
            scalar == "\n" || scalar == "\t" || (scalar.value >= 0x20 && !(0x7f...0x9f).contains(scalar.value))
        }))
    }
}
