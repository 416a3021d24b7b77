package import Base
internal import ClusterModel
internal import EventLoop
internal import Logging
package import SSHEngine
package import SSHNet
internal import SSHWire

/// One agent's connection, seen from the proxy.
///
/// Which site or node it speaks for comes from its verified certificate, never from what it says. Channels go from the proxy to the agent; towards
/// us it may open nothing, but for a node's way to the auth server of its cluster.
package final class TunnelConnection: ConnectionHandler {
    private let server: TunnelServer
    private let logger: Logger
    private var connection: SSHConnection?
    /// The agent as its certificate names it; nil until it is authenticated.
    private var identity: AgentIdentity?
    /// What a plain OpenSSH client asked us to listen on; nil until it has.
    private var forward: RemoteForward?
    /// In the ``SiteDirectory``, once it is there.
    var number: UInt64?
    private var isRegistered = false

    /// Channels that wait for the agent's answer, by user, so that one that hangs harms its own user alone.
    private var opening: [String: Int] = [:]
    private var openingCount = 0
    /// Of a node's own, to the auth server.
    private var authChannels = 0
    /// More channels than that wait for one agent only where it no longer answers.
    package static let openingMax = 512
    /// From the login of a plain OpenSSH client to its request; it asks at once.
    private static let forwardTimeout: Duration = .seconds(15)
    /// A node keeps one question open, announces itself and renews its certificates; the rest is room for connections that are being closed.
    package static let authChannelsMax = 8
    /// Of one user: a playbook over many nodes at once, and an eighth of what the agent bears.
    package static let openingPerUserMax = 64

    init(_ server: TunnelServer, logger: Logger) {
        self.server = server
        self.logger = logger
    }

    /// The site that it leads to, or the UUID of the node.
    package var destination: String { identity?.destination.name ?? "" }
    private var title: String { identity?.destination.title ?? "" }
    /// The agent's own name, `UUID.CLUSTER`.
    package var agent: String { identity?.agent ?? "" }
    /// Whether it is a plain OpenSSH client, and the site one that is listed here.
    private var isOpenSSH: Bool { if case .opensshSite? = identity?.destination { true } else { false } }
    /// The node's, where it leads to one.
    var node: String? { if case .node(let uuid)? = identity?.destination { uuid } else { nil } }

    /// Whether the agent would still be let in.
    func isVouchedFor(by snapshot: ClusterSnapshot) -> Bool { identity.map(snapshot.vouches(for:)) ?? true }
    /// Unix time at which the agent's certificate ends.
    var validBefore: UInt64 { identity?.validBefore ?? 0 }

    // MARK: Towards the agent

    /// Asks the agent to dial; the channel's open message carries where to.
    package func transport(to destination: TransportDestination, timeout: Duration, handler: any ChannelHandler) throws(TeleportError) {
        guard let connection, !connection.isClosed else { throw .connectionProblem("the tunnel to \(title) has just ended") }
        guard node == nil || destination.host == node else { throw .accessDenied("the tunnel of \(title) leads to nothing but this node") }
        let user = destination.user
        guard openingCount < Self.openingMax, opening[user, default: 0] < Self.openingPerUserMax else {
            throw .limitExceeded("too many connections to \(title) are waiting for its agent")
        }
        let (open, socks) = try opening(to: destination)
        openingCount += 1
        opening[user, default: 0] += 1
        let waiting = TransportOpening(handler, title: title, socks: socks) { [self] in answered(user) }
        let channel = connection.openChannel(type: open.type, payload: open.payload(), handler: waiting)
        waiting.watch(channel, timeout: timeout)
    }

    private func opening(to destination: TransportDestination) throws(TeleportError) -> (ChannelOpenType, TransportOpening.Socks?) {
        guard isOpenSSH else { return (.transport(destination: try destination.json()), nil) }
        guard let forward else { throw .connectionProblem("the agent of \(title) has asked for no connections yet") }
        let node = try server.listedNode(of: self.destination, for: destination)
        guard let place = HostPort(node.addr) else {
            throw .badParameter("node \(node.hostname) of \(title) is listed with an address that is none")
        }
        let socks = TransportOpening.Socks(
            connect: SocksConnect(host: place.host, port: place.port), what: "node \(node.hostname) of \(title) at \(node.addr)")
        return (.forwardedTCPIP(forward.endpoints(for: destination)), socks)
    }

    private func answered(_ user: String) {
        openingCount -= 1
        let rest = opening[user, default: 1] - 1
        opening[user] = rest == 0 ? nil : rest
    }

    /// Tells the agent every proxy of this cluster.
    ///
    /// - Parameter text: a ``ProxyAnnouncement``.
    func announce(_ text: [UInt8]) {
        guard !isOpenSSH else { return }
        connection?.sendGlobalRequest(ProxyAnnouncement.requestName, payload: text, then: nil)
    }

    func end(_ reason: String) {
        logger.info("ending a tunnel", metadata: ["to": "\(title)", "agent": "\(agent)", "reason": "\(reason)"])
        connection?.disconnect(.byApplication, reason)
    }

    // MARK: ConnectionHandler

    package func connection(
        _ connection: SSHConnection, authenticate attempt: UserAuthAttempt, answer: @escaping (UserAuthAnswer) -> Void
    ) {
        do {
            let proven = try server.authenticate(attempt, peer: connection.peer)
            // The key that signs is the one that counts; a mere question changes nothing.
            if attempt.isProven { identity = proven }
            answer(.accept)
        } catch {
            connection.refusedKey(RefusalReason(error, of: attempt))
            logger.info(
                "an agent was refused",
                metadata: ["peer": "\(connection.peer?.description ?? "?")", "user": "\(attempt.user)", "reason": "\(error.message)"])
            answer(.reject)
        }
    }

    package func connectionReady(_ connection: SSHConnection) {
        self.connection = connection
        guard isOpenSSH else { return register() }
        connection.loop.schedule(after: Self.forwardTimeout) { [weak self] in
            guard let self, forward == nil else { return }
            end("this is where a site's agent connects: ssh -N -R 0")
        }
    }

    private func register() {
        do {
            try server.ready(self)
            isRegistered = true
            logger.info(
                "an agent connected",
                metadata: ["to": "\(title)", "agent": "\(agent)", "peer": "\(connection?.peer?.description ?? "?")"])
        } catch {
            end(error.message)
        }
    }

    /// `ssh -R 0` asks once, and opens no port here: it marks the connection as its site's.
    package func connection(_ connection: SSHConnection, globalRequest request: GlobalRequest) {
        guard isOpenSSH, forward == nil, let asked = RemoteForward(request) else { return request.reply(success: false) }
        forward = asked
        request.reply(success: true, payload: RemoteForward.reply)
        register()
    }

    package func connection(_ connection: SSHConnection, opens request: ChannelOpenRequest) {
        guard node != nil else { return request.refuse(.administrativelyProhibited, "an agent opens no channels here") }
        guard case .transport(let json)? = try? ChannelOpenType(type: request.type, payload: request.payload),
            let asked = try? TransportDestination(json: json), asked.host == TransportDestination.authService
        else {
            return request.refuse(.administrativelyProhibited, "a node's agent opens channels to the auth server of its cluster only")
        }
        guard authChannels < Self.authChannelsMax else {
            return request.refuse(.resourceShortage, "\(Self.authChannelsMax) connections to the auth server are all that a node may have")
        }
        authChannels += 1
        server.dialAuthServer { [self] result in
            switch result {
            case .success(let stream): ChannelPipe.accept(request, .stream(stream)) { [self] in authChannels -= 1 }
            case .failure(let error):
                authChannels -= 1
                request.refuse(.connectFailed, error.message)
            }
        }
    }

    package func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {
        self.connection = nil
        guard isRegistered else { return }
        isRegistered = false
        logger.info("an agent left", metadata: ["to": "\(title)", "agent": "\(agent)", "error": "\(error?.message ?? "none")"])
        server.ended(self)
    }
}
