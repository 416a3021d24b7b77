package import Base
package import ClusterModel
package import EventLoop
package import Logging
internal import SSHEngine
package import SSHNet
internal import SSHWire

/// Where agents dial in (3024): authenticates them and keeps their connections in a ``SiteRegistry``.
///
/// It lives on one loop; a process makes one for each of its loops, all on the same address and with the same ``SiteDirectory``.
package final class TunnelServer {
    package let registry: SiteRegistry
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
    /// How often certificates of connected agents are looked at: an agent renews long before, so this only ends what must not stay.
    private static let expiryInterval: Duration = .seconds(30)

    /// - Parameter configuration: asked for every connection, so that a renewed host certificate is used at once.
    package init(
        snapshot: ClusterSnapshot, directory: SiteDirectory, configuration: @escaping () -> ConnectionConfiguration, on loop: Loop,
        logger: Logger
    ) {
        registry = SiteRegistry(directory, on: loop)
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
        registry.end(
            where: { tunnel in
                guard !tunnel.isOpenSSH else { return !snapshot.vouches(forAgentOf: tunnel.cluster, authority: tunnel.authority) }
                guard snapshot.leafClusters.contains(tunnel.cluster) else { return true }
                return !snapshot.hostAuthorities.of(cluster: tunnel.cluster).contains { $0.key == tunnel.authority }
            }, because: "this cluster no longer trusts the site")
        let announcement = ProxyAnnouncement(tunnels: snapshot.state.proxies.map(\.tunnelAddr).filter { !$0.isEmpty }.sorted())
        guard announcement != self.announcement else { return }
        self.announcement = announcement
        registry.forEach(announce(to:))
    }

    /// Stops taking agents in; those that are there stay until ``close()``.
    package func stopAccepting() {
        listener?.close()
        listener = nil
    }

    package func close() {
        stopAccepting()
        expiryTimer?.cancel()
        registry.end(where: { _ in true }, because: "the proxy is shutting down")
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
        let accepted: AcceptedCertificate
        do throws(CertificateDistrust) {
            accepted = try HostCertificateCheck(authorities: snapshot.hostAuthorities)
                .judge(certificate, name: attempt.user, now: loop.wallTime)
        } catch {
            throw .accessDenied("the agent's certificate is not accepted: \(error.explanation)", cause: error)
        }
        let cluster = accepted.authority.cluster
        guard certificate.keyID == attempt.user else { throw .accessDenied("the user name is not the certificate's key id") }
        guard certificate.extensions[CertificateExtension.role] == SystemRole.proxy.rawValue else {
            throw .accessDenied("the certificate's role opens no tunnel")
        }
        guard certificate.extensions[CertificateExtension.authority] == cluster else {
            throw .accessDenied("the certificate does not name its cluster")
        }
        guard snapshot.leafClusters.contains(cluster) else { throw .accessDenied("cluster \(cluster) is no site of this one") }
        return AgentIdentity(
            cluster: cluster, agent: certificate.keyID, authority: accepted.authority.key, validBefore: certificate.validBefore,
            isOpenSSH: false)
    }

    /// The node that a user wants of a site that is listed here: nothing else is ever dialled there.
    func listedNode(of site: String, for destination: TransportDestination) throws(TeleportError) -> Node {
        guard let listed = snapshot.opensshSites[site] else { throw Router.unknown(site: site) }
        return try listed.listedNode(for: destination)
    }

    func ready(_ tunnel: TunnelConnection) throws(TeleportError) {
        guard snapshot.isSite(tunnel.cluster) else { throw .accessDenied("this cluster no longer trusts the site") }
        try registry.add(tunnel)
        announce(to: tunnel)
    }

    private func announce(to tunnel: TunnelConnection) {
        if let announcementText { tunnel.announce(announcementText) }
    }

    func ended(_ tunnel: TunnelConnection) {
        registry.remove(tunnel)
    }

    private func watchExpiry() {
        expiryTimer = loop.schedule(after: Self.expiryInterval) { [weak self] in
            guard let self else { return }
            let now = UInt64(max(0, loop.wallTime.seconds))
            registry.end(where: { $0.validBefore <= now }, because: "the agent's certificate has expired")
            watchExpiry()
        }
    }
}
