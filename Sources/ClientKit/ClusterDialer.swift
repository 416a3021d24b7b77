package import Base
package import ClusterModel
internal import Crypto
package import EventLoop
internal import SSHNet

/// The way through the proxy to whatever a command line names. Bound to its loop.
package final class ClusterDialer {
    package let client: ClientLogin
    /// nil while a connection that another process keeps is enough.
    private var proxy: ProxyClient?
    private let pace: Pace
    private let sharing: ConnectionSharing
    /// Where a connection may be kept; nil where none is welcome.
    private let control: ControlSocket?
    private var hasMissed = false
    /// Who waits for the connection that is being made.
    private var waiters: [(Result<ProxyClient, TeleportError>) -> Void] = []
    private let randomness: any Randomness
    private let loop: Loop

    private init(_ client: ClientLogin, _ pace: Pace, _ sharing: ConnectionSharing, _ randomness: any Randomness, _ loop: Loop) {
        self.client = client
        self.pace = pace
        self.sharing = sharing
        control = sharing.isWelcome ? client.control : nil
        self.randomness = randomness
        self.loop = loop
    }

    /// Connects and logs in to the proxy, unless a connection to it is kept and welcome.
    package static func connect(
        as client: ClientLogin, randomness: any Randomness, pace: Pace = .loggedIn, sharing: ConnectionSharing = .init(isWelcome: false),
        on loop: Loop, then: @escaping (Result<ClusterDialer, TeleportError>) -> Void
    ) {
        let dialer = ClusterDialer(client, pace, sharing, randomness, loop)
        if dialer.control?.isThere == true { return then(.success(dialer)) }
        dialer.connect(pace) { result in then(result.map { _ in dialer }) }
    }

    private func connect(_ pace: Pace, then: @escaping (Result<ProxyClient, TeleportError>) -> Void) {
        ProxyClient.connect(to: client.proxy, identity: client.identity, randomness: randomness, pace: pace, on: loop) { [self] result in
            if case .success(let proxy) = result { self.proxy = proxy }
            then(result)
        }
    }

    /// Asks the proxy; where it took offence at being asked ahead of its answers, once more on a connection that waits for each.
    private func ask<Answer>(
        _ question: @escaping (ProxyClient, @escaping (Result<Answer, TeleportError>) -> Void) -> Void,
        then: @escaping (Result<Answer, TeleportError>) -> Void
    ) {
        func ask(_ result: Result<ProxyClient, TeleportError>, _ then: @escaping (Result<Answer, TeleportError>) -> Void) {
            switch result {
            case .failure(let error): then(.failure(error))
            case .success(let proxy): question(proxy, then)
            }
        }
        whenConnected { [self] connected in
            ask(connected) { [self] result in
                guard case .failure = result, proxy?.wasRefusedAhead == true else { return then(result) }
                connect(.waiting) { ask($0, then) }
            }
        }
    }

    private func whenConnected(_ body: @escaping (Result<ProxyClient, TeleportError>) -> Void) {
        if let proxy { return body(.success(proxy)) }
        waiters.append(body)
        guard waiters.count == 1 else { return }
        connect(pace) { [self] result in
            let all = waiters
            waiters = []
            for body in all { body(result) }
        }
    }

    private func missed() {
        guard !hasMissed else { return }
        hasMissed = true
        sharing.missed()
    }

    package func close() {
        proxy?.close()
    }

    // MARK: What there is

    /// What a command asks that asks nothing else.
    package static func ask<Answer>(
        as client: ClientLogin, _ loop: isolated EventLoop,
        _ question: (ClusterDialer, @escaping (Result<Answer, TeleportError>) -> Void) -> Void
    ) async throws(TeleportError) -> Answer {
        let inside = loop.inside
        let dialer = try await waiting {
            connect(
                as: client, randomness: SystemRandomness(), pace: .ahead, sharing: ConnectionSharing(isWelcome: true), on: inside, then: $0)
        }
        defer { dialer.close() }
        return try await waiting { question(dialer, $0) }
    }

    package func sites(then: @escaping (Result<[SiteList.Site], TeleportError>) -> Void) {
        answer("proxysites", { json throws(TeleportError) in try SiteList(json: json).sites }, then: then)
    }

    package func nodes(of site: String, then: @escaping (Result<[Node], TeleportError>) -> Void) {
        answer("proxynodes:@\(site)", { json throws(TeleportError) in try NodeList(json: json).nodes }, then: then)
    }

    private func answer<Answer>(
        _ question: String, _ parse: @escaping ([UInt8]) throws(TeleportError) -> Answer,
        then: @escaping (Result<Answer, TeleportError>) -> Void
    ) {
        func askDirectly() {
            ask {
                $0.ask(question, then: $1)
            } then: { result in
                then(result.flatMap { json in Result { () throws(TeleportError) in try parse(json) } })
            }
        }
        guard let stream = keptStream(question) else { return askDirectly() }
        KeptAnswer(stream) { bytes in
            // Half of an answer is none; what is wrong the proxy itself says.
            if let answer = try? parse(bytes) { then(.success(answer)) } else { askDirectly() }
        }.read(on: loop)
    }

    /// What a target means. The proxy is asked for its sites only where those whose authorities we know leave a doubt.
    package func resolve(_ target: CommandTarget, then: @escaping (Result<CommandTarget, TeleportError>) -> Void) {
        let known = client.identity.knownClusters
        if target.isDecided(isSite: known.contains) { return then(.success(target.resolved(isSite: known.contains))) }
        sites { result in
            then(result.map { sites in target.resolved { name in sites.contains { $0.name == name } } })
        }
    }

    // MARK: Nodes

    /// - Parameter port: 0 for whichever the node has.
    package func connect(
        toNode name: String, port: UInt16, site: String, login: String, pace: Pace = .loggedIn,
        then: @escaping (Result<NodeClient, TeleportError>) -> Void
    ) {
        if let stream = keptStream(ProxyClient.subsystem(toNode: name, port: port, site: site)) {
            let node = NodeClient(client.identity, host: name, site: site, login: login, way: nil, pace: pace)
            let silence = loop.schedule(after: ControlSocket.silenceMax) { node.closeIfSilent() }
            node.ready = { [self] result in
                silence.cancel()
                if case .success = result { return then(result) }
                if node.wasRefusedAhead {
                    connect(toNode: name, port: port, site: site, login: login, pace: .waiting, then: then)
                } else if node.hasSpoken {
                    then(result)
                } else {
                    // The proxy itself says what is wrong.
                    connectDirectly(toNode: name, port: port, site: site, login: login, pace: pace, then: then)
                }
            }
            return node.begin(over: stream, randomness: randomness, on: loop)
        }
        connectDirectly(toNode: name, port: port, site: site, login: login, pace: pace, then: then)
    }

    private func connectDirectly(
        toNode name: String, port: UInt16, site: String, login: String, pace: Pace,
        then: @escaping (Result<NodeClient, TeleportError>) -> Void
    ) {
        ask {
            $0.connect(toNode: name, port: port, site: site, login: login, pace: pace, then: $1)
        } then: { [self] result in
            if case .success = result { missed() }
            then(result)
        }
    }

    /// nil where no connection is kept, and once there is one of our own.
    private func keptStream(_ subsystem: String) -> PipeStream? {
        guard proxy == nil else { return nil }
        return control?.connect(saying: subsystem, on: loop)
    }

    /// A channel to a node's port, without a session in it.
    func open(toNode name: String, port: UInt16, site: String, handler: any ChannelHandler) {
        guard let proxy else { preconditionFailure("a plain channel needs a dialer that shares nothing") }
        proxy.open(name, port: port, site: site, handler: handler)
    }

    /// Bytes to and from a node's port, as they are, on this process's stdin and stdout.
    ///
    /// - Parameter host: a node's name, UUID or address, of the default site unless it ends in a site's name.
    package func relay(toHost host: String, port: UInt16, on loop: Loop, then: @escaping (Result<Void, TeleportError>) -> Void) {
        let target = CommandTarget(login: nil, place: .node(host), site: nil)
        resolve(target) { [self] result in
            switch result {
            case .failure(let error): then(.failure(error))
            case .success(let target):
                guard case .node(let name) = target.place else { preconditionFailure("a host is no label") }
                relay(toNode: name, port: port, site: target.site ?? client.site, StandardEnds(on: loop), then: then)
            }
        }
    }

    private func relay(
        toNode name: String, port: UInt16, site: String, _ ends: StandardEnds, then: @escaping (Result<Void, TeleportError>) -> Void
    ) {
        func goDirectly() {
            whenConnected { [self] result in
                switch result {
                case .failure(let error): then(.failure(error))
                case .success(let proxy):
                    proxy.open(name, port: port, site: site, handler: StandardRelay(ends, then: then))
                    missed()
                }
            }
        }
        if let stream = keptStream(ProxyClient.subsystem(toNode: name, port: port, site: site)) {
            _ = KeptRelay(stream, ends, on: loop, unanswered: goDirectly, then: then)
        } else {
            goDirectly()
        }
    }
}
