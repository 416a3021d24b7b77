package import Base
internal import ClusterModel
package import EventLoop
package import SSHEngine
package import SSHNet
internal import SSHWire

/// Our connection to a proxy, and what can be asked of it. Bound to its loop.
package final class ProxyClient: ConnectionHandler {
    private let identity: ClientIdentity
    private let host: String
    private let randomness: any Randomness
    private let loop: Loop
    private var connection: SSHConnection?
    private var ready: ((Result<ProxyClient, TeleportError>) -> Void)?
    private var refusal: String?
    private let pace: Pace
    private var isLoggedIn = false
    /// Is told when the connection ends, after it was ready, and why.
    var ended: ((TeleportError) -> Void)?
    /// Why there was no login, once the connection has ended without.
    private(set) var failure: TeleportError?
    /// Whether a client that waits for each answer may come further.
    private(set) var wasRefusedAhead = false

    /// A site with 10,000 nodes prints some MiB.
    static let answerBytesMax = 64 << 20

    private init(_ identity: ClientIdentity, host: String, pace: Pace, randomness: any Randomness, on loop: Loop) {
        self.pace = pace
        self.identity = identity
        self.host = host
        self.randomness = randomness
        self.loop = loop
    }

    /// Connects and logs in.
    package static func connect(
        to proxy: HostPort, identity: ClientIdentity, randomness: any Randomness, pace: Pace = .loggedIn,
        keepAlive: KeepAlive.Options? = nil, on loop: Loop, then: @escaping (Result<ProxyClient, TeleportError>) -> Void
    ) {
        let client = ProxyClient(identity, host: proxy.host, pace: pace, randomness: randomness, on: loop)
        client.ready = { result in
            guard case .failure = result, client.wasRefusedAhead else { return then(result) }
            connect(to: proxy, identity: identity, randomness: randomness, pace: .waiting, keepAlive: keepAlive, on: loop, then: then)
        }
        do throws(TeleportError) {
            try identity.checkTime(now: loop.wallTime)
        } catch {
            return then(.failure(error))
        }
        var configuration = identity.configuration(user: identity.user, pace: pace, randomness: randomness)
        configuration.keepAlive = keepAlive ?? configuration.keepAlive
        SSHDialer.dial(proxy, configuration: configuration, handler: client, on: loop) {
            switch $0 {
            case .success(let connection): client.connection = connection
            case .failure(let error):
                client.finish(.failure(.connectionProblem("the proxy \(proxy) cannot be reached: \(error.message)", cause: error)))
            }
        }
    }

    package func close() {
        connection?.disconnect(.byApplication, "")
    }

    /// What a subsystem of the proxy prints, such as `proxysites`.
    package func ask(_ subsystem: String, then: @escaping (Result<[UInt8], TeleportError>) -> Void) {
        let reply = SubsystemReply(subsystem) { [self] result in
            guard case .failure(let error) = result else { return then(result) }
            // Channels hear of a connection's end before it is known why.
            loop.atEndOfTurn { [self] in then(.failure(failure ?? error)) }
        }
        readyConnection.openSession(handler: reply)
    }

    /// A session with a node: SSH inside of a channel of this connection, end to end.
    ///
    /// - Parameter host: the node's name, UUID or address; ends in `.SITE` where a site is meant.
    package func connect(
        toNode host: String, port: UInt16, site: String, login: String, pace: Pace,
        then: @escaping (Result<NodeClient, TeleportError>) -> Void
    ) {
        let node = NodeClient(identity, host: host, site: site, login: login, way: self, pace: pace)
        node.ready = { [self] result in
            guard case .failure = result, node.wasRefusedAhead else { return then(result) }
            connect(toNode: host, port: port, site: site, login: login, pace: .waiting, then: then)
        }
        node.begin(
            over: ChannelTransport(
                subsystem: Self.subsystem(toNode: host, port: port, site: site), on: readyConnection, peer: readyConnection.peer),
            randomness: randomness, on: loop)
    }

    /// The name of the subsystem that leads to a node.
    static func subsystem(toNode host: String, port: UInt16, site: String) -> String {
        "proxy:\(host.contains(":") ? "[\(host)]" : host):\(port)@\(site)"
    }

    /// A session channel, for a subsystem of the proxy's.
    func openSession(_ handler: any ChannelHandler) {
        readyConnection.openSession(handler: handler)
    }

    /// A channel to a node's port; the handler hears whether there is one.
    func open(_ host: String, port: UInt16, site: String, handler: any ChannelHandler) {
        let target = ChannelOpenType.directTCPIP(
            .init(
                host: "\(host).\(site)", port: port, originatorAddress: readyConnection.peer?.ip.map { "\($0)" } ?? "127.0.0.1",
                originatorPort: 0))
        readyConnection.openChannel(type: target.type, payload: target.payload(), handler: handler)
    }

    /// Also when it has ended: then every channel is refused.
    private var readyConnection: SSHConnection {
        guard let connection else { preconditionFailure("a client is given away once it is ready") }
        return connection
    }

    private func finish(_ result: Result<ProxyClient, TeleportError>) {
        let ready = ready
        self.ready = nil
        ready?(result)
    }

    // MARK: ConnectionHandler

    package func connection(_ connection: SSHConnection, verify hostKey: HostKeyOffer, answer: @escaping (HostKeyAnswer) -> Void) {
        let verdict = identity.judgeProxy(hostKey.identity, name: host, now: loop.wallTime)
        if case .reject(let reason) = verdict { refusal = reason }
        answer(verdict)
    }

    package func connectionLoginSent(_ connection: SSHConnection) {
        guard case .ahead = pace else { return }
        self.connection = connection
        finish(.success(self))
    }

    package func connectionReady(_ connection: SSHConnection) {
        isLoggedIn = true
        self.connection = connection
        finish(.success(self))
    }

    package func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {
        wasRefusedAhead = connection.wasRefusedAhead
        guard !isLoggedIn else {
            ended?(.connectionProblem("the connection to the proxy \(host) was lost\(error.map { ": \($0.message)" } ?? "")", cause: error))
            return
        }
        let failure = loginFailure(error)
        self.failure = failure
        finish(.failure(failure))
    }

    private func loginFailure(_ error: TeleportError?) -> TeleportError {
        if let refusal { return .accessDenied("the proxy \(host) could not prove who it is: \(refusal)", cause: error) }
        let message =
            error?.kind == .accessDenied
            ? "the proxy \(host) did not accept the certificate of \(identity.user); run `tsh login` again"
            : "the connection to the proxy \(host) ended: \(error?.message ?? "it closed it")"
        return TeleportError(error?.kind ?? .connectionProblem, message, cause: error)
    }
}

