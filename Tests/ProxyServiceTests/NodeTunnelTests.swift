import Base
import ClusterModel
import Crypto
import EventLoop
import ProxyService
import ReverseTunnel
import SSHEngine
import SSHNet
import SSHWire
import Testing

extension Claim {
    /// The certificate of a node of the hub.
    static func node(_ uuid: String = camera, by authority: PrivateKey = Authorities.shared.hubHost) -> Claim {
        .agent(uuid: uuid, of: "hub", by: authority, role: "Node")
    }

    static let camera = "9f7c0a52-6f2b-4f3e-9d0a-0000000000c1"
    static let otherCamera = "9f7c0a52-6f2b-4f3e-9d0a-0000000000c2"
}

extension World {
    /// The hub with two nodes that are reached through tunnels of their own.
    static func hub(node: SocketAddress, cameras: [(uuid: String, hostname: String)]) -> ClusterState {
        var state = hub(node: node)
        state.nodes += cameras.map { Node(uuid: $0.uuid, hostname: $0.hostname, addr: "", cluster: "hub") }
        return state
    }

    /// Tells the proxy, on every loop, of the nodes `cam1` and `cam2` that dial.
    func register(_ cameras: [(uuid: String, hostname: String)] = [(Claim.camera, "cam1"), (Claim.otherCamera, "cam2")]) {
        update(Self.hub(node: hubNode.address, cameras: cameras))
    }

    /// The agent pool of the hub's node `cam1`.
    func startNodeAgents(
        entries: [HostPort]? = nil,
        accept: @escaping NodeTunnelService.Accept = { request, _, ended in
            request.refuse(.connectFailed, "cam1 is here")
            ended()
        }
    ) throws -> AgentPool {
        let claim = Claim.node()
        let credential = AgentCredential(user: claim.keyID, credential: try claim.credential())
        let entry = HostPort(host: "127.0.0.1", port: tunnelAddress.port ?? 0)
        let pool = AgentPool(
            snapshot: ClusterSnapshot(Self.hub(node: hubNode.address)), credential: { credential },
            service: NodeTunnelService(uuid: Claim.camera, entries: entries ?? [entry], accept: accept), randomness: SystemRandomness(),
            on: loop, logger: logger)
        run(pool)
        return pool
    }

    func nodesConnected(_ uuids: [String], isolation: isolated (any Actor)? = #isolation) async {
        await turns { $0.tunnels.nodes.connected == uuids }
    }
}

/// What an agent was asked for.
final class Asked: Observed {
    private(set) var destinations: [TransportDestination] = []

    /// Writes down what is asked for, and refuses it.
    func refuse(_ request: ChannelOpenRequest) {
        if case .transport(let json)? = try? ChannelOpenType(type: request.type, payload: request.payload),
            let destination = try? TransportDestination(json: json)
        {
            destinations.append(destination)
        }
        request.refuse(.connectFailed, "it was asked for")
        changed()
    }
}

@Suite("A node that dials its proxy", .timeLimit(.minutes(1)))
struct NodeTunnelTests {
    typealias Stranger = TunnelAttackTests.Stranger

    static let strangers: [Stranger] = [
        Stranger(
            testDescription: "a node of a leaf", claim: .agent(role: "Node"),
            reason: "a node of cluster east opens no tunnel to a proxy of hub"),
        Stranger(
            testDescription: "a leaf's authority in the hub's name", claim: .node(by: Authorities.shared.eastHost),
            reason: "which is not its authority's"),
        Stranger(
            testDescription: "an authority that nobody knows", claim: .node(by: Authorities.shared.stranger), reason: "is not trusted"),
        Stranger(
            testDescription: "the hub's user authority signing a node", claim: .node(by: Authorities.shared.hubUser),
            reason: "is not trusted"),
        Stranger(
            testDescription: "a user certificate that says it is a node", claim: Claim.node().with { $0.kind = .user },
            reason: "is not a host's"),
        Stranger(
            testDescription: "another node's name as the user", claim: .node(), name: "\(Claim.otherCamera).hub", reason: "does not name"),
        Stranger(
            testDescription: "another node's name among its principals",
            claim: Claim.node().with { $0.principals.append("\(Claim.otherCamera).hub") }, name: "\(Claim.otherCamera).hub",
            reason: "not the certificate's key id"),
        Stranger(
            testDescription: "a key id that is no UUID's",
            claim: Claim.node().with {
                $0.keyID = "cam1.hub"
                $0.principals.append("cam1.hub")
            }, reason: "UUID"),
        Stranger(testDescription: "a proxy of the hub", claim: .agent(of: "hub", by: Authorities.shared.hubHost), reason: "is no site"),
        Stranger(
            testDescription: "a certificate that expired a second ago", claim: Claim.node().with { $0.ends = .seconds(-1) },
            reason: "has expired"),
    ]

