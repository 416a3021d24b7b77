package import Base
package import ClusterModel
package import EventLoop
package import Logging
internal import SSHEngine
internal import SSHNet
internal import SSHWire

/// The SSH server of one machine: users of the cluster get sessions as the machine's own accounts.
///
/// It lives on one loop; a process that uses several cores makes one for each, all on the same address.
package final class NodeServer {
    let logger: Logger
    let counters: Counters
    let randomness: any Randomness
    package private(set) var configuration: NodeConfiguration
    private let loop: Loop
    /// nil as long as nothing is known of the cluster: then nobody is let in.
    private var snapshot: ClusterSnapshot?
    private var access: NodeAccess? { snapshot.map { NodeAccess(snapshot: $0, labels: configuration.labels) } }
    private var listener: SSHListener?
    private var connections: [ObjectIdentifier: NodeConnection] = [:]
    private var whenIdle: (() -> Void)?

    package init(
        configuration: NodeConfiguration, snapshot: ClusterSnapshot?, randomness: any Randomness, counters: Counters, logger: Logger,
        on loop: Loop
    ) {
        self.configuration = configuration
        self.randomness = randomness
        self.counters = counters
        self.logger = logger
        self.loop = loop
        self.snapshot = snapshot
    }

    // MARK: Life

    package func start() throws(TeleportError) {
        let listener = try SSHListener(
            address: configuration.address, limits: configuration.limits, on: loop,
            configuration: { [unowned self] in connectionConfiguration },
            makeHandler: { [unowned self] peer in accepted(from: peer) })
        self.listener = listener
        let account = UserAccounts.effectiveIdentifier
        logger.info("node listens", metadata: ["address": "\(listener.address)"])
        if account != 0 { logger.notice("not started as root: serving this user only", metadata: ["uid": "\(account)"]) }
    }

    private var connectionConfiguration: ConnectionConfiguration {
        var engine = EngineConfiguration(role: .server(ServerOptions(hostKeys: configuration.hostKeys)))
        engine.limits.authenticationTimeMax = configuration.authenticationDeadline
        return ConnectionConfiguration(engine: engine, randomness: randomness)
    }

    private func accepted(from peer: SocketAddress) -> NodeConnection {
        let connection = NodeConnection(server: self, peer: peer)
        connections[ObjectIdentifier(connection)] = connection
        counters.set("node_connections", Int64(connections.count))
        return connection
    }

    /// Where it listens, with the port that the system chose where none was given.
    package var address: SocketAddress? { listener?.address }

    package var connectionCount: Int { connections.count }

    /// Takes no more connections, and says when the last one has ended.
    package func drain(_ whenIdle: @escaping () -> Void) {
        listener?.close()
        listener = nil
        self.whenIdle = whenIdle
        sayIfIdle()
    }

    /// Ends every connection.
    package func stop() {
        listener?.close()
        listener = nil
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

    // MARK: For connections

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
        counters.set("node_connections", Int64(connections.count))
        sayIfIdle()
    }

    private func sayIfIdle() {
        guard connections.isEmpty, let whenIdle else { return }
        self.whenIdle = nil
        whenIdle()
    }
}
