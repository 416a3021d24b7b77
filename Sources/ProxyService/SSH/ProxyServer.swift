package import Base
package import ClusterModel
package import EventLoop
package import Logging
package import ReverseTunnel
internal import SSHEngine
package import SSHNet
internal import SSHWire

/// The users' way in (3023): authenticates user certificates of this cluster and opens routes to registered nodes.
///
/// It runs nothing and stores nothing: the session to the node is end to end, what passes here is ciphertext. It lives on one loop; a process makes one
/// for each of its loops, all on the same address.
package final class ProxyServer {
    let loop: Loop
    let registry: SiteRegistry
    let nodes: SiteRegistry
    let peers: ProxyPeers
    let logger: Logger
    private(set) var snapshot: ClusterSnapshot
    /// `HOST:PORT` of this cluster's auth API.
    let authServer: String
    private let configuration: () -> ConnectionConfiguration
    private var listener: SSHListener?
    private var connections: [ObjectIdentifier: ProxyConnection] = [:]
    private var isClosed = false
    /// Between users and what they were led to.
    let relayed = RelayedBytes()
    private var routesOpened: UInt64 = 0
    private var routesFailed = Tally<ErrorKind>()

    /// A node, or a site's agent and its node, that has not answered by then is not reachable.
    static let routeTimeout: Duration = .seconds(15)
    private static let farewell = "the proxy is shutting down"

    /// - Parameters:
    ///   - tunnels: of the same loop.
    ///   - configuration: asked for every connection, so that a renewed host certificate is used at once.
    package init(
        snapshot: ClusterSnapshot, tunnels: TunnelServer, peers: ProxyPeers, authServer: String,
        configuration: @escaping () -> ConnectionConfiguration, on loop: Loop, logger: Logger
    ) {
        self.authServer = authServer
        self.snapshot = snapshot
        registry = tunnels.registry
        nodes = tunnels.nodes
        self.peers = peers
        self.configuration = configuration
        self.loop = loop
        self.logger = logger
        peers.join(self)
    }

    package func listen(_ shared: SharedListener) throws(TeleportError) {
        listener = try SSHListener(
            shared, on: loop, configuration: configuration, makeHandler: { [unowned self] peer in ProxyConnection(self, peer: peer) })
    }

    /// A new state of the cluster. Users whose authority is gone are cut off.
    package func update(_ snapshot: ClusterSnapshot) {
        self.snapshot = snapshot
        let keys = trustedKeys
        for connection in connections.values { connection.end(unlessSignedBy: keys) }
    }

    private var trustedKeys: Set<PublicKey> {
        Set(snapshot.userAuthorities.filter { $0.cluster == snapshot.clusterName }.map(\.key))
    }

    /// Goes on with a user of another loop, who was let in there.
    func arrive(_ user: MovingUser, _ move: ConnectionMove) {
        guard let listener else { preconditionFailure("users come before the proxy listens") }
        let connection = ProxyConnection(self, user)
        do throws(TeleportError) {
            let arrival = try move.arrive(on: loop, at: listener, handler: connection)
            register(connection)
            connection.goOn(arrival, user.subsystem) { [self] in
                // What was decided while the user was on the way.
                connection.end(unlessSignedBy: trustedKeys)
                if isClosed { listener.disconnectAll(Self.farewell) }
            }
        } catch {
            logger.warning("a user's connection was lost", metadata: ["peer": "\(user.peer)", "error": "\(error.message)"])
        }
    }

    /// The users that are there go on.
    package func stopAccepting() {
        listener?.close()
    }

    package var connectionCount: Int { listener?.connectionCount ?? 0 }

    package func add(to metrics: inout Metrics) {
        listener?.add(to: &metrics, as: "ssh")
        metrics.add(.routesOpened, routesOpened)
        metrics.add(.routesFailed, routesFailed, by: "kind")
        metrics.add(.relayedBytes, relayed.fromFirst, ["direction": "from_user"])
        metrics.add(.relayedBytes, relayed.fromSecond, ["direction": "to_user"])
    }

    func finishedRoute(_ error: TeleportError?) {
        if let error { routesFailed.count(error.kind) } else { routesOpened += 1 }
    }

    package func close() {
        isClosed = true
        listener?.close()
        listener?.disconnectAll(Self.farewell)
    }

    func register(_ connection: ProxyConnection) {
        connections[ObjectIdentifier(connection)] = connection
    }

    func forget(_ connection: ProxyConnection) {
        connections[ObjectIdentifier(connection)] = nil
    }
}

extension Metric {
    fileprivate static let routesOpened = Metric(.counter, "teleport_proxy_routes_opened_total", "Users led to where they asked to go.")
    fileprivate static let routesFailed = Metric(
        .counter, "teleport_proxy_routes_failed_total", "Users who were not, by what kind of error they were told.")
    fileprivate static let relayedBytes = Metric(
        .counter, "teleport_proxy_relayed_bytes_total", "Bytes passed on between users and nodes, without what the proxy's own SSH adds.")
}
