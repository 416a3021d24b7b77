import AuthAPI
import AuthService
import Base
import ClusterModel
import Config
import Crypto
import Diagnostics
import EventLoop
import Logging
import NodeService
import Programs
import SSHEngine
import SSHNet

/// The node of this process, on each of its loops; one that dials has all of its clients on the first. Bound to the first.
final class NodeAssembly {
    /// How clients come to the node.
    private enum Entrance {
        case listening(SharedListener)
        case tunnel(NodeTunnel)
    }

    private let servers: PerLoop<NodeServer>
    private let entrance: Entrance
    private let loop: Loop
    private let presence: NodePresence
    private let cache: AuthCache
    private let renewing: Task<Void, Never>
    /// As it is announced.
    private var record: Node

    private init(
        _ servers: PerLoop<NodeServer>, _ entrance: Entrance, _ presence: NodePresence, _ cache: AuthCache,
        _ renewing: Task<Void, Never>, _ record: Node, on loop: Loop
    ) {
        self.record = record
        self.servers = servers
        self.entrance = entrance
        self.loop = loop
        self.presence = presence
        self.cache = cache
        self.renewing = renewing
    }

    static func start(
        _ config: Config, _ directory: DataDirectory, _ local: AuthService?, _ diagnostics: Diagnostics, _ randomness: any Randomness,
        _ loops: LoopGroup, _ loop: isolated EventLoop, _ logger: Logger
    ) async throws -> NodeAssembly {
        guard let node = config.node else { preconditionFailure("no node is configured") }
        let readiness = HostReadiness(.node, diagnostics)
        let membership = HostMembership(
            config: config, directory: directory, role: .node, joinRole: .node,
            publicAddresses: HostAddresses.names(
                config, listen: node.listen.map { [$0] } ?? [], public: node.publicAddresses, loopback: false),
            local: local, randomness: randomness, logger: logger)
        let identity = try await membership.identity(loop)
        let credentials = try HostCredentials(identity)
        let tunnel =
            if let proxy = config.proxyServer {
                try await NodeTunnel.open(
                    proxy, socket: directory.authSocket, identity, credentials, diagnostics, randomness, loop, logger)
            } else { NodeTunnel?.none }
        let transport = tunnel?.transport(identity, loop) ?? membership.transport(identity, loop)
        let client = AuthClient(transport: transport)
        let cache = AuthCache(
            client: client, directory: directory.cache, name: "node", eventLoop: loop, randomness: randomness, logger: logger)
        cache.onConnection(readiness.authServer(isConnected:))
        cache.start()
        guard let snapshot = await cache.first() else { throw CancellationError() }

        let configuration = NodeConfiguration(
            uuid: directory.uuid, hostname: config.nodename, cluster: identity.cluster, labels: node.labels,
            address: node.listen ?? SocketAddress(.any4, port: 0),
            webProxyAddress: snapshot.state.proxies.first?.webAddr, hostKeys: [credentials.hostKey],
            authenticationDeadline: config.limits.authenticationDeadline,
            sessionChildExecutable: try FileIO.executablePath())
        let listening = try node.listen.map { address throws(TeleportError) in
            try SharedListener(address: address, limits: config.limits.listener, listeners: loops.loops.count)
        }
        let servers = try await loops.each { loop in
            let server = NodeServer(
                configuration: configuration, snapshot: snapshot, randomness: randomness, logger: logger, on: loop)
            if let listening { try server.start(listening) }
            return server
        }
        diagnostics.measure(servers) { server, metrics in server.add(to: &metrics) }
        let entrance: Entrance
        var address = ""
        if let listening {
            entrance = .listening(listening)
            address = config.announced(listening.address, public: node.publicAddresses)?.description ?? "\(listening.address)"
            logger.info("node listens", metadata: ["address": "\(listening.address)"])
        } else if let tunnel {
            entrance = .tunnel(tunnel)
            tunnel.server = servers.value(on: loop)
        } else {
            preconditionFailure("a node listens or dials")
        }
        let account = UserAccounts.effectiveIdentifier
        if account != 0 { logger.notice("not started as root: serving this user only", metadata: ["uid": "\(account)"]) }
        cache.onChange { snapshot in servers.forEach { $0.update(snapshot: snapshot) } }
        tunnel?.follow(cache)
        let record = Node(
            uuid: directory.uuid, hostname: config.nodename, addr: address, labels: node.labels, cluster: identity.cluster,
            version: Version.number)
        let presence = NodePresence(
            client: client, node: record, randomness: randomness, logger: logger, announced: readiness.announced)
        presence.start(on: loop)
        let renewing = loop.spawn { loop in
            await membership.keepRenewed(credentials, transport, loop) { _ in
                let hostKey = credentials.hostKey
                servers.forEach { server in
                    var renewed = server.configuration
                    renewed.hostKeys = [hostKey]
                    server.update(configuration: renewed)
                }
            }
        }
        return NodeAssembly(servers, entrance, presence, cache, renewing, record, on: loop.inside)
    }

    /// Takes on other labels: for logins from now on, and in the list of nodes.
    func relabel(_ labels: Labels) {
        servers.forEach { server in
            var configuration = server.configuration
            configuration.labels = labels
            server.update(configuration: configuration)
        }
        record.labels = labels
        presence.update(record, on: loop.eventLoop)
    }

    func drain(_ whenIdle: @escaping () -> Void) {
        presence.stop()
        servers.forEach { $0.stopAccepting() }
        switch entrance {
        case .listening(let listening): listening.whenIdle(on: loop, whenIdle)
        case .tunnel(let tunnel): tunnel.drain(whenIdle)
        }
    }

    func close() {
        renewing.cancel()
        cache.stop()
        presence.stop()
        servers.forEach { $0.stop() }
        if case .tunnel(let tunnel) = entrance { tunnel.close() }
    }
}
