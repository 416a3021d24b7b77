import AuthAPI
@testable import AuthService
import Backend
import Base
import ClusterModel
import Testing

@Suite("Presence")
struct PresenceTests {
    private static let uuid = "22222222-2222-4222-8222-222222222222"

    private func joined(_ world: AuthWorld, _ role: JoinRole = .node, hostname: String = "db1") async throws -> AuthClient {
        let token = try await world.admin.createToken(TokenRequest(roles: [role], ttlSeconds: 600)).token
        _ = try await world.stranger.register(world.registerRequest(token: token, role: role, uuid: Self.uuid, hostname: hostname))
        return await world.host(role.systemRole ?? .node, uuid: Self.uuid)
    }

    private func node(_ addr: String = "192.0.2.7:3022", hostname: String = "db1", uuid: String = uuid) -> Node {
        Node(uuid: uuid, hostname: hostname, addr: addr, labels: ["env": "prod"], cluster: "elsewhere")
    }

    @Test func `a node that announces itself is listed until it falls silent`() async throws {
        let world = try await AuthWorld()
        let client = try await joined(world)
        try await client.heartbeat(node())
        let listed = await world.state { !$0.nodes.isEmpty }.nodes
        #expect(listed.map(\.hostname) == ["db1"])
        #expect(listed.map(\.cluster) == ["hub"])
        world.clock.advance(AuthServer.presenceTTL)
        try await world.store.sweepExpired()
        #expect(await world.state { $0.nodes.isEmpty }.nodes.isEmpty)
        await world.stop()
    }

    @Test func `a heartbeat that says nothing new wakes nobody`() async throws {
        let world = try await AuthWorld()
        let client = try await joined(world)
        try await client.heartbeat(node())
        let revision = await world.state { !$0.nodes.isEmpty }.revision
        world.clock.advance(.seconds(20))
        try await client.heartbeat(node())
        try await world.admin.put(.role(Role(name: "marker", allow: RoleConditions())), replace: false)
        let next = await world.state { $0.roles.count == 3 }
        // Two writes since: the heartbeat's has no revision of its own.
        #expect(next.revision == revision + 2)
        await world.stop()
    }

    @Test(arguments: ["0.0.0.0:3022", "[::]:3022"])
    func `the host of a wildcard address is the peer's`(addr: String) async throws {
        let world = try await AuthWorld()
        let client = try await joined(world)
        try await client.heartbeat(node(addr))
        #expect(await world.state { !$0.nodes.isEmpty }.nodes.map(\.addr) == ["192.0.2.7:3022"])
        await world.stop()
    }

    @Test func `a node cannot announce another node, or itself under another name`() async throws {
        let world = try await AuthWorld()
        let client = try await joined(world)
        #expect(await refusal { try await client.heartbeat(node(uuid: "44444444-4444-4444-8444-444444444444")) } == .accessDenied)
        #expect(await refusal { try await client.heartbeat(node(hostname: "db2")) } == .accessDenied)
        #expect(await refusal { try await client.heartbeat(node("no address")) } == .badParameter)
        await world.stop()
    }

    @Test(arguments: [
        "127.0.0.1:22", "127.9.9.9:3025", "[::1]:22", "[::ffff:127.0.0.1]:22", "localhost:3025", "db1.LOCALHOST:22", "169.254.169.254:80",
        "[fe80::1]:22",
    ])
    func `a node announces the proxy's own loopback or the metadata service as its address`(addr: String) async throws {
        let world = try await AuthWorld()
        let client = try await joined(world)
        #expect(await refusal { try await client.heartbeat(node(addr)) } == .accessDenied)
        #expect(await world.server.state.nodes.isEmpty)
        await world.stop()
    }

    @Test func `a node on the auth server's own machine may be at loopback`() async throws {
        let world = try await AuthWorld()
        _ = try await joined(world)
        let local = world.client(TLSIdentity(bearer: .host, name: Self.uuid, roles: ["Node"], cluster: "hub"), peer: "127.0.0.1")
        try await local.heartbeat(node("127.0.0.1:3022"))
        #expect(await world.state { !$0.nodes.isEmpty }.nodes.map(\.addr) == ["127.0.0.1:3022"])
        await world.stop()
    }

