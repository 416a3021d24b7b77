import AuthAPI
@testable import AuthService
import Base
import ClusterModel
import SSHWire
import Testing

@Suite("Sites that are listed")
struct ListedSiteTests {
    private func site(_ name: String = "branch", keys: [String] = [], authorities: [String] = []) -> Resource {
        .opensshSite(
            OpenSSHSite(
                name: name, nodes: [OpenSSHSite.Host(name: "db1", addr: "10.1.0.5:22", labels: ["env": "prod"], hostKeys: keys)],
                hostAuthorities: authorities))
    }

    @Test func `it is made, reaches the proxies, is changed and removed`() async throws {
        let world = try await AuthWorld()
        try await world.admin.put(site(), replace: false)
        #expect(await world.state { !$0.opensshSites.isEmpty }.opensshSites.map(\.name) == ["branch"])
        await #expect(throws: TeleportError.self) { try await world.admin.put(site(), replace: false) }
        try await world.admin.put(site(keys: [world.newKey()]), replace: true)
        let changed = await world.state { $0.opensshSites.first?.nodes.first?.hostKeys.count == 1 }
        #expect(changed.opensshSites.count == 1)
        try await world.admin.delete(.opensshSite, name: "branch")
        #expect(await world.state { $0.opensshSites.isEmpty }.opensshSites.isEmpty)
        await #expect(throws: TeleportError.self) { try await world.admin.delete(.opensshSite, name: "branch") }
        await world.stop()
    }

    /// A proxy's word on what is connected, once the server has taken it in.
    private func report(_ report: TunnelReport, _ world: AuthWorld) async throws {
        try await world.proxy.reportTunnels(report)
        try await world.settled()
    }

    @Test func `proxies report its tunnel, and a list says so`() async throws {
        let world = try await AuthWorld()
        try await world.admin.put(site(), replace: false)
        _ = await world.state { !$0.opensshSites.isEmpty }
        func listed() async throws -> OpenSSHSite? {
            if case .opensshSite(let site)? = try await world.admin.resources(.opensshSite).first { site } else { nil }
        }
        #expect(try await listed()?.connected == false)
        try await report(.of(["branch", "other"]), world)
        let site = try #require(try await listed())
        #expect(site.connected && site.lastHeartbeat == world.clock.wallTime())
        // What was printed may be read again, and the state in it is nobody's to set.
        try await world.admin.put(.opensshSite(site), replace: true)
        try await report(.of(["branch"], connected: []), world)
        #expect(try await listed()?.connected == false)
        await world.stop()
    }

    @Test func `its name is nobody else's`() async throws {
        let world = try await AuthWorld()
        let leaf = try await AuthWorld("east", seed: 2)
        func token() async throws -> String {
            try await world.admin.createToken(TokenRequest(roles: [.trustedCluster], ttlSeconds: 600)).token
        }
        let host = try #require(await leaf.server.state.authorities.first { $0.type == .host })
        _ = try await world.proxy.exchangeTrust(TrustRequest(token: try await token(), cluster: "east", hostAuthority: host))
        _ = await world.state { !$0.remoteClusters.isEmpty }
        let node = try await world.admin.createToken(TokenRequest(roles: [.node], ttlSeconds: 600)).token
        _ = try await world.stranger.register(world.registerRequest(token: node, hostname: "db1.north"))
        for name in ["hub", "east", "a.east", "north"] {
            await #expect(throws: TeleportError.self, "\(name)") { try await world.admin.put(site(name), replace: true) }
        }
        try await world.admin.put(site(), replace: false)
        _ = await world.state { !$0.opensshSites.isEmpty }
        // Nor may a cluster or a host take it later.
        let second = try await AuthWorld("branch", seed: 3)
        let authority = try #require(await second.server.state.authorities.first { $0.type == .host })
        let late = try await token()
        await #expect(throws: TeleportError.self) {
            _ = try await world.proxy.exchangeTrust(TrustRequest(token: late, cluster: "branch", hostAuthority: authority))
        }
        await #expect(throws: TeleportError.self) { try await world.admin.put(.certificateAuthority(authority), replace: false) }
        await #expect(throws: TeleportError.self) {
            try await world.admin.put(.reverseTunnel(ReverseTunnelRecord(cluster: "branch", dialAddrs: ["x:3024"])), replace: false)
        }
        let again = try await world.admin.createToken(TokenRequest(roles: [.node], ttlSeconds: 600)).token
        await #expect(throws: TeleportError.self) {
            _ = try await world.stranger.register(
                world.registerRequest(token: again, uuid: "33333333-3333-4333-8333-333333333333", hostname: "db1.branch"))
        }
        for world in [world, leaf, second] { await world.stop() }
    }

    @Test func `a key that is another's authority is not the site's`() async throws {
        let world = try await AuthWorld()
        let own = try #require(await world.server.state.authorities.first { $0.type == .user }?.publicKeys.first)
        await #expect(throws: TeleportError.self) { try await world.admin.put(site(authorities: [own]), replace: false) }
        let key = world.newKey()
        try await world.admin.put(site(authorities: [key]), replace: false)
        _ = await world.state { !$0.opensshSites.isEmpty }
        await #expect(throws: TeleportError.self) { try await world.admin.put(site("other", authorities: [key]), replace: false) }
        await world.stop()
    }

    @Test func `users learn the host keys of nodes that they may see`() async throws {
        let world = try await AuthWorld()
        let key = world.newKey()
        try await world.admin.put(site(keys: [key]), replace: false)
        _ = await world.state { !$0.opensshSites.isEmpty }
        try await world.admin.put(
            .role(Role(name: "dev", allow: RoleConditions(logins: ["root"], nodeLabels: LabelSelector(["env": ["dev"]])))), replace: false)
        for (role, count) in [("access", 1), ("dev", 0)] {
            try await world.admin.put(.user(User(name: role, roles: [role], logins: ["root"])), replace: false)
            let signed = try await world.admin.signUser(
                SignUserRequest(user: role, logins: [], ttlSeconds: 60, publicKey: world.newKey()))
            #expect(signed.knownHosts.count == count && signed.knownHosts.allSatisfy { $0.contains(key) })
        }
        await world.stop()
    }

    @Test func `its credential is no identity of the api, and is signed for administrators alone`() async throws {
        let world = try await AuthWorld()
        let request = SignSiteRequest(site: "branch", publicKey: world.newKey(), ttlSeconds: 0)
        let signed = try await world.admin.signSite(request)
        let certificate = try Certificate(text: signed.certificate)
        #expect(certificate.kind == .user && certificate.validPrincipals.isEmpty && certificate.extensions.names.isEmpty)
        #expect(certificate.criticalOptions.names == [CriticalOption.site])
        for client in [await world.proxy, await world.host(.node), world.stranger] {
            await #expect(throws: TeleportError.self) { _ = try await client.signSite(request) }
        }
        await #expect(throws: TeleportError.self) {
            _ = try await world.admin.signSite(SignSiteRequest(site: "hub", publicKey: world.newKey(), ttlSeconds: 0))
        }
        await world.stop()
    }
}
