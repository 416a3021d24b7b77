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
    let logger: Logger
    private(set) var snapshot: ClusterSnapshot
    /// `HOST:PORT` of this cluster's auth API.
    let authServer: String
    private let configuration: () -> ConnectionConfiguration
    private var listener: SSHListener?
    private var connections: [ObjectIdentifier: ProxyConnection] = [:]

    /// A node, or a site's agent and its node, that has not answered by then is not reachable.
    static let routeTimeout: Duration = .seconds(15)

    /// - Parameter registry: of the same loop.
    /// - Parameter configuration: asked for every connection, so that a renewed host certificate is used at once.
    package init(
        snapshot: ClusterSnapshot, registry: SiteRegistry, authServer: String, configuration: @escaping () -> ConnectionConfiguration,
        on loop: Loop, logger: Logger
    ) {
        self.authServer = authServer
        self.snapshot = snapshot
        self.registry = registry
        self.configuration = configuration
        self.loop = loop
        self.logger = logger
    }

    package func listen(_ shared: SharedListener) throws(TeleportError) {
        listener = try SSHListener(
            shared, on: loop, configuration: configuration, makeHandler: { [unowned self] peer in ProxyConnection(self, peer: peer) })
    }

    /// A new state of the cluster. Users whose authority is gone are cut off.
    package func update(_ snapshot: ClusterSnapshot) {
        self.snapshot = snapshot
        let keys = Set(snapshot.userAuthorities.filter { $0.cluster == snapshot.clusterName }.map(\.key))
        for connection in connections.values { connection.end(unlessSignedBy: keys) }
    }

    /// The users that are there go on.
    package func stopAccepting() {
        listener?.close()
    }

    package var connectionCount: Int { listener?.connectionCount ?? 0 }

    package func close() {
        listener?.close()
        listener?.disconnectAll("the proxy is shutting down")
    }

    func register(_ connection: ProxyConnection) {
        connections[ObjectIdentifier(connection)] = connection
    }

    func forget(_ connection: ProxyConnection) {
        connections[ObjectIdentifier(connection)] = nil
    }
}
