import AuthAPI
@testable import AuthService
import Base
import ClusterModel
import Testing

@Suite("Who may call what")
struct AuthorizationTests {
    /// The whole table, as it is meant; a new action without a line here fails.
    static let rows: [(AuthAction, Set<SystemRole>)] = [
        (.ping, Set(SystemRole.allCases)),
        (.tlsAuthority, Set(SystemRole.allCases)),
        (.register, [.provisionToken, .proxy]),
        (.renewHost, [.node, .proxy, .auth]),
        (.snapshot, [.node, .proxy, .auth, .admin]),
        (.heartbeatNode, [.node]),
        (.heartbeatProxy, [.proxy]),
        (.reportTunnels, [.proxy]),
        (.login, [.proxy]),
        (.describeSignup, [.proxy, .signup]),
        (.completeSignup, [.proxy, .signup]),
        (.exchangeTrust, [.proxy]),
        (.listNodes, [.user, .web, .admin]),
        (.status, [.admin]), (.inviteUser, [.admin]), (.createToken, [.admin]), (.signUser, [.admin]), (.signHost, [.admin]),
        (.signSite, [.admin]), (.getResources, [.admin]), (.putResource, [.admin]), (.deleteResource, [.admin]),
    ]

    @Test func `the table has a row for every action`() {
        #expect(Set(Self.rows.map(\.0)) == Set(AuthAction.allCases))
        #expect(Set(Authorization.table.keys) == Set(AuthAction.allCases))
    }

    @Test(arguments: rows)
    func `only the roles of a row may call its action`(action: AuthAction, allowed: Set<SystemRole>) {
        for role in SystemRole.allCases {
            #expect(Authorization.mayCall(action, as: [role]) == allowed.contains(role), "\(action) as \(role)")
        }
        #expect(!Authorization.mayCall(action, as: []))
    }

    @Test func `every path of the API is a row of the table`() async throws {
        let world = try await AuthWorld()
        #expect(world.dispatcher.paths.count == AuthAction.allCases.count)
        await world.stop()
    }

    @Test func `a stranger reaches what a token permits and nothing else`() async throws {
        let world = try await AuthWorld()
        let admin = try await world.stranger.ping()
        #expect(admin.cluster == "hub")
        #expect(await refusal { _ = try await world.stranger.status() } == .accessDenied)
        #expect(await refusal { _ = try await world.stranger.snapshot(after: 0, waitSeconds: 0, on: world.eventLoop) } == .accessDenied)
        #expect(await refusal { _ = try await world.stranger.login(world.loginRequest("alice", code: "000000")) } == .accessDenied)
        await world.stop()
    }

    @Test func `a user whose role is called Proxy is not a proxy`() async throws {
        let world = try await AuthWorld()
        let user = world.client(TLSIdentity(bearer: .user, name: "mallory", roles: ["Proxy", "Admin", "Node"], cluster: "hub"))
        #expect(await refusal { _ = try await user.status() } == .accessDenied)
        #expect(await refusal { _ = try await user.snapshot(after: 0, waitSeconds: 0, on: world.eventLoop) } == .accessDenied)
        await world.stop()
    }

    @Test func `a host whose role is called admin is no administrator`() async throws {
        let world = try await AuthWorld()
        let host = world.client(TLSIdentity(bearer: .host, name: "22222222-2222-4222-8222-222222222222", roles: ["admin"], cluster: "hub"))
        #expect(await refusal { _ = try await host.status() } == .accessDenied)
        await world.stop()
    }

    @Test(arguments: [SystemRole.node, .proxy, .auth, .admin])
    func `no call gives anybody a private key`(role: SystemRole) async throws {
        let world = try await AuthWorld()
        let client = await world.host(role)
        var seen = ""
        if let snapshot = try await client.snapshot(after: 0, waitSeconds: 0, on: world.eventLoop) {
            seen += try JSONText.encode(snapshot.state)
        }
        if role == .admin {
            for kind in ResourceKind.allCases { seen += try JSONText.encode(try await client.resources(kind)) }
            seen += try JSONText.encode(try await client.status())
        }
        #expect(seen.contains("ssh-ed25519"))
        #expect(!seen.contains("PRIVATE KEY"))
        let secrets = try await world.server.authoritySecrets()
        #expect(secrets.count == 3)
        for key in secrets.flatMap(\.privateKeys) { #expect(!seen.contains(key)) }
        await world.stop()
    }
}
