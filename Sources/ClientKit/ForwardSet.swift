package import Base
package import EventLoop
internal import SSHNet
internal import SSHWire

/// The forwards of one connection to a node, in both directions, and our agent where it is forwarded. Bound to its loop.
///
/// A channel that the node opens and that nobody asked for is refused.
package final class ForwardSet {
    private let forwards: [Forward]
    /// The socket of our agent; nil: it is not forwarded.
    private let agent: String?
    private let node: NodeClient
    private let loop: Loop
    private let report: (String) -> Void
    private var listeners: [Listening] = []
    private var remote: [RemoteListener: Forward.Target] = [:]
    private var open = 0
    private var idle: (() -> Void)?

    private enum Listening {
        case tcp(TCPListener)
        case unix(UnixListener)
    }

    /// What the node names when somebody has connected there.
    private enum RemoteListener: Hashable {
        case tcp(address: String, port: UInt16)
        case unix(path: String)
    }

    /// How long a target on our side may take to answer.
    private static let connectTimeout: Duration = .seconds(10)
    /// Whoever has connected to a SOCKS port says soon what it wants, or goes.
    static let negotiationTimeMax: Duration = .seconds(20)

    /// - Parameter report: is given what a person may want to know: ports that were chosen, connections that failed.
    package init(_ forwards: [Forward], agent: String?, on node: NodeClient, loop: Loop, report: @escaping (String) -> Void) {
        self.forwards = forwards
        self.agent = agent
        self.node = node
        self.loop = loop
        self.report = report
    }

    /// Begins to listen, here and there.
    ///
    /// - Parameter failed: is given each forward that there cannot be; `then` comes when all have been tried.
    package func start(failed: @escaping (TeleportError) -> Void, then: @escaping () -> Void) {
        node.opened = { [weak self] type, request in self?.opened(type, request) ?? false }
        var waiting = forwards.count
        guard waiting > 0 else { return then() }
        for forward in forwards {
            begin(forward) { error in
                if let error { failed(error) }
                waiting -= 1
                if waiting == 0 { then() }
            }
        }
    }

    /// Listens no more; connections that are there go on.
    package func close() {
        for listener in listeners {
            switch listener {
            case .tcp(let listener): listener.close()
            case .unix(let listener): listener.close()
            }
        }
        listeners = []
        node.opened = nil
    }

    /// Calls `body` once no forwarded connection is left.
    package func whenIdle(_ body: @escaping () -> Void) {
        if open == 0 { body() } else { idle = body }
    }

    private func begin(_ forward: Forward, then: @escaping (TeleportError?) -> Void) {
        switch (forward.direction, forward.listener) {
        case (.local, .tcp(let bind, let port)): listen(bind: bind, port: port, forward, then: then)
        case (.local, .unix(let path)):
            do throws(TeleportError) {
                listeners.append(
                    .unix(try UnixListener(path: path, on: loop) { [weak self] stream in self?.accepted(stream, forward.target) }))
                then(nil)
            } catch {
                then(Self.failure(forward, error))
            }
        case (.remote, .tcp(let bind, let port)): ask(bind: bind ?? "localhost", port: port, forward, then: then)
        case (.remote, .unix(let path)): ask(path: path, forward, then: then)
        }
    }

    private static func failure(_ forward: Forward, _ error: TeleportError) -> TeleportError {
        TeleportError(error.kind, "\(forward): \(error.message)", code: error.code, cause: error)
    }

    // MARK: Listening here

    private func listen(bind: String?, port: UInt16, _ forward: Forward, then: @escaping (TeleportError?) -> Void) {
        switch bind {
        case nil, "localhost": then(listen(on: [.loopback4, .loopback6], port: port, forward))
        case "": then(listen(on: [.any4, .any6], port: port, forward))
        case let host?:
            loop.resolve(host: host, port: port) { [self] result in
                switch result {
                case .failure: then(.badParameter("\(forward): \(host) has no address"))
                case .success(let addresses): then(listen(on: addresses.compactMap(\.ip), port: port, forward))
                }
            }
        }
    }

    /// The first address has to be free; the others are taken along where they are.
    private func listen(on addresses: [IPAddress], port: UInt16, _ forward: Forward) -> TeleportError? {
        var port = port
        for (index, address) in addresses.enumerated() {
            do throws(TeleportError) {
                let listener = try TCPListener(address: SocketAddress(address, port: port), on: loop) { [weak self] stream in
                    if let self { accepted(stream, forward.target) } else { stream.close() }
                }
                listeners.append(.tcp(listener))
                if port == 0, let chosen = listener.address.port {
                    port = chosen
                    report("Allocated port \(chosen) for local forward to \(forward.target)")
                }
            } catch {
                if index == 0 { return Self.failure(forward, error) }
            }
        }
        return nil
    }

    private func accepted(_ stream: Stream, _ target: Forward.Target) {
        switch target {
        case .tcp(let place): connect(stream, to: place)
        case .unix(let path): open(.directStreamLocal(path: path), for: stream)
        case .socks:
            let client = SocksStream(stream) { [weak self] request, rest in
                guard let self else { return stream.close() }
                connect(stream, to: HostPort(host: request.host, port: request.port), request, rest)
            }
            client.start(timeout: Self.negotiationTimeMax, on: loop)
        }
    }

    private func connect(_ stream: Stream, to place: HostPort, _ request: SocksRequest? = nil, _ rest: [UInt8] = []) {
        let peer = stream.peer
        open(
            .directTCPIP(
                .init(
                    host: place.host, port: place.port, originatorAddress: peer?.ip.map { "\($0)" } ?? "127.0.0.1",
                    originatorPort: peer?.port ?? 0)), for: stream, request, rest)
    }

    private func open(_ type: ChannelOpenType, for stream: Stream, _ request: SocksRequest? = nil, _ rest: [UInt8] = []) {
        let channel = ForwardedStream(stream, request, rest) { [weak self] refusal in
            if let refusal { self?.report("WARNING: a forwarded connection was refused: \(refusal)") }
            self?.closed()
        }
        guard node.openChannel(type, handler: channel) else { return stream.close() }
        open += 1
    }

    private func closed() {
        open -= 1
        guard open == 0, let idle else { return }
        self.idle = nil
        idle()
    }

    // MARK: Listening there

    private func ask(bind: String, port: UInt16, _ forward: Forward, then: @escaping (TeleportError?) -> Void) {
        node.requestGlobally(.tcpipForward(address: bind, port: port)) { [self] reply in
            guard case .success(let payload) = reply else {
                return then(.accessDenied("\(forward): the node does not listen for us: the port is taken, or its roles do not allow it"))
            }
            var port = port
            if port == 0 {
                var reader = ByteReader(payload.span)
                guard let chosen = try? reader.readUInt32(), let number = UInt16(exactly: chosen) else {
                    return then(.connectionProblem("\(forward): the node does not say on which port it listens"))
                }
                port = number
                report("Allocated port \(port) for remote forward to \(forward.target)")
            }
            remote[.tcp(address: bind, port: port)] = forward.target
            then(nil)
        }
    }

    private func ask(path: String, _ forward: Forward, then: @escaping (TeleportError?) -> Void) {
        node.requestGlobally(.streamLocalForward(path: path)) { [self] reply in
            guard case .success = reply else {
                return then(.accessDenied("\(forward): the node does not listen for us: not at this path, or its roles do not allow it"))
            }
            remote[.unix(path: path)] = forward.target
            then(nil)
        }
    }

    /// - Returns: whether it was asked for; else the channel is the caller's to refuse.
    private func opened(_ type: ChannelOpenType, _ request: ChannelOpenRequest) -> Bool {
        switch type {
        case .agent:
            guard let agent else { return false }
            connect(request, to: .unix(path: agent))
        case .forwardedTCPIP(let endpoints):
            guard let target = remote[.tcp(address: endpoints.host, port: endpoints.port)] else { return false }
            connect(request, to: target)
        case .forwardedStreamLocal(let path):
            guard let target = remote[.unix(path: path)] else { return false }
            connect(request, to: target)
        case .session, .directTCPIP, .directStreamLocal, .transport, .other: return false
        }
        return true
    }

    private func connect(_ request: ChannelOpenRequest, to target: Forward.Target) {
        open += 1
        let connected = { [self] (result: Result<Stream, TeleportError>) in
            switch result {
            case .success(let stream): ChannelPipe.accept(request, .stream(stream)) { [weak self] in self?.closed() }
            case .failure(let error):
                report("WARNING: a forwarded connection failed: \(error.message)")
                request.refuse(.connectFailed, "the target cannot be reached")
                closed()
            }
        }
        switch target {
        case .tcp(let place): dial(place, then: connected)
        case .unix(let path): PipeStream.connect(path: path, timeout: Self.connectTimeout, on: loop) { connected($0.map { $0 as Stream }) }
        case .socks:
            let client = SocksChannel(on: loop) { [weak self] in
                self?.closed()
            } dial: { [weak self] place, then in
                self?.dial(place, then: then)
            }
            client.start(request, timeout: Self.negotiationTimeMax)
        }
    }

    private func dial(_ place: HostPort, then: @escaping (Result<Stream, TeleportError>) -> Void) {
        loop.resolve(host: place.host, port: place.port) { [loop] result in
            switch result {
            case .failure: then(.failure(.notFound("\(place) has no address")))
            case .success(let addresses):
                TCPStream.connect(to: addresses, timeout: Self.connectTimeout, on: loop) { then($0.map { $0 as Stream }) }
            }
        }
    }
}