    @Test(arguments: strangers)
    func `a stranger comes as a node with`(stranger: Stranger) async throws {
        try await inWorld { _, world in
            world.register()
            let agent = try await world.agent(stranger.claim, as: stranger.name)
            #expect(!agent.isReady && agent.isClosed)
            #expect(world.tunnels.nodes.connected.isEmpty && world.tunnels.registry.connected.isEmpty)
            let lines = world.log.withLock { $0.filter { $0.contains("an agent was refused") } }
            #expect(lines.contains { $0.contains(stranger.reason) }, "\(lines)")
        }
    }

    @Test(arguments: [1, 2])
    func `its tunnel leads to it and to nothing else`(loops: Int) async throws {
        try await inWorld(loops: loops) { _, world in
            world.register()
            let asked = Asked()
            let agent = try await world.agent(.node()) { asked.refuse($0) }
            #expect(agent.isReady)
            let user = try await world.user()
            for name in ["cam1", "cam1.hub", Claim.camera, "CAM1"] {
                #expect(await user.direct(name, 22).refusal == "it was asked for", "\(name)")
            }
            #expect(asked.destinations.count == 4)
            #expect(asked.destinations.allSatisfy { $0.host == Claim.camera && $0.user == "alice" && $0.client.hasPrefix("127.0.0.1:") })
            let other = await user.direct("cam2", 22)
            #expect(other.reason == .connectFailed && other.refusal?.contains("node cam2 is not connected") == true)
            #expect(await user.subsystem("proxy:cam2:0").complaint.contains("node cam2 is not connected"))
            for name in ["127.0.0.1", "localhost", "db1.\(Claim.camera)", "127.0.0.1.\(Claim.camera)", "169.254.169.254"] {
                #expect(await user.direct(name, world.trap.port).reason == .administrativelyProhibited, "\(name)")
            }
            for name in ["proxy:db1:22@\(Claim.camera)", "proxy:@\(Claim.camera)", "proxynodes:@\(Claim.camera)"] {
                #expect(await user.subsystem(name).complaint.contains("is not known"), "\(name)")
            }
            #expect(await user.subsystem("proxy:web:0").text == Listener.greeting)
            #expect(asked.destinations.count == 4 && world.trap.connections == 0)
            #expect(world.tunnels.registry.connected.isEmpty)
        }
    }

