import AuthAPI
@testable import AuthService
import Backend
import Base
import ClusterModel
import SSHWire
import Testing

@Suite("Administration")
struct ResourceTests {
    @Test func `a cluster keeps its name and authorities when it is opened again`() async throws {
        let world = try await AuthWorld()
        let before = await world.server.state.authorities
        func open(_ name: String) async throws -> AuthServer {
            try await AuthServer.open(
                AuthServer.Settings(clusterName: name, version: "v0"), store: world.store, clock: world.clock,
                randomness: SeededRandomness(seed: 77), trustTransport: world.trust, eventLoop: world.eventLoop, logger: quietLogger)
        }
        #expect(try await open("hub").state.authorities == before)
        #expect(await refusal { _ = try await open("other") } == .badParameter)
        await world.stop()
    }

    @Test func `signing for a user needs one who exists, or logins`() async throws {
        let world = try await AuthWorld()
        let unknown = SignUserRequest(user: "robot", ttlSeconds: 3600, publicKey: world.newKey())
        #expect(await refusal { _ = try await world.admin.signUser(unknown) } == .notFound)
        let given = try await world.admin.signUser(
            SignUserRequest(user: "robot", logins: ["root", "git"], ttlSeconds: 3600, publicKey: world.newKey()))
        #expect(try Certificate(text: given.sshCertificate).validPrincipals == ["root", "git"])
        #expect(given.roles == ["access"])
        #expect(
            await refusal {
                _ = try await world.admin.signUser(
                    SignUserRequest(user: "robot", logins: ["root\nadmin"], ttlSeconds: 3600, publicKey: world.newKey()))
            } == .badParameter)
        await world.stop()
    }

    @Test func `a site's credential is good for nothing but its tunnel`() async throws {
        let world = try await AuthWorld()
        let given = try await world.admin.signSite(SignSiteRequest(site: "branch", publicKey: world.newKey(), ttlSeconds: 0))
        let certificate = try Certificate(text: given.certificate)
        #expect(certificate.validPrincipals.isEmpty)
        #expect(certificate.criticalOptions[CriticalOption.site] == "branch")
        #expect(!certificate.extensions.contains(CertificateExtension.roles))
        #expect(
            await refusal { _ = try await world.admin.signSite(SignSiteRequest(site: "hub", publicKey: world.newKey(), ttlSeconds: 0)) }
                == .badParameter)
        await world.stop()
    }

    @Test func `a host certificate for an sshd names it and its cluster`() async throws {
        let world = try await AuthWorld()
        let given = try await world.admin.signHost(
            SignHostRequest(names: ["db9", "db9.example.com", "192.0.2.9"], publicKey: world.newKey(), ttlSeconds: 86400))
        let certificate = try Certificate(text: given.certificate)
        #expect(certificate.kind == .host)
        #expect(certificate.validPrincipals == ["db9", "db9.hub", "db9.example.com", "192.0.2.9"])
        await world.stop()
    }

    @Test func `a user with a role that does not exist is refused`() async throws {
        let world = try await AuthWorld()
        let user = User(name: "alice", roles: ["nosuch"], logins: ["root"])
        #expect(await refusal { try await world.admin.put(.user(user), replace: false) } == .accessDenied)
        await world.stop()
    }

    @Test func `an administrator lists a node by hand, and it stays`() async throws {
        let world = try await AuthWorld()
        let node = Node(uuid: "sshd-1", hostname: "sshd-1", addr: "192.0.2.9:22", cluster: "")
        try await world.admin.put(.node(node), replace: false)
        #expect(await refusal { try await world.admin.put(.node(node), replace: false) } == .alreadyExists)
        world.clock.advance(.seconds(100_000))
        try await world.store.sweepExpired()
        #expect(await world.state { !$0.nodes.isEmpty }.nodes.map(\.name) == ["sshd-1"])
        try await world.admin.delete(.node, name: "sshd-1")
        #expect(await world.state { $0.nodes.isEmpty }.nodes.isEmpty)
        await world.stop()
    }

    @Test func `status counts and names the pin`() async throws {
        let world = try await AuthWorld()
        _ = try await world.signUp("alice")
        let status = try await world.admin.status()
        #expect(status.users == 1)
        #expect(status.caPin.hasPrefix("sha256:"))
        #expect(status.caPin == (await world.server.caPin))
        await world.stop()
    }

    @Test(arguments: ["", "{", "[]", #"{"token":1}"#, #"{"kind":"role"}"#, "null", "\u{0}"])
    func `a body that is no request is refused in words`(body: String) async throws {
        let world = try await AuthWorld()
        let caller = Caller(identity: TLSIdentity(bearer: .host, name: "x", roles: ["Admin"], cluster: "hub"), peer: "192.0.2.1")
        #expect(
            await refusal {
                _ = try await world.dispatcher.call("/v1/resources/put", body: Array(body.utf8), caller: caller)
            } == .badParameter)
        #expect(await refusal { _ = try await world.dispatcher.call("/v1/../status", body: [], caller: caller) } == .notFound)
        #expect(
            await refusal {
                _ = try await world.dispatcher.call("/v1/status", body: [UInt8](repeating: 32, count: 70_000), caller: caller)
            } == .limitExceeded)
        await world.stop()
    }
}
