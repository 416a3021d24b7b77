package import Base
package import EventLoop
internal import SSHEngine
internal import SSHNet
internal import SSHWire

/// Keeps one connection to a proxy, and leads this user's commands through it to nodes. Bound to its loop.
///
/// Some channels are open before anybody wants them, so that the first words to a node go out in the flight that asks for the way to it:
///
///     tsh ─ControlSocket─▶ KeptWay ─ChannelPipe─▶ a spare channel ─▶ proxy ─▶ node
package final class ConnectionKeeper {
    private let client: ClientLogin
    private let idleTime: Duration
    private let loop: Loop
    private var ready: (() -> Void)?
    private var then: ((Result<Void, TeleportError>) -> Void)?
    /// Until no more commands are taken.
    private var listener: UnixListener?
    private var proxy: ProxyClient?
    private var spares: [SSHChannel] = []
    private var opening = 0
    /// Ways that were asked for while no channel was there.
    private var waiting: ArraySlice<KeptWay> = []
    /// All that have come and not ended.
    private var ways = 0
    private var idleTimer: LoopTimer?

    private static let sparesCount = 4
    /// Commands at the same time; one more connects by itself.
    private static let waysMax = 512
    /// A laptop that slept has lost its connection, and each command waits until that is known.
    private static let keepAlive = KeepAlive.Options(interval: .seconds(15), missesMax: 2)

    /// - Parameters:
    ///   - idleTime: how long it stays when nobody uses it.
    ///   - ready: is called when commands go through it.
    ///   - then: comes with its end: when nobody used it, or when the last way has ended after the certificate expired or the user logged out.
    package init(
        _ client: ClientLogin, idleTime: Duration, on loop: Loop, ready: @escaping () -> Void,
        then: @escaping (Result<Void, TeleportError>) -> Void
    ) {
        self.client = client
        self.idleTime = idleTime
        self.loop = loop
        self.ready = ready
        self.then = then
    }

    /// Takes the socket first, so that commands that come meanwhile wait instead of making connections of their own.
    package func start(randomness: any Randomness) {
        do throws(TeleportError) {
            listener = try listen()
        } catch {
            return finish(.failure(error))
        }
        ProxyClient.connect(
            to: client.proxy, identity: client.identity, randomness: randomness, keepAlive: Self.keepAlive, on: loop
        ) { [self] result in
            switch result {
            case .success(let proxy): begin(proxy)
            case .failure(let error): finish(.failure(error))
            }
        }
    }

    /// Ends it, and every way through it.
    package func stop() {
        finish(.success(()))
    }

    /// Takes no more commands, and ends with the last that it has: a session outlives certificate and login.
    private func retire() {
        listener?.close()
        listener = nil
        watchIdleness()
    }

    private func listen() throws(TeleportError) -> UnixListener {
        let control = client.control
        let path = control.path
        try FileIO.createDirectory(control.directory, mode: 0o700)
        // Of two that find the socket of one that has died, only one may remove it.
        let lock = try FileIO.lock("\(control.directory)/lock")
        guard (try? LocalSocket.connect(path: path)) == nil else {
            throw TeleportError(.alreadyAcquired, "a connection to \(client.proxy) is kept already: \(path)")
        }
        try FileIO.remove(path)
        let listener = try UnixListener(path: path, on: loop) { [weak self] stream in
            if let self { accept(stream) } else { stream.close() }
        }
        _ = consume lock
        return listener
    }

    private func begin(_ proxy: ProxyClient) {
        guard then != nil else { return proxy.close() }
        self.proxy = proxy
        proxy.ended = { [weak self] error in self?.finish(.failure(error)) }
        loop.schedule(after: .seconds(max(0, client.identity.expires.seconds - loop.wallTime.seconds))) { [weak self] in
            self?.retire()
        }
        openChannels()
        watchIdleness()
    }

    private func finish(_ result: Result<Void, TeleportError>) {
        guard let then else { return }
        self.then = nil
        idleTimer?.cancel()
        listener?.close()
        for way in waiting { way.close() }
        waiting = []
        proxy?.ended = nil
        proxy?.close()
        then(result)
    }

    // MARK: Ways

    private func accept(_ stream: PipeStream) {
        guard ways < Self.waysMax else { return stream.close() }
        ways += 1
        idleTimer?.cancel()
        KeptWay(stream, self).start()
    }

    fileprivate func asked(_ line: String, _ way: KeptWay) {
        guard ControlSocket.leads(line) else {
            way.close()
            if line == ControlSocket.stop { retire() }
            return
        }
        way.subsystem = line
        waiting.append(way)
        serve()
    }

    fileprivate func ended(_ way: KeptWay) {
        waiting.removeAll { $0 === way }
        ways -= 1
        watchIdleness()
    }

    private func watchIdleness() {
        guard ways == 0, proxy != nil, then != nil else { return }
        idleTimer?.cancel()
        if listener == nil { return stop() }
        idleTimer = loop.schedule(after: idleTime) { [weak self] in self?.stop() }
    }

    // MARK: Channels

    private func serve() {
        while !waiting.isEmpty, !spares.isEmpty {
            waiting.removeFirst().go(over: spares.removeFirst())
        }
        openChannels()
    }

    private func openChannels() {
        guard let proxy else { return }
        while spares.count + opening < waiting.count + Self.sparesCount {
            opening += 1
            proxy.openSession(SpareChannel(self))
        }
    }

    fileprivate func opened(_ channel: SSHChannel) {
        opening -= 1
        spares.append(channel)
        serve()
        guard opening == 0, let ready else { return }
        self.ready = nil
        ready()
    }

    /// The proxy gives no more: whoever waits goes its own way.
    fileprivate func refused() {
        opening -= 1
        waiting.popFirst()?.close()
    }

    fileprivate func lost(_ channel: SSHChannel) {
        spares.removeAll { $0 === channel }
    }
}

