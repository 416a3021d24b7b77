import AuthAPI
@testable import AuthService
import Base
import ClusterModel
import SSHWire
import Testing

@Suite("Trust between clusters")
struct TrustTests {
    private static let roleMap = RoleMap([.init(remote: "access", local: ["access"])])

    /// A root and a leaf that can reach it.
    private func worlds() async throws -> (root: AuthWorld, leaf: AuthWorld) {
        let root = try await AuthWorld("hub", seed: 1)
        let leaf = try await AuthWorld("east", seed: 2)
        leaf.trust.add("hub.test:3080", await root.proxy)
        return (root, leaf)
    }

    private func token(_ root: AuthWorld) async throws -> String {
        try await root.admin.createToken(TokenRequest(roles: [.trustedCluster], ttlSeconds: 600)).token
    }

    private func trusted(_ token: String, name: String = "hub", enabled: Bool = true) -> Resource {
        .trustedCluster(
            TrustedCluster(
                name: name, enabled: enabled, token: token, webProxyAddr: "hub.test:3080", tunnelAddr: "hub.test:3024",
                roleMap: Self.roleMap))
    }

    private func hostAuthority(_ world: AuthWorld) async throws -> CertificateAuthority {
        try #require(await world.server.state.authorities.first { $0.type == .host })
    }

    @Test func `by token, the leaf learns the root's users and hosts, and the root the leaf's hosts alone`() async throws {
        let (root, leaf) = try await worlds()
        try await leaf.admin.put(trusted(try await token(root)), replace: false)
        let atLeaf = ClusterSnapshot(await leaf.state { $0.reverseTunnels.count == 1 && $0.authorities.count == 5 })
        #expect(atLeaf.rootClusters == ["hub"])
        #expect(atLeaf.userAuthorities.map(\.cluster) == ["east", "hub"])
        #expect(atLeaf.reverseTunnels.map(\.dialAddrs) == [["hub.test:3024"]])
        #expect(atLeaf.state.trustedClusters.map(\.token) == [""])
        let atRoot = ClusterSnapshot(await root.state { $0.remoteClusters.count == 1 && $0.authorities.count == 4 })
        #expect(atRoot.leafClusters == ["east"])
        #expect(atRoot.userAuthorities.map(\.cluster) == ["hub"])
        #expect(atRoot.hostAuthorities.map(\.cluster) == ["hub", "east"])
        await root.stop()
        await leaf.stop()
    }

    @Test func `removing the trust cuts it at once on either side`() async throws {
        let (root, leaf) = try await worlds()
        try await leaf.admin.put(trusted(try await token(root)), replace: false)
        _ = await leaf.state { $0.trustedClusters.count == 1 }
        _ = await root.state { $0.remoteClusters.count == 1 }
        try await leaf.admin.delete(.trustedCluster, name: "hub")
        let atLeaf = ClusterSnapshot(
            await leaf.state { $0.trustedClusters.isEmpty && $0.authorities.count == 3 && $0.reverseTunnels.isEmpty })
        #expect(atLeaf.userAuthorities.map(\.cluster) == ["east"])
        #expect(atLeaf.reverseTunnels.isEmpty)
        try await root.admin.delete(.remoteCluster, name: "east")
        let atRoot = ClusterSnapshot(await root.state { $0.remoteClusters.isEmpty })
        #expect(atRoot.hostAuthorities.map(\.cluster) == ["hub"])
        await root.stop()
        await leaf.stop()
    }

    @Test func `a trust that is switched off counts for nothing`() async throws {
        let (root, leaf) = try await worlds()
        try await leaf.admin.put(trusted(try await token(root)), replace: false)
        try await leaf.admin.put(trusted("", enabled: false), replace: true)
        let snapshot = ClusterSnapshot(await leaf.state { $0.trustedClusters.first?.enabled == false })
        #expect(snapshot.userAuthorities.map(\.cluster) == ["east"])
        #expect(snapshot.hostAuthorities.map(\.cluster) == ["east"])
        #expect(snapshot.reverseTunnels.isEmpty)
        await root.stop()
        await leaf.stop()
    }

