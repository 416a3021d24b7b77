package import Base
package import ClusterModel
package import EventLoop
package import Logging
internal import SSHEngine
package import SSHNet
internal import SSHWire

/// Where agents dial in (3024): authenticates them and keeps their connections in a ``SiteRegistry``.
///
/// It lives on one loop; a process makes one for each of its loops, all on the same address and with the same directories.
package final class TunnelServer {
    package let registry: SiteRegistry
    /// Nodes of this cluster that dial in by themselves: each is as a site of one host, by its UUID.
    package let nodes: SiteRegistry
    private let authServer: String
    private let loop: Loop
    private let configuration: () -> ConnectionConfiguration
    private let logger: Logger
    private var snapshot: ClusterSnapshot
    private var listener: SSHListener?
    private var announcement = ProxyAnnouncement(tunnels: []) {
        didSet { announcementText = try? announcement.json() }
    }
    /// What goes to every agent.
    private var announcementText: [UInt8]?
    private var expiryTimer: LoopTimer?

    /// Agents ask; we do where one has missed its turn.
    package static let heartbeat = KeepAlive.Options(
        interval: AgentPool.heartbeat.interval, missesMax: AgentPool.heartbeat.missesMax, missesUnasked: 1)
    /// An auth server that takes no connection within this is not there for a node.
    private static let authTimeout: Duration = .seconds(10)
    /// How often certificates of connected agents are looked at: an agent renews long before, so this only ends what must not stay.
    private static let expiryInterval: Duration = .seconds(30)

    /// - Parameters:
    ///   - authServer: `HOST:PORT` of this cluster's auth API, for its nodes.
    ///   - configuration: asked for every connection, so that a renewed host certificate is used at once.
    package init(
        snapshot: ClusterSnapshot, sites: SiteDirectory, nodes: SiteDirectory, authServer: String,
        configuration: @escaping () -> ConnectionConfiguration, on loop: Loop, logger: Logger
    ) {
        registry = SiteRegistry(sites, on: loop)
        self.nodes = SiteRegistry(nodes, on: loop)
        self.authServer = authServer
        self.snapshot = snapshot
        self.configuration = configuration
        self.loop = loop
        self.logger = logger
    }

    package func listen(_ shared: SharedListener) throws(TeleportError) {
        listener = try SSHListener(
            shared, on: loop, configuration: configuration,
            makeHandler: { [unowned self] _ in TunnelConnection(self, logger: logger) })
        watchExpiry()
    }

    /// A new state of the cluster: tunnels whose trust is gone end, agents hear of new proxies.
    package func update(_ snapshot: ClusterSnapshot) {
        self.snapshot = snapshot
        end(where: { !$0.isVouchedFor(by: snapshot) }, because: "this cluster no longer trusts it")
        let announcement = ProxyAnnouncement(tunnels: snapshot.state.proxies.map(\.tunnelAddr).filter { !$0.isEmpty }.sorted())
        guard announcement != self.announcement else { return }
        self.announcement = announcement
        registry.forEach(announce(to:))
        nodes.forEach(announce(to:))
    }

    private func end(where mustGo: (TunnelConnection) -> Bool, because reason: String) {
        registry.end(where: mustGo, because: reason)
        nodes.end(where: mustGo, because: reason)
    }

    /// Stops taking agents in; those that are there stay until ``close()``.
    package func stopAccepting() {
        listener?.close()
        listener = nil
    }

    package func add(to metrics: inout Metrics) {
        listener?.add(to: &metrics, as: "tunnel")
    }

    package func close() {
        stopAccepting()
        expiryTimer?.cancel()
        end(where: { _ in true }, because: "the proxy is shutting down")
    }

    // MARK: For the connections

    /// Who an agent is, by its certificate.
    ///
    /// - Throws: why it is not let in, for the log.
    func authenticate(_ attempt: UserAuthAttempt, peer: SocketAddress?) throws(TeleportError) -> AgentIdentity {
        guard case .certificate(let certificate) = attempt.identity else { throw .accessDenied("a bare key opens no tunnel") }
        guard certificate.kind == .host else {
            return try AgentIdentity(openSSH: certificate, site: attempt.user, peer: peer, in: snapshot, now: loop.wallTime)
        }
        return try AgentIdentity(host: certificate, user: attempt.user, in: snapshot, now: loop.wallTime)
    }

    func dialAuthServer(then: @escaping (Result<Stream, TeleportError>) -> Void) {
        NodeDialer.dial(authServer, what: "the auth server", timeout: Self.authTimeout, on: loop, then: then)
    }

    /// The node that a user wants of a site that is listed here: nothing else is ever dialled there.
    func listedNode(of site: String, for destination: TransportDestination) throws(TeleportError) -> Node {
        guard let listed = snapshot.opensshSites[site] else { throw Router.unknown(site: site) }
        return try listed.listedNode(for: destination)
    }

    func ready(_ tunnel: TunnelConnection) throws(TeleportError) {
        guard tunnel.isVouchedFor(by: snapshot) else { throw .accessDenied("this cluster no longer trusts it") }
        try registry(of: tunnel).add(tunnel)
        announce(to: tunnel)
    }

    private func announce(to tunnel: TunnelConnection) {
        if let announcementText { tunnel.announce(announcementText) }
    }

    func ended(_ tunnel: TunnelConnection) {
        registry(of: tunnel).remove(tunnel)
    }

    private func registry(of tunnel: TunnelConnection) -> SiteRegistry { tunnel.node == nil ? registry : nodes }

    private func watchExpiry() {
        expiryTimer = loop.schedule(after: Self.expiryInterval) { [weak self] in
            guard let self else { return }
            let now = UInt64(max(0, loop.wallTime.seconds))
            end(where: { $0.validBefore <= now }, because: "the agent's certificate has expired")
            watchExpiry()
        }
    }
}