    @Test func `the proxy itself asks its tunnel for nothing else`() async throws {
        try await inWorld { _, world in
            world.register()
            let asked = Asked()
            let agent = try await world.agent(.node()) { asked.refuse($0) }
            #expect(agent.isReady)
            guard case .here(let tunnel) = try world.tunnels.nodes.tunnel(to: Claim.camera) else {
                Issue.record("the tunnel is on another loop")
                return
            }
            for host in [
                Claim.otherCamera, "cam1", "127.0.0.1", "db1", "", TransportDestination.authService, TransportDestination.nodeList,
            ] {
                let destination = TransportDestination(host: host, port: 22, user: "alice", roles: ["access"], client: "192.0.2.1:1")
                #expect(throws: TeleportError.self, "\(host)") {
                    try tunnel.transport(to: destination, timeout: .seconds(5), handler: Collector())
                }
            }
            #expect(asked.destinations.isEmpty)
        }
    }

    @Test(arguments: [1, 2])
    func `it comes twice, and the newest wins`(loops: Int) async throws {
        try await inWorld(loops: loops) { _, world in
            world.register()
            let first = try await world.agent(.node()) { $0.refuse(.connectFailed, "the old one") }
            let second = try await world.agent(.node()) { $0.refuse(.connectFailed, "the new one") }
            await first.wait { first.isClosed }
            #expect(second.isReady && !second.isClosed)
            let user = try await world.user()
            #expect(await user.direct("cam1", 22).refusal == "the new one")
        }
    }

    @Test func `two of one name are told apart by their UUIDs`() async throws {
        try await inWorld { _, world in
            world.register([(Claim.camera, "cam"), (Claim.otherCamera, "cam")])
            _ = try await world.agent(.node()) { $0.refuse(.connectFailed, "the first") }
            _ = try await world.agent(.node(Claim.otherCamera)) { $0.refuse(.connectFailed, "the second") }
            let user = try await world.user()
            let both = await user.direct("cam", 0).refusal ?? ""
            #expect(both.contains(Claim.camera) && both.contains(Claim.otherCamera), "\(both)")
            #expect(await user.direct(Claim.camera, 0).refusal == "the first")
            #expect(await user.direct(Claim.otherCamera, 0).refusal == "the second")
        }
    }

    @Test(arguments: [1, 2])
    func `the host authority is replaced, and its tunnel ends at once`(loops: Int) async throws {
        try await inWorld(loops: loops) { _, world in
            world.register()
            let agent = try await world.agent(.node()) { $0.accept(handler: Collector()) }
            let user = try await world.user()
            let direct = await user.direct("cam1", 22)
            #expect(direct.isOpen)
            var state = World.hub(node: world.hubNode.address, cameras: [(Claim.camera, "cam1")])
            for index in state.authorities.indices where state.authorities[index].name == "host/hub" {
                state.authorities[index].publicKeys = [Authorities.shared.stranger.publicKey.text()]
            }
            world.update(state)
            await agent.wait { agent.isClosed }
            await direct.wait { direct.isClosed }
            #expect(!(try await world.agent(.node())).isReady)
        }
    }

    @Test func `one that is removed or has not announced itself is not routed to`() async throws {
        try await inWorld { _, world in
            let asked = Asked()
            _ = try await world.agent(.node()) { asked.refuse($0) }
            let user = try await world.user()
            #expect(await user.direct("cam1", 22).reason == .administrativelyProhibited)
            world.register()
            #expect(await user.direct("cam1", 22).refusal == "it was asked for")
            world.register([])
            #expect(await user.direct(Claim.camera, 22).reason == .administrativelyProhibited)
            #expect(asked.destinations.count == 1)
        }
    }

    // MARK: Towards the auth server

    private static func auth(_ host: String = TransportDestination.authService) throws -> ChannelOpenType {
        .transport(destination: try TransportDestination(host: host, port: 0, user: "", roles: [], client: "").json())
    }

    @Test func `its agent opens channels to the auth server, a few, and no others`() async throws {
        try await inWorld { _, world in
            let agent = try await world.agent(.node())
            let endpoints = ChannelOpenType.TCPIPEndpoints(
                host: "127.0.0.1", port: world.trap.port, originatorAddress: "127.0.0.1", originatorPort: 1)
            var types: [ChannelOpenType] = [
                .session, .directTCPIP(endpoints), .forwardedTCPIP(endpoints), .agent, .directStreamLocal(path: "/run/x"),
                .transport(destination: "{}"), .other(type: "x11", payload: []),
            ]
            for host in [TransportDestination.nodeList, "web", "127.0.0.1", "@auth.east", Claim.camera, ""] {
                types.append(try Self.auth(host))
            }
            for type in types { #expect(await agent.open(type).reason == .administrativelyProhibited, "\(type)") }
            #expect(world.trap.connections == 0 && world.hubNode.connections == 0)
            // The trap stands where the auth server is.
            var opened: [Collector] = []
            for _ in 0..<TunnelConnection.authChannelsMax { opened.append(try await agent.open(Self.auth())) }
            #expect(opened.allSatisfy { $0.isOpen })
            #expect(try await agent.open(Self.auth()).reason == .resourceShortage)
            opened[0].channel?.close()
            await opened[0].wait { opened[0].isClosed }
            let again = try await agent.open(Self.auth())
            await again.wait { !again.bytes.isEmpty }
            #expect(again.text == Listener.greeting && !agent.isClosed)
        }
    }

    @Test func `its agent hears that the auth server is away`() async throws {
        try await inWorld { _, world in
            world.trap.close()
            let agent = try await world.agent(.node())
            let asked = try await agent.open(Self.auth())
            #expect(asked.reason == .connectFailed && asked.refusal?.contains("the auth server cannot be reached") == true)
        }
    }

    // MARK: The agent's side

    @Test func `it answers for itself alone, and dials nobody`() async throws {
        try await inWorld { _, world in
            let clients = Box<[SocketAddress]>([])
            let pool = try world.startNodeAgents { request, client, ended in
                clients.value.append(client)
                request.refuse(.connectFailed, "cam1 is here")
                ended()
            }
            await world.nodesConnected([Claim.camera])
            let rogue = AgentAttackTests.Rogue()
            let configuration = try World.server(.agent(of: "hub", by: Authorities.shared.hubHost))
            let listener = try SSHListener(
                address: SocketAddress(.loopback4, port: 0), on: world.loop, configuration: { configuration }, makeHandler: { _ in rogue })
            pool.stop()
            let other = try world.startNodeAgents(entries: [HostPort(host: "127.0.0.1", port: listener.address.port ?? 0)]) {
                request, client, ended in
                clients.value.append(client)
                request.refuse(.connectFailed, "cam1 is here")
                ended()
            }
            await rogue.wait { rogue.connection != nil }
            func ask(
                _ host: String, client: String = "192.0.2.1:1", isolation: isolated (any Actor)? = #isolation
            ) async throws -> Collector {
                let destination = TransportDestination(host: host, port: 0, user: "alice", roles: ["access"], client: client)
                let type = ChannelOpenType.transport(destination: try destination.json())
                let collector = Collector()
                collector.channel = rogue.connection?.openChannel(type: type.type, payload: type.payload(), handler: collector)
                await collector.wait { collector.isOpen || collector.refusal != nil }
                return collector
            }
            for host in [
                Claim.otherCamera, "cam1", "web", "127.0.0.1", "localhost", "169.254.169.254", "", TransportDestination.authService,
                TransportDestination.nodeList,
            ] {
                #expect(try await ask(host).reason == .administrativelyProhibited, "\(host)")
            }
            for client in ["", "nobody", "/run/x.sock"] {
                #expect(try await ask(Claim.camera, client: client).reason == .administrativelyProhibited, "\(client)")
            }
            #expect(clients.value.isEmpty && world.trap.connections == 0 && world.hubNode.connections == 0)
            #expect(try await ask(Claim.camera).refusal == "cam1 is here")
            #expect(clients.value.map(\.description) == ["192.0.2.1:1"])
            other.stop()
            listener.close()
        }
    }

    @Test func `it dials nobody but a proxy of its own cluster`() async throws {
        try await inWorld { _, world in
            for claim in [Claim.agent(), .node(Claim.otherCamera), .agent(of: "hub", by: Authorities.shared.eastHost)] {
                let rogue = AgentAttackTests.Rogue()
                let configuration = try World.server(claim)
                let listener = try SSHListener(
                    address: SocketAddress(.loopback4, port: 0), on: world.loop, configuration: { configuration },
                    makeHandler: { _ in rogue })
                let pool = try world.startNodeAgents(entries: [HostPort(host: "127.0.0.1", port: listener.address.port ?? 0)])
                await world.logged("no tunnel")
                #expect(rogue.connection == nil && pool.connected.isEmpty)
                pool.stop()
                listener.close()
            }
        }
    }

    @Test func `two addresses of one proxy make one tunnel`() async throws {
        try await inWorld { _, world in
            let port = world.tunnelAddress.port ?? 0
            let pool = try world.startNodeAgents(entries: [
                HostPort(host: "127.0.0.1", port: port), HostPort(host: "localhost", port: port),
            ])
            await world.logged("another tunnel leads to this proxy already")
            await world.nodesConnected([Claim.camera])
            // The proxy may know first.
            await world.turns { _ in pool.connected == ["hub"] }
            #expect(!world.log.withLock { $0.contains { $0.contains("took its place") } })
            // When that ends either address may be the way back: the other one does not rest on.
            let thief = try await world.agent(.node())
            thief.connection?.close()
            await world.turns { $0.log.withLock { $0.count { $0.contains("leads to this proxy already") } } > 1 }
            await world.nodesConnected([Claim.camera])
        }
    }

    @Test func `a line that is cut is there again by itself`() async throws {
        try await inWorld { _, world in
            _ = try world.startNodeAgents()
            await world.nodesConnected([Claim.camera])
            // Another of its name takes its place, and goes.
            let other = try await world.agent(.node())
            await world.logged("retry_ms")
            other.connection?.close()
            let user = try await world.user()
            world.register()
            while await user.direct("cam1", 22).refusal != "cam1 is here" {}
        }
    }

    // MARK: Behind a leaf

    @Test(arguments: [true, false])
    func `one of a leaf is reached through the leaf's own tunnel`(isConnected: Bool) async throws {
        try await inWorld { _, world in
            var state = world.east()
            state.nodes.append(Node(uuid: Claim.camera, hostname: "cam1", addr: "", cluster: "east"))
            let configuration = try World.server(.agent())
            let eastTunnels = TunnelServer(
                snapshot: ClusterSnapshot(state), sites: SiteDirectory(), nodes: SiteDirectory(), authServer: "\(world.trap.address)",
                configuration: { configuration }, on: world.loop, logger: world.logger)
            let shared = try SharedListener(address: SocketAddress(.loopback4, port: 0))
            try eastTunnels.listen(shared)
            try world.startAgents(state, nodes: eastTunnels.nodes)
            await world.connected(["east"])
            let asked = Asked()
            if isConnected {
                let claim = Claim.agent(uuid: Claim.camera, role: "Node")
                let agent = try await world.dial(shared.address, user: claim.keyID, [try claim.credential()]) { asked.refuse($0) }
                #expect(agent.isReady)
            }
            let user = try await world.user()
            let direct = await user.direct("cam1.east", 22)
            #expect(direct.reason == .connectFailed)
            if isConnected {
                #expect(direct.refusal == "it was asked for")
                #expect(
                    asked.destinations.map(\.host) == [Claim.camera] && asked.destinations.first?.client.hasPrefix("127.0.0.1:") == true)
            } else {
                #expect(direct.refusal?.contains("node cam1 is not connected") == true, "\(direct.refusal ?? "")")
            }
            eastTunnels.close()
        }
    }
}