    @Test func `a token for a cluster is good once`() async throws {
        let (root, leaf) = try await worlds()
        let token = try await token(root)
        try await leaf.admin.put(trusted(token), replace: false)
        let other = try await AuthWorld("west", seed: 3)
        let request = TrustRequest(token: token, cluster: "west", hostAuthority: try await hostAuthority(other))
        #expect(await refusal { _ = try await root.proxy.exchangeTrust(request) } == .accessDenied)
        await root.stop()
        await leaf.stop()
        await other.stop()
    }

    @Test func `two clusters race for one token and one wins`() async throws {
        let (root, leaf) = try await worlds()
        let token = try await token(root)
        let other = try await AuthWorld("west", seed: 3)
        let proxy = await root.proxy
        let requests = [
            TrustRequest(token: token, cluster: "east", hostAuthority: try await hostAuthority(leaf)),
            TrustRequest(token: token, cluster: "west", hostAuthority: try await hostAuthority(other)),
        ]
        let won = await withTaskGroup(of: Bool.self) { group in
            for request in requests { group.addTask { (try? await proxy.exchangeTrust(request)) != nil } }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(won == 1)
        await root.stop()
        await leaf.stop()
        await other.stop()
    }

    @Test(arguments: ["hub", "East", "east/west", "..", "", "east.", "öst", "east\u{0}", String(repeating: "a", count: 64)])
    func `a leaf named as the root, or as no cluster may be, is refused`(name: String) async throws {
        let (root, leaf) = try await worlds()
        var host = try await hostAuthority(leaf)
        host.cluster = name
        let request = TrustRequest(token: try await token(root), cluster: name, hostAuthority: host)
        #expect(await refusal { _ = try await root.proxy.exchangeTrust(request) } == .badParameter)
        await root.stop()
        await leaf.stop()
    }

    @Test(arguments: ["db1.hub", "hub.front.example", "11111111-1111-4111-8111-111111111111.hub", "db1.north"])
    func `a leaf chooses the name of a host of the root's, or within another leaf's`(name: String) async throws {
        let (root, leaf) = try await worlds()
        let join = try await root.admin.createToken(TokenRequest(roles: [.node, .proxy], ttlSeconds: 600)).token
        _ = try await root.stranger.register(
            root.registerRequest(token: join, role: .node, uuid: "11111111-1111-4111-8111-111111111111", hostname: "db1"))
        _ = try await root.stranger.register(
            root.registerRequest(
                token: join, role: .proxy, uuid: "22222222-2222-4222-8222-222222222222", hostname: "front",
                publicAddresses: ["hub.front.example"]))
        var north = try await hostAuthority(AuthWorld("north", seed: 3))
        _ = try await root.proxy.exchangeTrust(TrustRequest(token: try await token(root), cluster: "north", hostAuthority: north))
        _ = await root.state { $0.remoteClusters.count == 1 }
        north = try await hostAuthority(leaf)
        north.cluster = name
        let request = TrustRequest(token: try await token(root), cluster: name, hostAuthority: north)
        #expect(await refusal { _ = try await root.proxy.exchangeTrust(request) } == .badParameter)
        await root.stop()
        await leaf.stop()
    }

    @Test func `a host takes the name of a leaf's, with the cluster's name behind it`() async throws {
        let (root, leaf) = try await worlds()
        var host = try await hostAuthority(leaf)
        host.cluster = "db9.hub"
        _ = try await root.proxy.exchangeTrust(TrustRequest(token: try await token(root), cluster: "db9.hub", hostAuthority: host))
        _ = await root.state { $0.remoteClusters.count == 1 }
        let join = try await root.admin.createToken(TokenRequest(roles: [.node], ttlSeconds: 600)).token
        #expect(await refusal { _ = try await root.stranger.register(root.registerRequest(token: join, hostname: "db9")) } == .badParameter)
        await root.stop()
        await leaf.stop()
    }

    @Test func `a leaf that shows the root's own key, or another leaf's, is refused`() async throws {
        let (root, leaf) = try await worlds()
        try await leaf.admin.put(trusted(try await token(root)), replace: false)
        _ = await root.state { $0.authorities.count == 4 }
        for stolen in [try await hostAuthority(root), try await hostAuthority(leaf)] {
            var host = stolen
            host.cluster = "west"
            let request = TrustRequest(token: try await token(root), cluster: "west", hostAuthority: host)
            #expect(await refusal { _ = try await root.proxy.exchangeTrust(request) } == .accessDenied)
        }
        await root.stop()
        await leaf.stop()
    }

    @Test func `a leaf cannot change its authority by joining again`() async throws {
        let (root, leaf) = try await worlds()
        try await leaf.admin.put(trusted(try await token(root)), replace: false)
        _ = await root.state { $0.remoteClusters.count == 1 }
        let impostor = try await AuthWorld("east", seed: 9)
        let request = TrustRequest(token: try await token(root), cluster: "east", hostAuthority: try await hostAuthority(impostor))
        #expect(await refusal { _ = try await root.proxy.exchangeTrust(request) } == .alreadyExists)
        await root.stop()
        await leaf.stop()
        await impostor.stop()
    }

    @Test func `a leaf that sends its user authority is refused`() async throws {
        let (root, leaf) = try await worlds()
        let user = try #require(await leaf.server.state.authorities.first { $0.type == .user })
        let request = TrustRequest(token: try await token(root), cluster: "east", hostAuthority: user)
        #expect(await refusal { _ = try await root.proxy.exchangeTrust(request) } == .badParameter)
        await root.stop()
        await leaf.stop()
    }

    @Test func `the user authority of a leaf is not taken from a file either`() async throws {
        let (root, leaf) = try await worlds()
        try await leaf.admin.put(trusted(try await token(root)), replace: false)
        _ = await root.state { $0.remoteClusters.count == 1 }
        let user = try #require(await leaf.server.state.authorities.first { $0.type == .user && $0.cluster == "east" })
        #expect(await refusal { try await root.admin.put(.certificateAuthority(user), replace: true) } == .accessDenied)
        await root.stop()
        await leaf.stop()
    }

    @Test func `a root of another name than the resource is refused, and nothing is kept`() async throws {
        let (root, leaf) = try await worlds()
        #expect(await refusal { try await leaf.admin.put(trusted(try await token(root), name: "other"), replace: false) } == .badParameter)
        #expect(await leaf.server.state.trustedClusters.isEmpty)
        #expect(await leaf.server.state.authorities.count == 3)
        await root.stop()
        await leaf.stop()
    }

    @Test func `by files, authorities and a reverse tunnel make the same trust`() async throws {
        let (root, leaf) = try await worlds()
        var user = try #require(await root.server.state.authorities.first { $0.type == .user })
        user.roleMap = Self.roleMap
        try await leaf.admin.put(.certificateAuthority(user), replace: false)
        try await leaf.admin.put(.certificateAuthority(try await hostAuthority(root)), replace: false)
        try await leaf.admin.put(.reverseTunnel(ReverseTunnelRecord(cluster: "hub", dialAddrs: ["hub.test:3024"])), replace: false)
        try await root.admin.put(.certificateAuthority(try await hostAuthority(leaf)), replace: false)
        let atLeaf = ClusterSnapshot(await leaf.state { $0.reverseTunnels.count == 1 && $0.authorities.count == 5 })
        #expect(atLeaf.rootClusters == ["hub"])
        #expect(atLeaf.leafClusters.isEmpty)
        #expect(atLeaf.userAuthorities.map(\.cluster) == ["east", "hub"])
        let atRoot = ClusterSnapshot(await root.state { $0.authorities.count == 4 })
        #expect(atRoot.leafClusters == ["east"])
        #expect(atRoot.state.remoteClusters.map(\.name) == ["east"])
        #expect(atRoot.rootClusters.isEmpty)
        await root.stop()
        await leaf.stop()
    }

    @Test func `this cluster's own authorities cannot be replaced or removed`() async throws {
        let (root, leaf) = try await worlds()
        var forged = try await hostAuthority(leaf)
        forged.cluster = "hub"
        let authority = forged
        #expect(await refusal { try await root.admin.put(.certificateAuthority(authority), replace: true) } == .badParameter)
        #expect(await refusal { try await root.admin.delete(.certificateAuthority, name: "host/hub") } == .badParameter)
        await root.stop()
        await leaf.stop()
    }
}
