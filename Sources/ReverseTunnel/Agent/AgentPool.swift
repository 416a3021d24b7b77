package import Base
package import ClusterModel
package import EventLoop
package import Logging
internal import SSHEngine
package import SSHNet
internal import SSHWire

/// Keeps a tunnel to every proxy of the clusters that a ``TunnelService`` is for: runs ``AgentPoolPlan`` on a timer and on every change.
///
/// Bound to its loop. What a proxy asks for is the service's to give or to refuse.
package final class AgentPool {
    let loop: Loop
    private let credential: () -> AgentCredential
    private let service: any TunnelService
    private let randomness: any Randomness
    private let logger: Logger
    private var snapshot: ClusterSnapshot
    private var agents: [TunnelEndpoint: TunnelAgent] = [:]
    private var states: [TunnelEndpoint: AgentState] = [:]
    private var backoffs: [TunnelEndpoint: Backoff] = [:]
    /// Proxies that a cluster has told us of, by cluster.
    private var discovered: [String: [String]] = [:]
    /// Which agent leads to a proxy, by the key id of the proxy's certificate.
    private var proxies: [String: TunnelAgent] = [:]
    /// Addresses that rest because another tunnel leads to their proxy, by the key id of its certificate.
    private var doubles: [TunnelEndpoint: String] = [:]
    private var timer: LoopTimer?
    private var isStopped = false
    private var isAccepting = true
    /// Connections through this agent that stand or are being made.
    private var passing = 0
    private var authConnections = 0
    private var idle: (() -> Void)?
    /// Told whenever ``connected`` or ``standings`` may have changed.
    package var onChange: (() -> Void)?

    /// The first retry comes within half a second, so that a restarted proxy has its sites back at once; later ones spread out, so that
    /// thousands of sites do not return in the same second. However long a proxy was away, its sites are back five seconds after it.
    package static let backoff = Backoff(first: .milliseconds(500), longest: .seconds(4))
    /// Silence for three of these ends a tunnel. An interval of each tunnel takes some 24 µs of the proxy's processor.
    package static let heartbeat = KeepAlive.Options(interval: .seconds(8), missesMax: 2)
    /// A proxy that takes the connection and does not finish the login within this is dialled anew. Where thousands dial at once, most of it is spent
    /// waiting to be accepted: who gave up sooner would only have to wait again.
    package static let loginTimeMax: Duration = .seconds(30)
    /// How long an address rests that led to a proxy to which another one leads already.
    private static let doubleRest: Duration = .seconds(60)
    /// What one tunnel channel may hold in flight: a wide window, because the path to a site may be long.
    private static let channelWindow: UInt32 = 8 << 20

    /// - Parameters:
    ///   - credential: asked for every connection, so that a renewed certificate is used at once.
    package init(
        snapshot: ClusterSnapshot, credential: @escaping () -> AgentCredential, service: any TunnelService, randomness: any Randomness,
        on loop: Loop, logger: Logger
    ) {
        self.snapshot = snapshot
        self.credential = credential
        self.service = service
        self.randomness = randomness
        self.loop = loop
        self.logger = logger
    }

    package func start() {
        reconcile()
    }

    package func update(_ snapshot: ClusterSnapshot) {
        self.snapshot = snapshot
        let clusters = Set(service.tunnels(in: snapshot).map(\.cluster))
        discovered = discovered.filter { clusters.contains($0.key) }
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
        proxies = [:]
    }

    /// Clusters to which a tunnel is up.
    package var connected: [String] {
        Set(states.filter { $0.value == .connected }.map(\.key.cluster)).sorted()
    }

    package var standings: [String: TunnelStanding] { AgentPoolPlan.standings(present: states) }

    package func add(to metrics: inout Metrics) {
        var states: [String: Int] = ["connecting": 0, "connected": 0, "waiting": 0]
        for state in self.states.values { states[state.name, default: 0] += 1 }
        for (name, count) in states.sorted(by: { $0.key < $1.key }) { metrics.add(.agents, count, ["state": name]) }
        metrics.add(.passing, passing)
    }

    // MARK: The plan

    /// What the service itself lists comes first, so that no cluster crowds out another by what it announces.
    private var wanted: [TunnelEndpoint] {
        let records = service.tunnels(in: snapshot)
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
                states[endpoint] = nil
                backoffs[endpoint] = nil
                doubles[endpoint] = nil
                if let agent = agents.removeValue(forKey: endpoint) {
                    forget(agent, wakingDoublesAfter: .zero)
                    agent.stop("this tunnel is no longer wanted")
                }
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
        let delay = agent.isDouble ? Self.doubleRest : backoff.next(randomness)
        backoffs[endpoint] = backoff
        states[endpoint] = .waiting(retryAt: loop.now + delay)
        doubles[endpoint] = agent.isDouble ? agent.proxy : nil
        if !agent.isDouble { forget(agent, wakingDoublesAfter: delay) }
        // One that is a second way to where a tunnel leads already is nothing that a person has to look at.
        logger.log(
            level: agent.isDouble ? .debug : .warning, "no tunnel",
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

    /// The tunnel server must be a proxy of the cluster, by a certificate of that cluster's host authority, and one to which no other agent leads:
    /// where a proxy is known by two addresses, the tunnels would take each other's place for ever.
    func judge(_ hostKey: HostKeyOffer, of endpoint: TunnelEndpoint, for agent: TunnelAgent) -> HostKeyAnswer {
        guard case .certificate(let certificate) = hostKey.identity else { return .reject(reason: "the tunnel server has a bare key") }
        do throws(CertificateDistrust) {
            // Any proxy of the cluster will do, whatever name it was dialled by: its own name is what it must prove.
            _ = try HostCertificateCheck(authorities: snapshot.hostAuthorities)
                .judge(certificate, name: certificate.keyID, cluster: endpoint.cluster, now: loop.wallTime)
        } catch {
            return .reject(reason: error.explanation)
        }
        guard certificate.extensions[CertificateExtension.role] == SystemRole.proxy.rawValue,
            certificate.extensions[CertificateExtension.authority] == endpoint.cluster
        else { return .reject(reason: "the certificate is not one of a proxy of cluster \(endpoint.cluster)") }
        agent.proxy = certificate.keyID
        guard proxies[certificate.keyID] ?? agent === agent else {
            agent.isDouble = true
            return .reject(reason: "another tunnel leads to this proxy already")
        }
        proxies[certificate.keyID] = agent
        return .accept
    }

    /// The other addresses of the proxy, where it has some, may lead to it when this one does not.
    private func forget(_ agent: TunnelAgent, wakingDoublesAfter delay: Duration) {
        guard let proxy = agent.proxy, proxies[proxy] === agent else { return }
        proxies[proxy] = nil
        for (endpoint, other) in doubles where other == proxy { states[endpoint] = .waiting(retryAt: loop.now + delay) }
        doubles = doubles.filter { $0.value != proxy }
    }

    func serve(_ destination: TransportDestination, _ request: ChannelOpenRequest, from cluster: String) {
        logger.debug(
            "a proxy asks for a connection",
            metadata: [
                "cluster": "\(cluster)", "host": "\(destination.host)", "user": "\(destination.user)", "client": "\(destination.client)",
            ])
        guard isAccepting else {
            return request.refuse(.connectFailed, "the agent of \(snapshot.clusterName) is shutting down")
        }
        passing += 1
        service.serve(destination, request, from: cluster, in: snapshot) { [self] in left() }
    }

    // MARK: Towards the auth server

    /// Leads `stream`, which is paused, to the auth server of the cluster that the tunnels lead to; closes it where none is up.
    package func connectToAuthServer(_ stream: Stream) {
        let connected = states.filter { $0.value == .connected }.keys.sorted { ($0.cluster, $0.address) < ($1.cluster, $1.address) }
        guard !connected.isEmpty else { return stream.close() }
        // Each has its turn: one of the proxies may be cut off from the auth server.
        authConnections &+= 1
        agents[connected[authConnections % connected.count]]?.openChannel(to: TransportDestination.authService, joining: stream)
    }
}

extension AgentState {
    fileprivate var name: String {
        switch self {
        case .connecting: "connecting"
        case .connected: "connected"
        case .waiting: "waiting"
        }
    }
}

extension Metric {
    fileprivate static let agents = Metric(.gauge, "teleport_agent_tunnels", "Tunnels that this host keeps to proxies, by how they are.")
    fileprivate static let passing = Metric(
        .gauge, "teleport_agent_connections", "Connections that pass through those tunnels or are being made for them.")
}
