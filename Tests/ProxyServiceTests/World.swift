import Base
import ClusterModel
import Crypto
import EventLoop
import Logging
import ProxyService
import ReverseTunnel
import SSHEngine
import SSHNet
import SSHWire
import Testing

/// Runs `body` in a fresh world on a loop of its own thread, and stops the loop afterwards.
///
/// - Parameter loops: on how many the proxy serves.
func inWorld(loops: Int = 1, _ body: @escaping @Sendable (isolated EventLoop, World) async throws -> Void) async throws {
    let all = (0..<loops).map { EventLoop(name: "test-\($0)") }
    for eventLoop in all { eventLoop.start() }
    defer { for eventLoop in all { eventLoop.stop() } }
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
        all[0].spawn { eventLoop in
            do {
                let world = try World(on: eventLoop.inside, loops: loops)
                for other in all.dropFirst() { try await world.serve(on: other) }
                try await body(eventLoop, world)
                world.close()
                continuation.resume()
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}

/// The proxy on one loop.
struct Servers {
    let proxy: ProxyServer
    let tunnels: TunnelServer

    /// What the servers of all loops are made of.
    struct Parts: Sendable {
        let snapshot: ClusterSnapshot
        let configuration: ConnectionConfiguration
        let sites = SiteDirectory()
        let nodes = SiteDirectory()
        let peers = ProxyPeers()
        let authServer: String
        let users: SharedListener
        let agents: SharedListener
        let logger: Logger
    }
}

extension Servers {
    init(_ parts: Parts, on loop: Loop) throws {
        tunnels = TunnelServer(
            snapshot: parts.snapshot, sites: parts.sites, nodes: parts.nodes, authServer: parts.authServer,
            configuration: { parts.configuration }, on: loop, logger: parts.logger)
        proxy = ProxyServer(
            snapshot: parts.snapshot, tunnels: tunnels, peers: parts.peers, authServer: parts.authServer,
            configuration: { parts.configuration }, on: loop, logger: parts.logger)
        try tunnels.listen(parts.agents)
        try proxy.listen(parts.users)
    }
}

/// The authorities of the clusters, made once.
struct Authorities: Sendable {
    static let shared = Authorities()

    let hubUser = PrivateKey.generate(randomness: SystemRandomness())
    let hubHost = PrivateKey.generate(randomness: SystemRandomness())
    let eastUser = PrivateKey.generate(randomness: SystemRandomness())
    let eastHost = PrivateKey.generate(randomness: SystemRandomness())
    let westHost = PrivateKey.generate(randomness: SystemRandomness())
    let stranger = PrivateKey.generate(randomness: SystemRandomness())
}

/// What a certificate says, good or bad.
struct Claim: Sendable {
    var authority = Authorities.shared.hubUser
    var kind = CertificateKind.user
    var keyID = "alice"
    var principals = ["root"]
    /// From now.
    var begins = Duration.seconds(-60)
    var ends = Duration.seconds(3600)
    var critical: [String: String] = [:]
    var extensions = [CertificateExtension.roles: #"["access"]"#, CertificateExtension.authority: "hub"]

    static let user = Claim()

    /// The certificate of an agent, which must have role Proxy.
    static func agent(
        uuid: String = "9f7c0a52-6f2b-4f3e-9d0a-0000000000e1", of cluster: String = "east",
        by authority: PrivateKey = Authorities.shared.eastHost,
        role: String? = "Proxy"
    ) -> Claim {
        var claim = Claim()
        claim.authority = authority
        claim.kind = .host
        claim.keyID = "\(uuid).\(cluster)"
        claim.principals = [uuid, "\(uuid).\(cluster)"]
        claim.extensions = [CertificateExtension.authority: cluster]
        claim.extensions[CertificateExtension.role] = role
        return claim
    }

    func with(_ change: (inout Claim) -> Void) -> Claim {
        var copy = self
        change(&copy)
        return copy
    }

    func credential() throws -> UserCredential {
        let key = PrivateKey.generate(randomness: SystemRandomness())
        return UserCredential(identity: .certificate(try certificate(of: key)), signer: .key(key))
    }

    func hostKey() throws -> HostKey {
        let key = PrivateKey.generate(randomness: SystemRandomness())
        return HostKey(key: key, certificate: try certificate(of: key))
    }

    func certificate(of key: PrivateKey) throws -> Certificate {
        let now = SystemClock().wallTime()
        return try CertificateSigner(key: authority, randomness: SystemRandomness()).sign(
            CertificateSigner.Request(
                kind: kind, publicKey: key.publicKey, keyID: keyID, validPrincipals: principals, validAfter: now + begins,
                validBefore: now + ends, criticalOptions: CertificateOptions(values: critical),
                extensions: CertificateOptions(values: extensions)))
    }
}

/// The root `hub` with its proxy and tunnel server, and the leaf `east` with its agent pool; the leaf `west` is trusted and away.
///
/// Every address is a port of this machine: what must not be reached is a ``trap`` there.
final class World {
    let loop: Loop
    /// Registered in `hub`, and in `east`.
    let hubNode: Listener
    let eastNode: Listener
    /// Registered nowhere.
    let trap: Listener
    let proxy: ProxyServer
    let tunnels: TunnelServer
    let proxyAddress: SocketAddress
    let tunnelAddress: SocketAddress
    let log = Lock<[String]>([])
    private var pools: [AgentPool] = []
    let logger: Logger
    private let parts: Servers.Parts
    /// The proxy's other loops.
    private(set) var others: [LoopBound<Servers>] = []

    static let limits = ListenerLimits(total: 100, perAddress: 50, unauthenticated: 20)

    init(on loop: Loop, loops: Int) throws {
        self.loop = loop
        hubNode = try Listener(on: loop)
        eastNode = try Listener(on: loop)
        trap = try Listener(on: loop)
        let log = log
        logger = Logger(label: "test") { label in
            LineLogHandler(
                label: label, format: .text, level: .debug, clock: SystemClock(),
                destination: LogDestination { line in log.withLock { $0.append(String(decoding: line, as: UTF8.self)) } })
        }
        let snapshot = ClusterSnapshot(Self.hub(node: hubNode.address))
        let configuration = try Self.server(.agent(uuid: "9f7c0a52-6f2b-4f3e-9d0a-0000000000a1", of: "hub", by: Authorities.shared.hubHost))
        parts = Servers.Parts(
            snapshot: snapshot, configuration: configuration, authServer: "\(trap.address)",
            users: try SharedListener(address: SocketAddress(.loopback4, port: 0), limits: Self.limits, listeners: loops),
            agents: try SharedListener(address: SocketAddress(.loopback4, port: 0), limits: Self.limits, listeners: loops), logger: logger)
        let servers = try Servers(parts, on: loop)
        proxy = servers.proxy
        tunnels = servers.tunnels
        tunnelAddress = parts.agents.address
        proxyAddress = parts.users.address
    }

    func serve(on other: EventLoop, isolation: isolated (any Actor)? = #isolation) async throws {
        let parts = parts
        others.append(try await other.bound { try Servers(parts, on: $0) })
    }

    /// A new state of the cluster, for the proxy on every loop.
    func update(_ state: ClusterState) {
        let snapshot = ClusterSnapshot(state)
        everywhere { servers in
            servers.tunnels.update(snapshot)
            servers.proxy.update(snapshot)
        }
    }

    func everywhere(_ body: @escaping @Sendable (Servers) -> Void) {
        body(Servers(proxy: proxy, tunnels: tunnels))
        for other in others {
            other.eventLoop.post { loop in
                if let servers = other.value(on: loop) { body(servers) }
            }
        }
    }

    func close() {
        for pool in pools { pool.stop() }
        everywhere { servers in
            servers.proxy.close()
            servers.tunnels.close()
        }
        for listener in [hubNode, eastNode, trap] { listener.close() }
    }

    static func server(_ claim: Claim) throws -> ConnectionConfiguration {
        ConnectionConfiguration(
            engine: EngineConfiguration(role: .server(ServerOptions(hostKeys: [try claim.hostKey()]))), randomness: SystemRandomness())
    }

    static func hub(node: SocketAddress, leaves: [String] = ["east", "west"], sites: [OpenSSHSite] = []) -> ClusterState {
        let all = Authorities.shared
        let hosts = ["east": all.eastHost, "west": all.westHost]
        return ClusterState(
            clusterName: "hub",
            authorities: [authority(.user, "hub", all.hubUser), authority(.host, "hub", all.hubHost)]
                + leaves.compactMap { name in hosts[name].map { authority(.host, name, $0) } },
            roles: Role.defaults,
            nodes: [Node(uuid: "9f7c0a52-6f2b-4f3e-9d0a-000000000001", hostname: "web", addr: "\(node)", cluster: "hub")],
            remoteClusters: leaves.map { RemoteCluster(name: $0) }, opensshSites: sites)
    }

    func east(
        trusting root: PrivateKey = Authorities.shared.hubHost, roleMap: [RoleMap.Mapping] = [.init(remote: "access", local: ["access"])]
    )
        -> ClusterState
    {
        let all = Authorities.shared
        var user = Self.authority(.user, "hub", all.hubUser)
        user.roleMap = RoleMap(roleMap)
        return ClusterState(
            clusterName: "east",
            authorities: [
                Self.authority(.user, "east", all.eastUser), Self.authority(.host, "east", all.eastHost), user,
                Self.authority(.host, "hub", root),
            ],
            roles: Role.defaults,
            nodes: [Node(uuid: "9f7c0a52-6f2b-4f3e-9d0a-000000000002", hostname: "db1", addr: "\(eastNode.address)", cluster: "east")],
            reverseTunnels: [ReverseTunnelRecord(cluster: "hub", dialAddrs: ["\(tunnelAddress)"])])
    }

    private static func authority(_ type: AuthorityKind, _ cluster: String, _ key: PrivateKey) -> CertificateAuthority {
        CertificateAuthority(type: type, cluster: cluster, publicKeys: [key.publicKey.text()])
    }

    /// The agent pool of `east`, which dials.
    @discardableResult
    func startAgents(_ state: ClusterState? = nil, nodes: SiteRegistry? = nil) throws -> AgentPool {
        let claim = Claim.agent()
        let credential = AgentCredential(user: claim.keyID, credential: try claim.credential())
        let pool = AgentPool(
            snapshot: ClusterSnapshot(state ?? east()), credential: { credential },
            service: SiteService(authServer: "\(trap.address)", nodes: nodes ?? SiteRegistry(SiteDirectory(), on: loop), on: loop),
            randomness: SystemRandomness(), on: loop, logger: logger)
        run(pool)
        return pool
    }

    func run(_ pool: AgentPool) {
        pools.append(pool)
        pool.start()
    }

    /// Waits for lines of the log; the tests' time limit ends what never comes.
    func logged(_ text: String, isolation: isolated (any Actor)? = #isolation) async {
        await turns { $0.log.withLock { $0.contains { $0.contains(text) } } }
    }

    func connected(_ sites: [String], isolation: isolated (any Actor)? = #isolation) async {
        await turns { $0.tunnels.registry.connected == sites }
    }

    /// A client of the proxy or of the tunnel server that has been let in or refused.
    func dial(
        _ address: SocketAddress, user: String, _ credentials: [UserCredential], opens: @escaping (ChannelOpenRequest) -> Void = { _ in },
        isolation: isolated (any Actor)? = #isolation
    ) async throws -> Client {
        let client = Client(opens)
        let configuration = ConnectionConfiguration(
            engine: EngineConfiguration(role: .client(ClientOptions(user: user, credentials: credentials))), randomness: SystemRandomness())
        SSHDialer.dial([address], configuration: configuration, handler: client, on: loop) { result in
            if case .failure(let error) = result { client.end(error) }
        }
        await client.wait { client.isReady || client.isClosed }
        return client
    }

    func user(_ claim: Claim = .user, as name: String = "alice", isolation: isolated (any Actor)? = #isolation) async throws -> Client {
        try await dial(proxyAddress, user: name, [try claim.credential()])
    }

    func agent(
        _ claim: Claim = .agent(), as name: String? = nil, opens: @escaping (ChannelOpenRequest) -> Void = { _ in },
        isolation: isolated (any Actor)? = #isolation
    ) async throws -> Client {
        try await dial(tunnelAddress, user: name ?? claim.keyID, [try claim.credential()], opens: opens)
    }

    func turns(isolation: isolated (any Actor)? = #isolation, until condition: @escaping (World) -> Bool) async {
        while !condition(self) {
            await withCheckedContinuation { continuation in
                loop.schedule(after: .milliseconds(2)) { continuation.resume() }
            }
        }
    }
}

/// A port that takes connections, greets and counts them.
final class Listener {
    let address: SocketAddress
    private let listener: TCPListener
    private let streams: Box<[TCPStream]>

    static let greeting = "SSH-2.0-node\r\n"

    init(on loop: Loop, greeting: String = greeting) throws {
        let streams = Box<[TCPStream]>([])
        self.streams = streams
        listener = try TCPListener(address: SocketAddress(.loopback4, port: 0), on: loop) { stream in
            stream.write(Array(greeting.utf8))
            streams.value.append(stream)
        }
        address = listener.address
    }

    var port: UInt16 { address.port ?? 0 }
    var connections: Int { streams.value.count }

    func close() {
        listener.close()
        for stream in streams.value { stream.close() }
    }
}

/// Holds what a callback brought, for the code of the same loop.
final class Box<Value> {
    var value: Value
    init(_ value: Value) { self.value = value }
}

/// Something that tests wait for changes of.
class Observed {
    private var waiting: [(condition: () -> Bool, continuation: CheckedContinuation<Void, Never>)] = []

    func changed() {
        let ready = waiting.filter { $0.condition() }
        waiting.removeAll { waiter in waiter.condition() }
        for waiter in ready { waiter.continuation.resume() }
    }

    func wait(isolation: isolated (any Actor)? = #isolation, until condition: @escaping () -> Bool) async {
        if condition() { return }
        await withCheckedContinuation { waiting.append((condition, $0)) }
    }
}

/// A user's or an agent's side of a connection, that believes every host.
final class Client: Observed, ConnectionHandler {
    var isReady = false
    var isClosed = false
    var error: TeleportError?
    private(set) var connection: SSHConnection?
    private let opens: (ChannelOpenRequest) -> Void

    init(_ opens: @escaping (ChannelOpenRequest) -> Void) {
        self.opens = opens
    }

    /// Opens a channel and hears how that went.
    func open(_ type: String, _ payload: [UInt8] = [], isolation: isolated (any Actor)? = #isolation) async -> Collector {
        let collector = Collector()
        collector.channel = connection?.openChannel(type: type, payload: payload, handler: collector)
        await collector.wait { collector.isOpen || collector.refusal != nil }
        return collector
    }

    func open(_ type: ChannelOpenType, isolation: isolated (any Actor)? = #isolation) async -> Collector {
        await open(type.type, type.payload())
    }

    func direct(_ host: String, _ port: UInt16, isolation: isolated (any Actor)? = #isolation) async -> Collector {
        await open(.directTCPIP(.init(host: host, port: port, originatorAddress: "127.0.0.1", originatorPort: 1)))
    }

    /// Asks for a subsystem, and waits until there is output or an end.
    func subsystem(_ name: String, isolation: isolated (any Actor)? = #isolation) async -> Collector {
        let collector = await open(.session)
        let request = SessionRequest.subsystem(name: name)
        collector.channel?.request(request.type, payload: request.payload()) { success in
            if !success { collector.channel?.close() }
        }
        await collector.wait { collector.isClosed || !collector.bytes.isEmpty }
        return collector
    }

    func end(_ error: TeleportError?) {
        isClosed = true
        self.error = error
        changed()
    }

    func connection(_ connection: SSHConnection, verify hostKey: HostKeyOffer, answer: @escaping (HostKeyAnswer) -> Void) {
        answer(.accept)
    }
    func connectionReady(_ connection: SSHConnection) {
        self.connection = connection
        isReady = true
        changed()
    }
    func connection(_ connection: SSHConnection, opens request: ChannelOpenRequest) { opens(request) }
    func connectionClosed(_ connection: SSHConnection, error: TeleportError?) { end(error) }
}

/// Gathers what a channel brings.
final class Collector: Observed, ChannelHandler {
    var channel: SSHChannel?
    var bytes: [UInt8] = []
    var diagnostics: [UInt8] = []
    var isOpen = false
    var refusal: String?
    var reason: ChannelOpenFailureReason?
    var isClosed = false

    var text: String { String(decoding: bytes, as: UTF8.self) }
    var complaint: String { String(decoding: diagnostics, as: UTF8.self) }

    func channelOpened(_ channel: SSHChannel) {
        isOpen = true
        changed()
    }
    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        refusal = message
        self.reason = reason
        changed()
    }
    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        bytes.append(copying: data)
        channel.consumed(data.count)
        changed()
    }
    func channel(_ channel: SSHChannel, receivedExtended data: Span<UInt8>, type: UInt32) {
        diagnostics.append(copying: data)
        channel.consumed(data.count)
    }
    func channelClosed(_ channel: SSHChannel) {
        isClosed = true
        changed()
    }
}
