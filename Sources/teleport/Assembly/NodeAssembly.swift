import AuthAPI
import AuthService
import Base
import ClusterModel
import Config
import Crypto
import EventLoop
import Logging
import NodeService
import Programs
import SSHEngine
import SSHNet

/// The node of this process. Bound to its loop.
final class NodeAssembly {
    private let server: NodeServer
    private let presence: NodePresence
    private let cache: AuthCache
    private let renewing: Task<Void, Never>
    /// As it is announced.
    private var record: Node

    private init(
        _ server: NodeServer, _ presence: NodePresence, _ cache: AuthCache, _ renewing: Task<Void, Never>, _ record: Node
    ) {
        self.record = record
        self.server = server
        self.presence = presence
        self.cache = cache
        self.renewing = renewing
    }

    static func start(
        _ config: Config, _ directory: DataDirectory, _ local: AuthService?, _ randomness: any Randomness, _ loop: isolated EventLoop,
        _ logger: Logger
    ) async throws -> NodeAssembly {
        guard let node = config.node else { preconditionFailure("no node is configured") }
        let membership = HostMembership(
            config: config, directory: directory, role: .node, joinRole: .node,
            publicAddresses: HostAddresses.names(config, listen: [node.listen], public: node.publicAddresses, loopback: false),
            local: local,
            randomness: randomness, logger: logger)
        let identity = try await membership.identity(loop)
        let credentials = try HostCredentials(identity)
        let transport = RenewableTransport(HostMembership.transport(config, identity, loop))
        let client = AuthClient(transport: transport)
        let cache = AuthCache(
            client: client, directory: directory.cache, name: "node", eventLoop: loop, randomness: randomness, logger: logger)
        cache.start()
        guard let snapshot = await cache.first() else { throw CancellationError() }

        let inside = loop.inside
        let configuration = NodeConfiguration(
            uuid: directory.uuid, hostname: config.nodename, cluster: identity.cluster, labels: node.labels, address: node.listen,
            webProxyAddress: snapshot.state.proxies.first?.webAddr, hostKeys: [credentials.hostKey], limits: config.limits.listener,
            authenticationDeadline: config.limits.authenticationDeadline,
            sessionChildExecutable: try FileIO.executablePath())
        let server = NodeServer(
            configuration: configuration, snapshot: snapshot, randomness: randomness, counters: Counters(), logger: logger, on: inside)
        try server.start()
        let bound = LoopBound(server, on: inside)
        cache.onChange { snapshot in
            loop.post { loop in bound.value(on: loop)?.update(snapshot: snapshot) }
        }
        let address = server.address ?? node.listen
        let record = Node(
            uuid: directory.uuid, hostname: config.nodename,
            addr: config.announced(address, public: node.publicAddresses)?.description ?? "\(address)", labels: node.labels,
            cluster: identity.cluster, version: Version.number)
        let presence = NodePresence(client: client, node: record, randomness: randomness, logger: logger)
        presence.start(on: loop)
        let renewing = loop.spawn { loop in
            await membership.keepRenewed(credentials, transport, loop) { _ in
                loop.post { loop in
                    guard let server = bound.value(on: loop) else { return }
                    var renewed = server.configuration
                    renewed.hostKeys = [credentials.hostKey]
                    server.update(configuration: renewed)
                }
            }
        }
        return NodeAssembly(server, presence, cache, renewing, record)
    }

    /// Takes on other labels: for logins from now on, and for the next announcement.
    func relabel(_ labels: Labels) {
        var configuration = server.configuration
        configuration.labels = labels
        server.update(configuration: configuration)
        record.labels = labels
        presence.update(record)
    }

    func drain(_ whenIdle: @escaping () -> Void) {
        presence.stop()
        server.drain(whenIdle)
    }

    func close() {
        renewing.cancel()
        cache.stop()
        presence.stop()
        server.stop()
    }
}
