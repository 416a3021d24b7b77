package import Base
package import EventLoop
package import SSHEngine
package import SSHWire

/// One SSH connection: an engine on a transport.
///
///     transport ─read─▶ engine opens in place ─▶ handlers (data lent) ─▶ commands ─▶ engine's output ─one write a turn─▶ transport
///
/// A transport that does not take our output stops the grants of window and makes channels unwritable, which stops the sources.
package final class SSHConnection: TurnGatherer {
    package let loop: Loop
    /// Held until the connection has ended.
    package var handler: (any ConnectionHandler)?
    package let peer: SocketAddress?
    /// Our own address, where the transport is a stream that has one.
    package private(set) var local: SocketAddress?
    /// Set by whoever authenticated the peer, for the services behind.
    package var note: AnyObject?

    private enum State {
        case running
        /// The handlers have been or are being told; what is left of our output goes out.
        case ending
        case closed
    }

    /// Goes along where the connection moves to another loop.
    let held: HeldEngine
    let transport: any SSHTransport
    private var state = State.running
    private(set) var channels: [ChannelID: SSHChannel] = [:]
    private var unansweredRequests: [GlobalRequest] = []
    private var replies: [((GlobalReply) -> Void)?] = []
    private(set) var keepAlive: KeepAlive?
    /// A server's own, which its client may learn.
    let hostKeys: HostKeyUpdate?
    private var deadlineTimer: LoopTimer?
    private var armedDeadline: Instant?
    private var keepAliveTimer: LoopTimer?
    private var isProcessing = false
    private var isFlushScheduled = false
    private var isReadingPaused = true
    private var isReady = false
    /// Client: whether the peer ended the connection over what it was sent ahead of its answers. One that waits for each may come further.
    package private(set) var wasRefusedAhead = false
    private var quickStream: TCPStream?
    /// Channels that the peer opens, and that have been neither accepted nor refused.
    private(set) var unansweredOpens = 0
    /// For the listener: the user is there; the connection and its transport are gone.
    var authenticated: (() -> Void)?
    var released: (() -> Void)?
    /// For the listener: the connection goes on on another loop.
    var moved: (() -> Void)?
    /// The listener's.
    var counts: ConnectionCounts?
    private var hasRefusedKey = false
    /// Whether a channel waits for the transport to take our output.
    var channelsWaiting = false

    /// A peer that makes us answer and takes no answers is read no further above this.
    private static let unsentBytesMax = 8 << 20
    /// Output that is written before the turn ends: one system call is nothing to so much, and it is still in the processor's cache.
    private static let gatheredBytesMax = 256 << 10
    /// Into so many moments of an interval fall the probes of all connections: some at a time, so that the loop sleeps between, and never all.
    private static let keepAliveSlots = 64
    /// How long we wait for the peer's side to end after ours has, so that our last words are not lost to a reset.
    private static let lingerTime: Duration = .seconds(2)

    // MARK: Making one

    /// Serves the peer of a stream.
    package static func server(
        stream: Stream, configuration: ConnectionConfiguration, handler: any ConnectionHandler, on loop: Loop
    ) -> SSHConnection {
        over(stream, configuration, handler, loop)
    }

    /// Logs in to the peer of a stream.
    package static func client(
        stream: Stream, configuration: ConnectionConfiguration, handler: any ConnectionHandler, on loop: Loop
    ) -> SSHConnection {
        over(stream, configuration, handler, loop)
    }

    private static func over(
        _ stream: Stream, _ configuration: ConnectionConfiguration, _ handler: any ConnectionHandler, _ loop: Loop
    ) -> SSHConnection {
        let connection = SSHConnection(StreamTransport(stream), configuration, handler, loop)
        connection.began(on: stream)
        return connection
    }

    private func began(on stream: Stream) {
        local = stream.local
        guard let stream = stream as? TCPStream else { return }
        stream.quickAcknowledgements = true
        quickStream = stream
    }

    /// In the role that the configuration names, over anything that carries bytes: a ``ChannelTransport`` for SSH inside of SSH.
    package static func over(
        transport: any SSHTransport, configuration: ConnectionConfiguration, handler: any ConnectionHandler, on loop: Loop
    ) -> SSHConnection {
        SSHConnection(transport, configuration, handler, loop)
    }

    private convenience init(
        _ transport: any SSHTransport, _ configuration: ConnectionConfiguration, _ handler: any ConnectionHandler, _ loop: Loop
    ) {
        let engine = SSHEngine(
            configuration: configuration.engine, randomness: configuration.randomness, now: loop.now, buffers: loop.buffers)
        let hostKeys: HostKeyUpdate? =
            switch configuration.engine.role {
            case .client: nil
            case .server(let options): HostKeyUpdate(hostKeys: options.hostKeys)
            }
        self.init(transport, HeldEngine(engine), configuration.keepAlive.map(KeepAlive.init), hostKeys, handler, loop)
    }

    private init(
        _ transport: any SSHTransport, _ held: HeldEngine, _ keepAlive: KeepAlive?, _ hostKeys: HostKeyUpdate?,
        _ handler: any ConnectionHandler, _ loop: Loop
    ) {
        self.loop = loop
        self.handler = handler
        self.transport = transport
        self.held = held
        self.keepAlive = keepAlive
        self.hostKeys = hostKeys
        peer = transport.peer
        transport.user = self
        scheduleFlush()
    }

    // MARK: Moving to another loop

    /// A connection that has left another loop, ready for channels.
    convenience init(_ move: ConnectionMove, _ stream: TCPStream, _ handler: any ConnectionHandler, _ loop: Loop) {
        self.init(StreamTransport(stream), move.held, move.keepAlive, move.hostKeys, handler, loop)
        began(on: stream)
        held.engine.lend(from: loop.buffers)
        keyExchange = move.keyExchange
        isReady = true
        startKeepAlive()
    }

    /// Whether a logged-in peer and we wait for nothing of each other but what channels carry.
    var isQuiet: Bool { state == .running && isReady && !isProcessing && unansweredRequests.isEmpty && replies.isEmpty }

    /// The connection goes on without this object, whose engine is another's from here on.
    func left() {
        state = .closed
        deadlineTimer?.cancel()
        keepAliveTimer?.cancel()
        quickStream = nil
        channels = [:]
        handler = nil
        released = nil
        moved?()
        moved = nil
    }

    func reopen(_ offer: ChannelOpenOffer) -> ChannelOpenRequest {
        unansweredOpens += 1
        return ChannelOpenRequest(offer, on: self)
    }

    func reopen(_ moving: SSHChannel.Moving) -> SSHChannel {
        let channel = SSHChannel(moving, on: self)
        channels[moving.id] = channel
        // Its handler may have been told on the other loop that there is no room.
        loop.atEndOfTurn { channel.roomAgain() }
        return channel
    }

    // MARK: State

    /// The user who is logged in.
    package var user: String? { held.engine.user }
    package var sessionIdentifier: [UInt8] { held.engine.sessionIdentifier }
    package var peerIdentification: String { held.engine.peerIdentification }
    package var channelCount: Int { channels.count }
    package var isClosed: Bool { state != .running }
    package private(set) var keyExchange: KeyExchangeSummary?

    // MARK: Commands

    /// Opens a channel; the handler hears whether it was opened or refused.
    @discardableResult
    package func openChannel(type: String, payload: [UInt8] = [], handler: any ChannelHandler) -> SSHChannel {
        let id = state == .running ? held.engine.openChannel(type: type, payload: payload) : nil
        let channel = SSHChannel(id, type: type, state: .opening, on: self, handler: handler)
        if let id {
            channels[id] = channel
            scheduleFlush()
        } else {
            let message = state == .running ? "too many channels on this connection" : "the connection has ended"
            loop.atEndOfTurn { channel.refused(.resourceShortage, message) }
        }
        return channel
    }

    /// Opens a session channel. Where the peer is known to accept it, it is open at once: the handler hears so before this returns, and of a
    /// refusal afterwards.
    @discardableResult
    package func openSession(handler: any ChannelHandler) -> SSHChannel {
        let type = ChannelOpenType.session.type
        guard state == .running, let id = held.engine.openSessionAhead() else { return openChannel(type: type, handler: handler) }
        let channel = SSHChannel(ahead: id, type: type, on: self, handler: handler)
        channels[id] = channel
        scheduleFlush()
        handler.channelOpened(channel)
        return channel
    }

    /// - Parameter then: is told the peer's reply; without it none is asked for.
    package func sendGlobalRequest(_ name: String, payload: [UInt8] = [], then: ((GlobalReply) -> Void)? = nil) {
        guard state == .running else {
            if let then { loop.atEndOfTurn { then(.closed) } }
            return
        }
        if then != nil { replies.append(then) }
        command { $0.sendGlobalRequest(name, payload: payload, wantsReply: then != nil) }
    }

    /// Says why a request was refused, which its reply has no room for: a client shows it to whoever looks for faults.
    package func explain(_ message: String) {
        command { $0.sendDebug(message) }
    }

    /// Server: says why a key of the peer's is not taken, for whoever counts it.
    package func refusedKey(_ reason: RefusalReason) {
        hasRefusedKey = true
        counts?.refusals.count(reason)
    }

    package func rekey() {
        command { $0.rekey() }
    }

    /// Ends the connection with a word to the peer; ``ConnectionHandler/connectionClosed(_:error:)`` comes at the end of the turn.
    package func disconnect(_ reason: DisconnectReason = .byApplication, _ message: String) {
        guard state == .running else { return }
        held.engine.disconnect(reason: reason, message: message)
        end(nil)
    }

    /// Ends the connection without a word.
    package func close() {
        guard state == .running else { return }
        end(nil)
        transport.close()
    }

    // MARK: For channels and requests

    func command(_ body: (inout SSHEngine) -> Void) {
        guard state == .running else { return }
        body(&held.engine)
        scheduleFlush()
    }

    func send(_ data: Span<UInt8>, on id: ChannelID) {
        guard state == .running else { return }
        held.engine.send(data, on: id)
        gathered()
    }

    func sendExtended(_ data: Span<UInt8>, type: UInt32, on id: ChannelID) {
        guard state == .running else { return }
        held.engine.sendExtended(data, type: type, on: id)
        gathered()
    }

    func consumed(_ count: Int, on id: ChannelID) {
        guard state == .running else { return }
        held.engine.consumed(count, on: id)
        scheduleFlush()
    }

    var isOutputFull: Bool { !transport.isWritable }

    func isWritable(_ id: ChannelID) -> Bool {
        guard state == .running else { return false }
        if isOutputFull {
            channelsWaiting = true
            return false
        }
        return held.engine.isWritable(id)
    }

    func accept(_ id: ChannelID, type: String, payload: [UInt8], handler: any ChannelHandler) -> SSHChannel {
        unansweredOpens -= 1
        let channel = SSHChannel(id, type: type, state: .open, on: self, handler: handler)
        if state == .running {
            counts?.channelsOpened += 1
            channels[id] = channel
            command { $0.acceptChannel(id, payload: payload) }
        } else {
            loop.atEndOfTurn { channel.closed() }
        }
        return channel
    }

    func refuse(_ id: ChannelID, _ reason: ChannelOpenFailureReason, _ message: String) {
        unansweredOpens -= 1
        command { $0.refuseChannel(id, reason: reason, message: message) }
    }

    func sendGlobalReplies() {
        while let (success, payload) = unansweredRequests.first?.answer {
            unansweredRequests.removeFirst()
            command { $0.replyToGlobalRequest(success: success, payload: payload) }
        }
    }

    // MARK: The pump

    /// Takes events out of the engine until it has taken in all of `bytes`.
    private func process(_ bytes: inout MutableSpan<UInt8>) {
        guard state == .running, !isProcessing else { return }
        isProcessing = true
        let now = loop.now
        do throws(SSHError) {
            while state == .running, let event = try held.engine.nextEvent(in: &bytes, now: now) {
                handle(event, bytes.span)
            }
        } catch {
            if case .channelNotAsPromised = error.reason { wasRefusedAhead = true }
            end(TeleportError(error))
        }
        isProcessing = false
        if state == .running { scheduleFlush() }
    }

    private func handle(_ event: EngineEvent, _ input: Span<UInt8>) {
        switch event {
        case .channelData(let id, .input(let range)):
            guard let channel = channels[id] else { return }
            channel.handler?.channel(channel, received: input.extracting(range))
        case .channelData(let id, .assembled(let bytes, let range)):
            guard let channel = channels[id] else { return }
            channel.handler?.channel(channel, received: bytes.span.extracting(range))
        case .channelExtendedData(let id, let type, .input(let range)):
            guard let channel = channels[id] else { return }
            channel.handler?.channel(channel, receivedExtended: input.extracting(range), type: type)
        case .channelExtendedData(let id, let type, .assembled(let bytes, let range)):
            guard let channel = channels[id] else { return }
            channel.handler?.channel(channel, receivedExtended: bytes.span.extracting(range), type: type)
        case .channelWritable(let id): channels[id]?.roomAgain()
        case .channelRequest(let id, let offer): channels[id]?.requested(offer)
        case .channelRequestReply(let id, let success): channels[id]?.replied(success)
        case .channelEOF(let id): channels[id]?.ended()
        case .channelClosed(let id): channels.removeValue(forKey: id)?.closed()
        case .channelOpened(let id, _):
            counts?.channelsOpened += 1
            stopQuickAcknowledgements()
            channels[id]?.opened()
        case .channelRefused(let id, let reason, let message): channels.removeValue(forKey: id)?.refused(reason, message)
        case .channelOpenRequested(let offer):
            unansweredOpens += 1
            handler?.connection(self, opens: ChannelOpenRequest(offer, on: self))
        case .globalRequest(let offer): requested(offer)
        case .globalReply(let success, let payload):
            guard !replies.isEmpty else { return }
            replies.removeFirst()?(success ? .success(payload: payload) : .failure)
        case .keysExchanged(let summary):
            keyExchange = summary
            if summary.isRekey { counts?.rekeys += 1 }
        case .hostKeyOffered(let token, let offer):
            handler?.connection(self, verify: offer) { [self] answer in
                resolve { (engine) throws(SSHError) in try engine.resolve(hostKey: token, answer) }
            }
        case .signatureWanted(let token, let request):
            handler?.connection(self, sign: request) { [self] signature in
                resolve { (engine) throws(SSHError) in try engine.resolve(signature: token, signature) }
            }
        case .userAuthAttempted(let token, let attempt):
            handler?.connection(self, authenticate: attempt) { [self] answer in
                resolve { (engine) throws(SSHError) in try engine.resolve(userAuth: token, answer) }
            }
        case .banner(let text): handler?.connection(self, banner: text)
        case .loginSent: handler?.connectionLoginSent(self)
        case .authenticated:
            isReady = true
            startKeepAlive()
            authenticated?()
            authenticated = nil
            if let announcement = hostKeys?.announcement { sendGlobalRequest(announcement.name, payload: announcement.payload()) }
            handler?.connectionReady(self)
        case .disconnected(let reason, let message):
            if reason == .protocolError, case .login = held.engine.ahead { wasRefusedAhead = true }
            end(.disconnected(reason, message))
        }
    }

    private func requested(_ offer: GlobalRequestOffer) {
        let request = GlobalRequest(offer, on: self)
        if request.wantsReply { unansweredRequests.append(request) }
        if request.name == KeepAlive.requestName {
            request.reply(success: false)
        } else if let hostKeys, case .hostKeysProve(let keys)? = try? GlobalRequestType(name: request.name, payload: request.payload) {
            let proof = hostKeys.prove(keys, sessionIdentifier: sessionIdentifier)
            request.reply(success: proof != nil, payload: proof ?? [])
        } else {
            handler?.connection(self, globalRequest: request)
        }
    }

    /// The answer to a question of the engine, inside of the question or later.
    private func resolve(_ body: (inout SSHEngine) throws(SSHError) -> Void) {
        guard state == .running else { return }
        do throws(SSHError) {
            try body(&held.engine)
        } catch {
            end(TeleportError(error))
            return
        }
        guard !isProcessing else { return }
        var nothing = MutableSpan<UInt8>()
        process(&nothing)
    }

    // MARK: Output

    private func scheduleFlush() {
        guard !isFlushScheduled, state != .closed else { return }
        isFlushScheduled = true
        loop.atEndOfTurn(self)
    }

    /// After something that may have made much output: a fast peer brings many times this in one turn.
    private func gathered() {
        if held.engine.outputCount >= Self.gatheredBytesMax { writeOutput() }
        scheduleFlush()
    }

    package func turnEnds() {
        isFlushScheduled = false
        guard state != .closed else { return }
        writeOutput()
        if state == .ending {
            transport.shutdown()
            return
        }
        updateReading()
        updateDeadline()
    }

    private func writeOutput() {
        let count = held.engine.outputCount
        guard count > 0 else { return }
        counts?.bytesSent += UInt64(count)
        held.writeOutput(to: transport)
    }

    private func updateReading() {
        let wants = held.engine.wantsInput && transport.queuedBytes < Self.unsentBytesMax
        guard wants == isReadingPaused else { return }
        isReadingPaused = !wants
        if wants { transport.resumeReading() } else { transport.pauseReading() }
    }

    // MARK: Time

    /// A deadline that has moved back is found out when the old one is due.
    private func updateDeadline() {
        guard let deadline = held.engine.nextDeadline else { return }
        if let armedDeadline, armedDeadline <= deadline { return }
        deadlineTimer?.cancel()
        armedDeadline = deadline
        deadlineTimer = loop.schedule(after: deadline - loop.now) { [weak self] in self?.deadlineReached() }
    }

    private func deadlineReached() {
        armedDeadline = nil
        guard state == .running else { return }
        do throws(SSHError) {
            try held.engine.handleDeadline(now: loop.now)
        } catch {
            end(TeleportError(error))
            return
        }
        scheduleFlush()
    }

    private func startKeepAlive() {
        guard let interval = keepAlive?.options.interval else { return }
        keepAliveTimer = loop.schedule(after: interval, slack: interval / Self.keepAliveSlots) { [weak self] in self?.keepAliveTick() }
    }

    private func keepAliveTick() {
        // Whatever made the peer wait for acknowledgements in its handshake is long over.
        stopQuickAcknowledgements()
        guard state == .running, let action = keepAlive?.tick() else { return }
        switch action {
        case .wait: break
        case .probe: sendGlobalRequest(KeepAlive.requestName) { _ in }
        case .giveUp:
            end(.connectionProblem("the peer has not answered for too long"))
            transport.close()
            return
        }
        startKeepAlive()
    }

    private func stopQuickAcknowledgements() {
        quickStream?.quickAcknowledgements = false
        quickStream = nil
    }

    // MARK: The end

    /// Begins the end: handlers are told at the end of the turn, our last words go out, then the transport is closed.
    private func end(_ error: TeleportError?) {
        guard state == .running else { return }
        state = .ending
        if !isReady { counts?.handshakeFailed(HandshakeOutcome(failure: error, wasRefused: hasRefusedKey)) }
        if error != nil, case .guess = held.engine.ahead { wasRefusedAhead = true }
        deadlineTimer?.cancel()
        keepAliveTimer?.cancel()
        stopQuickAcknowledgements()
        loop.atEndOfTurn { [self] in tellHandlers(error) }
        scheduleFlush()
        transport.resumeReading()
        loop.schedule(after: Self.lingerTime) { [weak self] in self?.transport.close() }
    }

    private func tellHandlers(_ error: TeleportError?) {
        let ended = channels.values
        channels = [:]
        for channel in ended { channel.closed() }
        let waiting = replies
        replies = []
        for reply in waiting { reply?(.closed) }
        unansweredRequests = []
        let handler = handler
        self.handler = nil
        handler?.connectionClosed(self, error: error)
    }
}

extension SSHConnection: SSHTransportUser {
    package func transportReceived(_ bytes: inout MutableSpan<UInt8>) {
        keepAlive?.heard()
        counts?.bytesReceived += UInt64(bytes.count)
        process(&bytes)
    }

    package func transportEnded() {
        if state == .running { end(isReady && channels.isEmpty ? nil : .connectionProblem("the peer closed the connection")) }
        transport.close()
    }

    package func transportDrained() {
        guard state == .running else { return }
        updateReading()
        guard channelsWaiting else { return }
        channelsWaiting = false
        for channel in channels.values { channel.roomAgain() }
    }

    package func transportClosed(_ error: TeleportError?) {
        end(error ?? .connectionProblem("the connection was lost"))
        state = .closed
        released?()
        released = nil
    }
}
