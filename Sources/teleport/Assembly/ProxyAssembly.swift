import AuthAPI
import AuthService
import Base
import ClusterModel
import Config
import Crypto
import Diagnostics
import EventLoop
import Logging
import Programs
import ProxyService
import ReverseTunnel
import SSHEngine
import SSHNet

/// The proxy of this process: users' SSH and tunnels in on each of its loops, tunnels out and HTTPS on the first. Bound to the first.
final class ProxyAssembly {
    /// What there is on each loop.
    private struct Servers {
        let users: ProxyServer
        let tunnels: TunnelServer
    }

    private let servers: PerLoop<Servers>
    private let users: SharedListener
    private let agents: AgentPool
    private let reporter: TunnelReporter
    private let web: WebServer
    private let cache: AuthCache
    private let client: AuthClient
    private let readiness: HostReadiness
    private let diagnostics: Diagnostics
    private let loop: Loop
    private let logger: Logger
    private var tasks: [Task<Void, Never>] = []
    private var record: ProxyRecord
    private var heartbeatTimer: LoopTimer?

    /// A third of what an announcement lasts.
    private static let heartbeatInterval: Duration = .seconds(20)
    private static let retryInterval: Duration = .seconds(2)

    private init(
        servers: PerLoop<Servers>, users: SharedListener, agents: AgentPool, reporter: TunnelReporter, web: WebServer, cache: AuthCache,
        client: AuthClient, readiness: HostReadiness, diagnostics: Diagnostics, record: ProxyRecord, loop: Loop, logger: Logger
    ) {
        self.readiness = readiness
        self.diagnostics = diagnostics
        self.servers = servers
        self.users = users
        self.agents = agents
        self.reporter = reporter
        self.web = web
        self.cache = cache
        self.client = client
        self.record = record
        self.loop = loop
        self.logger = logger
    }

    static func start(
        _ config: Config, _ directory: DataDirectory, _ local: AuthService?, _ diagnostics: Diagnostics, _ randomness: any Randomness,
        _ loops: LoopGroup, _ loop: isolated EventLoop, _ logger: Logger
    ) async throws -> ProxyAssembly {
        guard let proxy = config.proxy else { preconditionFailure("no proxy is configured") }
        let readiness = HostReadiness(.proxy, diagnostics)
        let listen = [proxy.listen, proxy.tunnelListen, proxy.webListen]
        let membership = HostMembership(
            config: config, directory: directory, role: .proxy, joinRole: .proxy,
            publicAddresses: HostAddresses.names(
                config, listen: listen, public: proxy.publicAddresses + proxy.sshPublicAddresses + proxy.tunnelPublicAddresses),
            local: local, randomness: randomness, logger: logger)
        let identity = try await membership.identity(loop)
        let credentials = try HostCredentials(identity)
        let transport = membership.transport(identity, loop)
        let client = AuthClient(transport: transport)
        let cache = AuthCache(
            client: client, directory: directory.cache, name: "proxy", eventLoop: loop, randomness: randomness, logger: logger)
        cache.onConnection(readiness.authServer(isConnected:))
        cache.start()
        guard let snapshot = await cache.first() else { throw CancellationError() }

        let inside = loop.inside
        let authServer = config.authServers.first.map(\.description) ?? ""
        var limits = EngineLimits()
        limits.authenticationTimeMax = config.limits.authenticationDeadline
        let userLimits = limits
        var tunnelLimits = limits
        tunnelLimits.windowBytes = 8 << 20
        // Many users share one tunnel.
        tunnelLimits.channelsMax = 16_384
        let agentLimits = tunnelLimits
        let sites = SiteDirectory()
        let nodes = SiteDirectory()
        let peers = ProxyPeers()
        let listenerLimits = config.limits.listener
        let count = loops.loops.count
        let userListener = try SharedListener(address: proxy.listen, limits: listenerLimits, listeners: count)
        let tunnelListener = try SharedListener(address: proxy.tunnelListen, limits: listenerLimits, listeners: count)
        let servers = try await loops.each { loop in
            let tunnels = TunnelServer(
                snapshot: snapshot, sites: sites, nodes: nodes, authServer: authServer,
                configuration: { configuration(credentials, agentLimits, TunnelServer.heartbeat, randomness) }, on: loop, logger: logger)
            let users = ProxyServer(
                snapshot: snapshot, tunnels: tunnels, peers: peers, authServer: authServer,
                configuration: {
                    configuration(credentials, userLimits, KeepAlive.Options(interval: .seconds(30), missesMax: 3), randomness)
                }, on: loop, logger: logger)
            try users.listen(userListener)
            try tunnels.listen(tunnelListener)
            return Servers(users: users, tunnels: tunnels)
        }
        guard let own = servers.value(on: loop) else { preconditionFailure("the first loop has servers, too") }
        let agents = AgentPool(
            snapshot: snapshot, credential: { credentials.agentCredential },
            service: SiteService(authServer: authServer, nodes: own.tunnels.nodes, on: inside), randomness: randomness, on: inside,
            logger: logger)
        var record = ProxyRecord(uuid: directory.uuid, hostname: config.nodename, sshAddr: "", tunnelAddr: "", webAddr: "")
        record.sshAddr = announced(config, userListener.address, proxy.sshPublicAddresses)
        record.tunnelAddr = announced(config, tunnelListener.address, proxy.tunnelPublicAddresses)
        record.webAddr = announced(config, proxy.webListen, proxy.publicAddresses)
        let web = try WebServer(
            identity: try await webIdentity(proxy, identity, loop), auth: client,
            ping: WebPing(
                cluster: snapshot.clusterName, version: Version.number, sshAddr: record.sshAddr, tunnelAddr: record.tunnelAddr,
                webAddr: record.webAddr),
            limits: listenerLimits, clock: SystemClock(), on: inside, logger: logger)
        try web.listen(on: proxy.webListen)
        logger.info(
            "proxy listens",
            metadata: ["ssh": "\(proxy.listen)", "tunnel": "\(proxy.tunnelListen)", "web": "\(proxy.webListen)"])

        diagnostics.measure(servers) { servers, metrics in
            servers.users.add(to: &metrics)
            servers.tunnels.add(to: &metrics)
        }
        diagnostics.measure(LoopBound(agents, on: inside)) { agents, metrics in agents.add(to: &metrics) }
        diagnostics.measure { metrics in
            let known = cache.snapshot.map { $0.leafClusters.count + $0.opensshSites.count }
            sites.add(to: &metrics, known: known ?? 0)
        }
        let reporter = TunnelReporter(sites, client: client, on: inside, logger: logger)
        let assembly = ProxyAssembly(
            servers: servers, users: userListener, agents: agents, reporter: reporter, web: web, cache: cache, client: client,
            readiness: readiness, diagnostics: diagnostics, record: record, loop: inside, logger: logger)
        assembly.begin(membership, credentials, transport, renewsWeb: proxy.https == nil, loop)
        return assembly
    }