    @Test func `a proxy says which tunnels it holds`() async throws {
        let world = try await AuthWorld()
        let leaf = try await AuthWorld("east", seed: 2)
        let token = try await world.admin.createToken(TokenRequest(roles: [.trustedCluster], ttlSeconds: 600)).token
        let host = try #require(await leaf.server.state.authorities.first { $0.type == .host })
        _ = try await world.proxy.exchangeTrust(TrustRequest(token: token, cluster: "east", hostAuthority: host))
        _ = await world.state { !$0.remoteClusters.isEmpty }
        let client = try await joined(world, .proxy, hostname: "front")
        func listed() async throws -> [RemoteCluster] {
            try await world.admin.resources(.remoteCluster).compactMap { if case .remoteCluster(let cluster) = $0 { cluster } else { nil } }
        }
        try await client.reportTunnels(.of(["east", "nowhere"]))
        try await world.settled()
        #expect(try await listed() == [RemoteCluster(name: "east", connected: true, lastHeartbeat: world.clock.wallTime())])
        try await client.reportTunnels(.of(["east"], connected: []))
        try await world.settled()
        #expect(try await listed() == [RemoteCluster(name: "east")])
        await world.stop()
        await leaf.stop()
    }

    @Test func `a tunnel that comes or goes changes nothing that others are told`() async throws {
        let world = try await AuthWorld()
        let client = try await joined(world, .proxy, hostname: "front")
        try await client.reportTunnels(.of(["east"]))
        let collections = AuthStore(world.store)
        let range = try await world.store.range(collections.tunnels.prefix)
        var shared = try SharedState(
            clusterName: "hub", collections: collections, range: StoreRange(items: [], revision: range.revision))
        #expect(range.items.count == 1)
        for item in range.items { #expect(try !shared.apply(.put(item))) }
        #expect(shared.lastReport(of: "east") == nil, "a cluster that nobody knows")
        await world.stop()
    }

    @Test func `a report of another shard than there is, or of a name in the wrong one`() async throws {
        let world = try await AuthWorld()
        let client = try await joined(world, .proxy, hostname: "front")
        for number in [-1, TunnelReport.shardCount, .max] {
            let report = TunnelReport(shards: [TunnelReport.Shard(number: number, connected: [])])
            #expect(await refusal { try await client.reportTunnels(report) } == .badParameter)
        }
        let wrong = (TunnelReport.shard(of: "branch") + 1) % TunnelReport.shardCount
        try await client.reportTunnels(TunnelReport(shards: [TunnelReport.Shard(number: wrong, connected: ["branch"])]))
        #expect(try await AuthStore(world.store).tunnels.list().map(\.value.connected) == [[]])
        await world.stop()
    }

    @Test func `a node is told of authorities and roles, and not of other nodes`() async throws {
        let world = try await AuthWorld()
        let client = try await joined(world)
        try await client.heartbeat(node())
        _ = await world.state { !$0.nodes.isEmpty }
        let state = try #require(try await client.snapshot(after: 0, waitSeconds: 0, on: world.eventLoop)).state
        #expect(state.nodes.isEmpty)
        #expect(state.authorities.count == 3)
        #expect(state.roles.count == 2)
        await world.stop()
    }

    @Test func `a question waits for the next change`() async throws {
        let world = try await AuthWorld()
        let admin = await world.admin
        let revision = try #require(try await admin.snapshot(after: 0, waitSeconds: 0, on: world.eventLoop)).state.revision
        async let next = admin.snapshot(after: revision, waitSeconds: 30, on: world.eventLoop)
        try await admin.put(.role(Role(name: "marker", allow: RoleConditions())), replace: false)
        #expect(try await next?.state.roles.contains { $0.name == "marker" } == true)
        await world.stop()
    }
}