/// A connection that somebody made to a port of ours, while the node connects to the target.
private final class ForwardedStream: ChannelHandler {
    private let stream: Stream
    private let request: SocksRequest?
    private let rest: [UInt8]
    private let closed: (String?) -> Void

    /// - Parameters:
    ///   - request: what is to be answered in SOCKS.
    ///   - rest: what came behind it.
    ///   - closed: comes once, with what the node said where it refused.
    init(_ stream: Stream, _ request: SocksRequest?, _ rest: [UInt8], closed: @escaping (String?) -> Void) {
        self.stream = stream
        self.request = request
        self.rest = rest
        self.closed = closed
    }

    func channelOpened(_ channel: SSHChannel) {
        if let request { stream.write(request.reply(.connected)) }
        channel.write(rest)
        ChannelPipe.join(channel, .stream(stream)) { [closed] in closed(nil) }
    }

    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        if let request { stream.write(request.reply(reason == .connectFailed ? .connectionRefused : .notAllowed)) }
        stream.closeAfterWrites()
        closed(ProxyText.message(Array(message.utf8)) ?? "no reason was given")
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {}
    func channelClosed(_ channel: SSHChannel) {}
}

/// Somebody on our SOCKS port, until it has said where to.
private final class SocksStream: StreamHandler {
    private let stream: Stream
    private var negotiation = SocksNegotiation()
    private var timer: LoopTimer?
    private let requested: (SocksRequest, [UInt8]) -> Void