    private func begin(
        _ membership: HostMembership, _ credentials: HostCredentials, _ transport: RenewableTransport, renewsWeb: Bool,
        _ eventLoop: isolated EventLoop
    ) {
        let bound = LoopBound(self, on: loop)
        cache.onChange { snapshot in
            eventLoop.post { loop in bound.value(on: loop)?.update(snapshot) }
        }
        agents.onChange = { [weak self] in
            guard let self else { return }
            reporter.update(roots: agents.connected)
            diagnostics.tunnels(agents.standings)
        }
        tasks.append(
            eventLoop.spawn { loop in
                await membership.keepRenewed(credentials, transport, loop) { identity in
                    guard renewsWeb else { return }
                    loop.post { loop in bound.value(on: loop)?.renewed(identity) }
                }
            })
        agents.start()
        diagnostics.tunnels(agents.standings)
        heartbeat()
    }

    private func update(_ snapshot: ClusterSnapshot) {
        servers.forEach { servers in
            servers.tunnels.update(snapshot)
            servers.users.update(snapshot)
        }
        agents.update(snapshot)
        diagnostics.tunnels(agents.standings)
    }

    private func renewed(_ identity: HostIdentity) {
        do throws(TeleportError) {
            try web.setIdentity(identity)
        } catch {
            logger.error("the renewed certificate cannot be used for HTTPS", metadata: ["error": "\(error.message)"])
        }
    }

    private static func configuration(
        _ credentials: HostCredentials, _ limits: EngineLimits, _ keepAlive: KeepAlive.Options, _ randomness: any Randomness
    ) -> ConnectionConfiguration {
        var engine = EngineConfiguration(role: .server(ServerOptions(hostKeys: [credentials.hostKey])))
        engine.limits = limits
        return ConnectionConfiguration(engine: engine, randomness: randomness, keepAlive: keepAlive)
    }

    private static func announced(_ config: Config, _ listen: SocketAddress, _ addresses: [HostPort]) -> String {
        (config.announced(listen, public: addresses)?.description) ?? "\(listen)"
    }

    /// HTTPS with the operator's certificate where the configuration names one, else with the cluster's own.
    private static func webIdentity(
        _ proxy: Config.Proxy, _ identity: HostIdentity, _ loop: isolated EventLoop
    ) async throws -> HostIdentity {
        guard let files = proxy.https else { return identity }
        return try await loop.work {
            var web = identity
            web.tlsCertificate = String(decoding: try FileIO.read(files.certFile, max: 1 << 20), as: UTF8.self)
            web.tlsPrivateKey = String(decoding: try FileIO.read(files.keyFile, max: 1 << 20), as: UTF8.self)
            return web
        }
    }

    // MARK: Presence

    private func heartbeat() {
        let (client, record) = (client, record)
        loop.perform({ try await client.heartbeat(record) }) { [weak self] result in
            guard let self else { return }
            var pause = Self.heartbeatInterval
            switch result {
            case .success: readiness.announced(true)
            case .failure(let error):
                readiness.announced(false)
                logger.warning("cannot announce this proxy", metadata: ["error": "\(error)"])
                pause = Self.retryInterval
            }
            heartbeatTimer = loop.schedule(after: pause) { [weak self] in self?.heartbeat() }
        }
        reporter.reportAll()
    }

    // MARK: The end

    func drain(_ whenIdle: @escaping () -> Void) {
        servers.forEach { $0.users.stopAccepting() }
        agents.stopAccepting()
        users.whenIdle(on: loop) { [agents] in agents.whenIdle(whenIdle) }
    }

    func close(then: @escaping () -> Void) {
        heartbeatTimer?.cancel()
        reporter.stop()
        agents.onChange = nil
        for task in tasks { task.cancel() }
        cache.stop()
        servers.forEach { servers in
            servers.users.close()
            servers.tunnels.close()
        }
        agents.stop()
        web.close(then: then)
    }
}
