package import Base
package import ClusterModel
package import EventLoop
package import Logging
internal import SSHEngine
package import SSHNet
internal import SSHWire

/// The SSH server of one machine: users of the cluster get sessions as the machine's own accounts.
///
/// It lives on one loop; a process makes one for each of its loops, all on the same address.
package final class NodeServer {
    let logger: Logger
    let randomness: any Randomness
    package private(set) var configuration: NodeConfiguration
    private let loop: Loop
    /// nil as long as nothing is known of the cluster: then nobody is let in.
    private var snapshot: ClusterSnapshot?
    private var access: NodeAccess? { snapshot.map { NodeAccess(snapshot: $0, labels: configuration.labels) } }
    private var listener: SSHListener?
    private var connections: [ObjectIdentifier: NodeConnection] = [:]
    private var sessionsOpened: UInt64 = 0
    private var refusals = Tally<NodeRefusal>()

    package init(
        configuration: NodeConfiguration, snapshot: ClusterSnapshot?, randomness: any Randomness, logger: Logger, on loop: Loop
    ) {
        self.configuration = configuration
        self.randomness = randomness
        self.logger = logger
        self.loop = loop
        self.snapshot = snapshot
    }

    // MARK: Life

    package func start(_ shared: SharedListener) throws(TeleportError) {
        listener = try SSHListener(
            shared, on: loop, configuration: { [unowned self] in connectionConfiguration },
            makeHandler: { [unowned self] peer in accepted(from: peer) })
    }

    private var connectionConfiguration: ConnectionConfiguration {
        var engine = EngineConfiguration(role: .server(ServerOptions(hostKeys: configuration.hostKeys)))
        engine.limits.authenticationTimeMax = configuration.authenticationDeadline
        return ConnectionConfiguration(engine: engine, randomness: randomness)
    }

    /// Serves a client who comes through a tunnel: SSH inside of the channel.
    ///
    /// - Parameter client: where they come from, by the word of the proxy.
    /// - Parameter ended: is called once, when they have gone.
    package func serve(_ request: ChannelOpenRequest, from client: SocketAddress, ended: @escaping () -> Void) {
        let connection = accepted(from: client, by: request.connection.local, ended: ended)
        _ = SSHConnection.over(
            transport: ChannelTransport(accepting: request, peer: client), configuration: connectionConfiguration, handler: connection,
            on: loop)
    }

    private func accepted(
        from peer: SocketAddress, by local: SocketAddress? = nil, ended: @escaping () -> Void = {}
    ) -> NodeConnection {
        let connection = NodeConnection(server: self, peer: peer, local: local, ended: ended)
        connections[ObjectIdentifier(connection)] = connection
        return connection
    }

    /// The connections that are there go on.
    package func stopAccepting() {
        listener?.close()
        listener = nil
    }

    /// Ends every connection.
    package func stop() {
        stopAccepting()
        for connection in connections.values { connection.connection?.disconnect(.byApplication, "this node is going down") }
    }

    // MARK: Change

    /// Takes on renewed keys, certificates and labels; the address stays what it is.
    package func update(configuration: NodeConfiguration) {
        let address = self.configuration.address
        self.configuration = configuration
        self.configuration.address = address
        if let snapshot { update(snapshot: snapshot) }
    }

    /// Knows the cluster anew; whoever would not be let in any more is put out.
    package func update(snapshot: ClusterSnapshot) {
        self.snapshot = snapshot
        guard let access else { return }
        for connection in connections.values { connection.review(access) }
    }

    package func add(to metrics: inout Metrics) {
        listener?.add(to: &metrics, as: "node")
        metrics.add(.sessions, connections.values.reduce(0) { $0 + $1.sessionCount })
        metrics.add(.sessionsOpened, sessionsOpened)
        metrics.add(.refusals, refusals, by: "of")
    }

    // MARK: For connections

    func openedSession() {
        sessionsOpened += 1
    }

    func refused(_ what: NodeRefusal) {
        refusals.count(what)
    }

    func judge(_ attempt: UserAuthAttempt, source: IPAddress?, now: UnixTime) throws(TeleportError) -> NodeAccess.Grant {
        guard let access else { throw .accessDenied("nothing is known of the cluster yet") }
        return try access.judge(attempt.identity, login: attempt.user, source: source, now: now)
    }

    /// A node that is not root can be nobody else than who it is.
    func mayServe(_ account: UserAccount) -> Bool {
        let own = UserAccounts.effectiveIdentifier
        return own == 0 || own == account.identifier
    }

    func ended(_ connection: NodeConnection) {
        connections.removeValue(forKey: ObjectIdentifier(connection))
    }
}

/// What a node refuses to users who are logged in.
enum NodeRefusal: String, CaseIterable, Sendable {
    case channel
    case globalRequest = "global_request"
}

extension Metric {
    fileprivate static let sessions = Metric(.gauge, "teleport_node_sessions", "Sessions that are open.")
    fileprivate static let sessionsOpened = Metric(.counter, "teleport_node_sessions_opened_total", "Sessions that were opened.")
    fileprivate static let refusals = Metric(.counter, "teleport_node_refusals_total", "What was refused to users who are logged in.")
}