extension ClientIdentity {
    /// Enough for a fast line over a long distance: 8 MiB in 100 ms are 640 Mbit/s.
    private static let windowBytes: UInt32 = 8 << 20
    /// From the connection to the login; nobody has to type anything.
    private static let loginTimeMax: Duration = .seconds(15)

    func configuration(user: String, pace: Pace, randomness: any Randomness) -> ConnectionConfiguration {
        var options = ClientOptions(user: user, credentials: [credential])
        switch pace {
        case .waiting: options.goesAhead = false
        case .loggedIn, .ahead: options.goesAhead = true
        }
        var engine = EngineConfiguration(role: .client(options))
        engine.limits.windowBytes = Self.windowBytes
        engine.limits.authenticationTimeMax = Self.loginTimeMax
        return ConnectionConfiguration(engine: engine, randomness: randomness)
    }

    /// A proxy of our cluster is known by its role, under whatever name or address it is reached; anything else by its name.
    package func judgeProxy(_ host: KeyIdentity, name: String, now: UnixTime) -> HostKeyAnswer {
        var name = name
        if case .certificate(let certificate) = host, certificate.extensions[CertificateExtension.role] == SystemRole.proxy.rawValue {
            name = certificate.validPrincipals.first ?? name
        }
        return judge(host, name: name, cluster: cluster, now: now)
    }

    /// Only certificates of known host authorities are believed, each for its own cluster.
    package func judge(_ host: KeyIdentity, name: String, cluster: String?, now: UnixTime) -> HostKeyAnswer {
        guard !hostAuthorities.isEmpty else {
            return .reject(reason: "no host authorities are known; log in with `tsh login`, or sign with `tctl auth sign --format=file`")
        }
        guard case .certificate(let certificate) = host else { return .reject(reason: "it has a bare key and no certificate") }
        do throws(CertificateDistrust) {
            _ = try HostCertificateCheck(authorities: hostAuthorities).judge(certificate, name: name, cluster: cluster, now: now)
            return .accept
        } catch {
            return .reject(reason: error.explanation)
        }
    }
}

/// A session channel of which only the output is wanted.
private final class SubsystemReply: ChannelHandler {
    private let subsystem: String
    private var then: ((Result<[UInt8], TeleportError>) -> Void)?
    private var output: [UInt8] = []
    private var diagnostics: [UInt8] = []
    private var status: UInt32?

    init(_ subsystem: String, _ then: @escaping (Result<[UInt8], TeleportError>) -> Void) {
        self.subsystem = subsystem
        self.then = then
    }

    func channelOpened(_ channel: SSHChannel) {
        let request = SessionRequest.subsystem(name: subsystem)
        channel.request(request.type, payload: request.payload()) { [self] success in
            if !success { finish(.failure(.badParameter("the proxy refused the subsystem \(subsystem)"))) }
        }
        channel.sendEOF()
    }

    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        finish(.failure(.connectionProblem("the proxy opened no channel: \(message)")))
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        output += Array(copying: data)
        channel.consumed(data.count)
        if output.count > ProxyClient.answerBytesMax {
            finish(.failure(.limitExceeded("the proxy's answer to \(subsystem) is too long")))
            channel.close()
        }
    }

    func channel(_ channel: SSHChannel, receivedExtended data: Span<UInt8>, type: UInt32) {
        if diagnostics.count < 4096 { diagnostics += Array(copying: data) }
        channel.consumed(data.count)
    }

    func channel(_ channel: SSHChannel, request: ChannelRequest) {
        if case .exitStatus(let status)? = try? SessionRequest(type: request.type, payload: request.payload) { self.status = status }
        request.reply(false)
    }

    func channelClosed(_ channel: SSHChannel) {
        if diagnostics.isEmpty, status ?? 0 == 0 { return finish(.success(output)) }
        finish(.failure(.connectionProblem(ProxyText.message(diagnostics) ?? "the proxy ended \(subsystem) without an answer")))
    }

    private func finish(_ result: Result<[UInt8], TeleportError>) {
        let then = then
        self.then = nil
        then?(result)
    }
}

/// What a proxy says went wrong.
enum ProxyText {
    /// The first line without the mark, and without control characters; nil where there is none.
    static func message(_ bytes: [UInt8]) -> String? {
        guard let line = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline).first else { return nil }
        let text = line.hasPrefix("ERROR: ") ? line.dropFirst("ERROR: ".count) : line
        return String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.value >= 0x20 && !(0x7f..<0xa0).contains($0.value) }))
    }
}