/// A session channel that nobody has asked anything of yet.
private final class SpareChannel: ChannelHandler {
    private weak var keeper: ConnectionKeeper?

    init(_ keeper: ConnectionKeeper) {
        self.keeper = keeper
    }

    func channelOpened(_ channel: SSHChannel) { keeper?.opened(channel) }
    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) { keeper?.refused() }
    func channel(_ channel: SSHChannel, received data: Span<UInt8>) { channel.close() }
    func channelClosed(_ channel: SSHChannel) { keeper?.lost(channel) }
}

/// One command on its way through a kept connection.
private final class KeptWay: StreamHandler {
    var subsystem = ""
    private let stream: PipeStream
    private let keeper: ConnectionKeeper
    /// What has come; once the line is known, what came after it.
    private var early: [UInt8] = []

    init(_ stream: PipeStream, _ keeper: ConnectionKeeper) {
        self.stream = stream
        self.keeper = keeper
    }

    func start() {
        stream.handler = self
        stream.resumeReading()
    }

    func close() { stream.close() }

    func go(over channel: SSHChannel) {
        let request = SessionRequest.subsystem(name: subsystem)
        channel.request(request.type, payload: request.payload()) { if !$0 { channel.close() } }
        channel.write(early)
        ChannelPipe.join(channel, .stream(stream)) { [self] in keeper.ended(self) }
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        early.append(copying: bytes.span)
        guard let end = early.firstIndex(of: UInt8(ascii: "\n")) else {
            if early.count > ControlSocket.lineBytesMax { stream.close() }
            return
        }
        stream.pauseReading()
        let line = String(decoding: early[..<end], as: UTF8.self)
        early.removeFirst(end + 1)
        keeper.asked(line, self)
    }

    func streamEnded(_ stream: Stream) { stream.close() }
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) { keeper.ended(self) }
}
