package import Base
internal import SSHWire

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
    enum Question {
        case hostKey
        case userAuth
        case signature
    }

    enum Authentication {
        case client(UserAuthClient)
        case server(UserAuthServer)
    }

    /// What may come while a question is open: a client may send ahead, and more than this is no client.
    private static let heldInputBytesMax = 1 << 20

    let role: EngineRole
    let limits: EngineLimits
    let randomness: any Randomness
    let ourIdentification: String
    private let started: Instant

    private var identification: Identification?
    var reader: PacketReader
    var outbox: Outbox
    var keyExchange: KeyExchange
    var authentication: Authentication
    var connection: ConnectionLayer
    var rekeyPolicy: RekeyPolicy

    /// Where the peer is above the transport.
    var upperPhase = GatePhase.service
    var isFirstExchange = true
    /// Client: the request to log in that decides is out, unanswered, and the server keeps the order of what follows.
    var isAhead = false
    var keyExchangeBegan: Instant
    private var question: (token: DecisionToken, Question)?
    private var questionsAsked: UInt64 = 0
    /// Found while commands and key changes were carried out, to be told before the next message.
    var events: [EngineEvent] = []
    var isFinished = false
    var now: Instant

    /// Bytes of the caller's present input that have been read.
    private var inputPosition = 0
    /// Input that came while a question was open, and how much of it has been read.
    private var held: [UInt8] = []
    private var heldPosition = 0

    package private(set) var peerIdentification = ""
    package internal(set) var user: String?

    /// - Parameter buffers: lends the memory of what comes in pieces or goes out, which may be shared with every engine of the same thread.
    package init(configuration: EngineConfiguration, randomness: any Randomness, now: Instant, buffers: BufferPool = BufferPool()) {
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
        reader = PacketReader(buffers: buffers)
        outbox = Outbox(writer: PacketWriter(padding: randomness.bytes(PacketWriter.paddingBytesMax), buffers: buffers))
        keyExchange = KeyExchange(role: role, configuration: configuration)
        connection = ConnectionLayer(limits: configuration.limits)
        rekeyPolicy = RekeyPolicy(limits: configuration.rekey, now: now)

        outbox.writer.writeRaw(Array("\(ourIdentification)\r\n".utf8))
        if !keyExchange.holdsFirstInit { beginKeyExchange() }
    }

    /// The engine goes on in another thread, which has memory of its own to lend.
    package mutating func lend(from buffers: BufferPool) {
        reader.buffers = buffers
        outbox.writer.buffers = buffers
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

    func decode<Message: SSHMessage>(_ payload: Span<UInt8>) throws(SSHError) -> Message {
        do throws(WireError) {
            return try Message(payload: payload)
        } catch {
            throw SSHError(.malformedMessage(Message.number.rawValue, error))
        }
    }

    // MARK: Questions

    mutating func ask(_ what: Question) -> DecisionToken {
        precondition(question == nil, "two questions at once")
        questionsAsked += 1
        let token = DecisionToken(number: questionsAsked)
        question = (token, what)
        return token
    }

    /// - Returns: false where the connection has ended meanwhile.
    private mutating func answer(_ token: DecisionToken, _ what: Question) -> Bool {
        if isFinished { return false }
        guard let asked = question, asked.token == token, asked.1 == what else {
            preconditionFailure("answers a question that is not open")
        }
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

    /// Whether channels and global requests may go out.
    var mayAsk: Bool { upperPhase == .connection || isAhead }

    /// Client: whether the server keeps the promises that going ahead relies on.
    var isPeerOurs: Bool {
        guard case .client(let client) = authentication, client.options.goesAhead else { return false }
        return peerIdentification.hasPrefix(Identification.ours(EngineConfiguration.product))
    }

    /// Client: what the peer has got ahead of its answers, and has not answered.
    package enum Ahead: Sendable {
        case nothing
        /// Something that is none of our servers, a guessed key share.
        case guess
        case login
    }

    package var ahead: Ahead {
        if isAhead { return .login }
        return keyExchange.awaitsVerdictOnGuess && !peerIdentification.isEmpty && !isPeerOurs ? .guess : .nothing
    }
}

extension String {
    /// Without what a terminal or a log would act on: a peer's text, made fit to be shown. Line ends and tabs stay.
    var withoutControls: String {
        String(
            String.UnicodeScalarView(
                unicodeScalars.filter { scalar in
                    scalar == "\n" || scalar == "\t" || (scalar.value >= 0x20 && !(0x7f...0x9f).contains(scalar.value))
                }))
    }
}