    init(_ stream: Stream, requested: @escaping (SocksRequest, [UInt8]) -> Void) {
        self.stream = stream
        self.requested = requested
    }

    func start(timeout: Duration, on loop: Loop) {
        stream.handler = self
        stream.resumeReading()
        timer = loop.schedule(after: timeout) { [stream] in stream.close() }
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        do throws(SocksError) {
            let step = try negotiation.receive(bytes.span)
            stream.write(step.output)
            guard let request = step.request else { return }
            stream.pauseReading()
            timer?.cancel()
            stream.handler = nil
            requested(request, step.rest)
        } catch {
            timer?.cancel()
            stream.pauseReading()
            stream.write(error.reply)
            stream.closeAfterWrites()
        }
    }

    func streamEnded(_ stream: Stream) { stream.close() }
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) { timer?.cancel() }
}

/// Somebody on a port of the node whose connections say in SOCKS where to, until it has.
private final class SocksChannel: ChannelHandler {
    private let loop: Loop
    private var negotiation = SocksNegotiation()
    private var isNegotiated = false
    private var timer: LoopTimer?
    private var closed: (() -> Void)?
    private let dial: (HostPort, @escaping (Result<Stream, TeleportError>) -> Void) -> Void

    init(
        on loop: Loop, closed: @escaping () -> Void, dial: @escaping (HostPort, @escaping (Result<Stream, TeleportError>) -> Void) -> Void
    ) {
        self.loop = loop
        self.closed = closed
        self.dial = dial
    }

    func start(_ request: ChannelOpenRequest, timeout: Duration) {
        let channel = request.accept(handler: self)
        timer = loop.schedule(after: timeout) { channel.close() }
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        // What comes before the answer waits in the peer's window: a client has nothing to say before it.
        guard !isNegotiated else { return channel.close() }
        do throws(SocksError) {
            let step = try negotiation.receive(data)
            channel.write(step.output)
            channel.consumed(data.count - step.rest.count)
            guard let request = step.request else { return }
            isNegotiated = true
            timer?.cancel()
            dial(HostPort(host: request.host, port: request.port)) { [self] result in
                switch result {
                case .failure:
                    channel.write(request.reply(.connectionRefused))
                    channel.close()
                case .success(let stream):
                    let closed = closed
                    self.closed = nil
                    channel.write(request.reply(.connected))
                    ChannelPipe.join(channel, .stream(stream), early: step.rest) { closed?() }
                }
            }
        } catch {
            channel.write(error.reply)
            channel.close()
        }
    }

    func channelClosed(_ channel: SSHChannel) {
        timer?.cancel()
        let closed = closed
        self.closed = nil
        closed?()
    }
}
