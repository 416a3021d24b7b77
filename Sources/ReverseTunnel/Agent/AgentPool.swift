package import Base
package import ClusterModel
package import EventLoop
package import Logging
internal import SSHEngine
package import SSHNet
internal import SSHWire

/// Keeps a tunnel to every proxy of every root cluster: runs ``AgentPoolPlan`` on a timer and on every change.
///
/// Bound to its loop. Dials on behalf of a proxy only what this cluster has registered.
package final class AgentPool {
    let loop: Loop
    private let credential: () -> AgentCredential
    private let authServer: String
    private let randomness: any Randomness
    private let logger: Logger
    private var snapshot: ClusterSnapshot
    private var agents: [TunnelEndpoint: TunnelAgent] = [:]
    private var states: [TunnelEndpoint: AgentState] = [:]
    private var backoffs: [TunnelEndpoint: Backoff] = [:]
    /// Proxies that a root cluster has told us of, by root cluster.
    private var discovered: [String: [String]] = [:]
    private var timer: LoopTimer?
    private var isStopped = false
    private var isAccepting = true
    /// Connections through this agent that stand or are being made.
    private var passing = 0
    private var idle: (() -> Void)?
    /// Told whenever ``connected`` or ``standings`` may have changed.
    package var onChange: (() -> Void)?

    /// The first retry comes within half a second, so that a restarted proxy has its sites back at once; later ones spread out, so that
    /// thousands of sites do not return in the same second. However long a proxy was away, its sites are back five seconds after it.
    package static let backoff = Backoff(first: .milliseconds(500), longest: .seconds(4))
    /// Silence for three of these ends a tunnel.
    package static let heartbeat = KeepAlive.Options(interval: .seconds(5), missesMax: 2)
    /// A proxy that takes the connection and does not finish the login within this is dialled anew. Where thousands dial at once, most of it is spent
    /// waiting to be accepted: who gave up sooner would only have to wait again.
    package static let loginTimeMax: Duration = .seconds(30)
    /// A node that takes no connection within this, or says nothing on it, is not reachable.
    private static let nodeTimeout: Duration = .seconds(10)
    /// What one tunnel channel may hold in flight: a wide window, because the path to a site may be long.
    private static let channelWindow: UInt32 = 8 << 20

    /// - Parameters:
    ///   - credential: asked for every connection, so that a renewed certificate is used at once.
    ///   - authServer: `HOST:PORT` of this cluster's auth API, for those who ask for it through a tunnel.
    package init(
        snapshot: ClusterSnapshot, credential: @escaping () -> AgentCredential, authServer: String, randomness: any Randomness,
        on loop: Loop,
        logger: Logger
    ) {
        self.snapshot = snapshot
        self.credential = credential
        self.authServer = authServer
        self.randomness = randomness
        self.loop = loop
        self.logger = logger
    }

    package func start() {
        reconcile()
    }

    package func update(_ snapshot: ClusterSnapshot) {
        self.snapshot = snapshot
        discovered = discovered.filter { snapshot.rootClusters.contains($0.key) }
        reconcile()
    }

    /// Serves nobody new; the tunnels, and what passes through them, stay until ``stop()``.
    package func stopAccepting() {
        isAccepting = false
    }

    /// Says when nothing passes through this agent, once.
    package func whenIdle(_ then: @escaping () -> Void) {
        idle = then
        sayIfIdle()
    }

    private func sayIfIdle() {
        guard passing == 0, let then = idle else { return }
        idle = nil
        then()
    }

    private func left() {
        passing -= 1
        sayIfIdle()
    }

    package func stop() {
        isStopped = true
        timer?.cancel()
        for agent in agents.values { agent.stop("the agent is shutting down") }
        agents = [:]
        states = [:]
    }

    /// Root clusters to which a tunnel is up.
    package var connected: [String] {
        Set(states.filter { $0.value == .connected }.map(\.key.cluster)).sorted()
    }

    package var standings: [String: TunnelStanding] { AgentPoolPlan.standings(present: states) }

    // MARK: The plan

    /// What this cluster itself lists comes first, so that no root cluster crowds out another by what it announces.
    private var wanted: [TunnelEndpoint] {
        let records = snapshot.reverseTunnels
        func endpoints(_ addresses: (ReverseTunnelRecord) -> [String]) -> [TunnelEndpoint] {
            records.flatMap { record in addresses(record).map { TunnelEndpoint(cluster: record.cluster, address: $0) } }
        }
        return endpoints(\.dialAddrs)
            + endpoints { record in
                (discovered[record.cluster] ?? []).filter { !record.dialAddrs.contains($0) }
            }
    }

    private func reconcile() {
        guard !isStopped else { return }
        let now = loop.now
        for action in AgentPoolPlan.plan(wanted: wanted, present: states, now: now) {
            switch action {
            case .dial(let endpoint):
                let agent = TunnelAgent(endpoint, pool: self, logger: logger)
                agents[endpoint] = agent
                states[endpoint] = .connecting
                agent.dial()
            case .stop(let endpoint):
                logger.info(
                    "ending a tunnel that is no longer wanted",
                    metadata: ["cluster": "\(endpoint.cluster)", "address": "\(endpoint.address)"])
                agents.removeValue(forKey: endpoint)?.stop("this cluster no longer trusts the root cluster")
                states[endpoint] = nil
                backoffs[endpoint] = nil
            }
        }
        timer?.cancel()
        timer = AgentPoolPlan.nextDue(present: states).map { due in
            loop.schedule(after: due - now) { [weak self] in self?.reconcile() }
        }
    }

    // MARK: From the agents

    func connected(_ endpoint: TunnelEndpoint, _ agent: TunnelAgent) {
        guard agents[endpoint] === agent else { return }
        states[endpoint] = .connected
        backoffs[endpoint] = nil
        logger.info("a tunnel is up", metadata: ["cluster": "\(endpoint.cluster)", "address": "\(endpoint.address)"])
        onChange?()
    }

    func ended(_ endpoint: TunnelEndpoint, _ agent: TunnelAgent, error: TeleportError?) {
        guard agents[endpoint] === agent else { return }
        agents[endpoint] = nil
        var backoff = backoffs[endpoint] ?? Self.backoff
        let delay = backoff.next(randomness)
        backoffs[endpoint] = backoff
        states[endpoint] = .waiting(retryAt: loop.now + delay)
        logger.warning(
            "no tunnel",
            metadata: [
                "cluster": "\(endpoint.cluster)", "address": "\(endpoint.address)", "error": "\(error?.message ?? "the proxy ended it")",
                "retry_ms": "\(delay.clampedMilliseconds)",
            ])
        reconcile()
        onChange?()
    }

    func discovered(_ announcement: ProxyAnnouncement, by endpoint: TunnelEndpoint) {
        let addresses = announcement.tunnels.filter { HostPort($0) != nil }
        guard discovered[endpoint.cluster] ?? [] != addresses else { return }
        discovered[endpoint.cluster] = addresses
        reconcile()
    }

    // MARK: For the agents

    func connectionConfiguration() -> ConnectionConfiguration {
        let credential = credential()
        var engine = EngineConfiguration(role: .client(ClientOptions(user: credential.user, credentials: [credential.credential])))
        engine.limits.windowBytes = Self.channelWindow
        engine.limits.authenticationTimeMax = Self.loginTimeMax
        return ConnectionConfiguration(engine: engine, randomness: randomness, keepAlive: Self.heartbeat)
    }

    /// The tunnel server must be a proxy of the root cluster, by a certificate of that cluster's host authority.
    func judge(_ hostKey: HostKeyOffer, of endpoint: TunnelEndpoint) -> HostKeyAnswer {
        guard case .certificate(let certificate) = hostKey.identity else { return .reject(reason: "the tunnel server has a bare key") }
        do throws(CertificateDistrust) {
            // Any proxy of the root cluster will do, whatever name it was dialled by: its own name is what it must prove.
            _ = try HostCertificateCheck(authorities: snapshot.hostAuthorities)
                .judge(certificate, name: certificate.keyID, cluster: endpoint.cluster, now: loop.wallTime)
        } catch {
            return .reject(reason: error.explanation)
        }
        guard certificate.extensions[CertificateExtension.role] == SystemRole.proxy.rawValue,
            certificate.extensions[CertificateExtension.authority] == endpoint.cluster
        else { return .reject(reason: "the certificate is not one of a proxy of cluster \(endpoint.cluster)") }
        return .accept
    }

    /// Dials what a proxy asks for, if it is registered here, and confirms or refuses the channel.
    func serve(_ destination: TransportDestination, _ request: ChannelOpenRequest, from cluster: String) {
        logger.debug(
            "a proxy asks for a connection",
            metadata: [
                "cluster": "\(cluster)", "host": "\(destination.host)", "user": "\(destination.user)", "client": "\(destination.client)",
            ])
        do throws(TeleportError) {
            guard isAccepting else { throw .connectionProblem("the agent of \(snapshot.clusterName) is shutting down") }
            switch destination.host {
            case TransportDestination.nodeList:
                let roles = try snapshot.localRoles(destination.roles, of: destination.user, from: cluster)
                let identity = AccessIdentity(cluster: cluster, name: destination.user, roles: roles, logins: [])
                NodeListChannel.serve(try NodeList(snapshot, visibleTo: identity).json(), request)
            case TransportDestination.authService:
                let what = "the auth server of \(snapshot.clusterName)"
                passing += 1
                NodeDialer.dial(authServer, what: what, timeout: Self.nodeTimeout, on: loop) { [self] result in
                    pass(result.map { ($0, []) }, request)
                }
            default:
                let target = try RouteTarget(host: destination.host, port: destination.port)
                guard case .node(let node, let address) = try Router.route(to: target, in: snapshot, isSite: { _ in false }) else {
                    throw .notFound("no such node in \(snapshot.clusterName)")
                }
                connect(address, what: "node \(node.hostname) at \(address)", request)
            }
        } catch {
            request.refuse(error.kind == .connectionProblem ? .connectFailed : .administrativelyProhibited, error.message)
        }
    }

    private func connect(_ address: String, what: String, _ request: ChannelOpenRequest) {
        passing += 1
        NodeDialer.reach(address, what: what, timeout: Self.nodeTimeout, on: loop) { [self] result in
            pass(result.map { ($0.stream, $0.greeting) }, request)
        }
    }

    private func pass(_ result: Result<(stream: Stream, greeting: [UInt8]), TeleportError>, _ request: ChannelOpenRequest) {
        switch result {
        case .success(let (stream, greeting)):
            ChannelPipe.accept(request, stream, greeting: greeting) { [self] in left() }
        case .failure(let error):
            request.refuse(.connectFailed, error.message)
            left()
        }
    }
}
