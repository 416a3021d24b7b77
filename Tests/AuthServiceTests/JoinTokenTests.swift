import AuthAPI
import AuthService
import Base
import ClusterModel
import Crypto
import SSHEngine
import SSHWire
import Testing

@Suite("Joining with a token")
struct JoinTokenTests {
    private func token(_ world: AuthWorld, _ roles: [JoinRole] = [.node], ttl: Int64 = 1800) async throws -> String {
        try await world.admin.createToken(TokenRequest(roles: roles, ttlSeconds: ttl)).token
    }

    @Test func `a host gets certificates that name it, its cluster and its role`() async throws {
        let world = try await AuthWorld()
        let request = world.registerRequest(token: try await token(world))
        let given = try await world.stranger.register(request)
        #expect(given.cluster == "hub")
        let certificate = try Certificate(text: given.sshCertificate)
        #expect(certificate.kind == .host)
        #expect(certificate.keyID == "\(request.uuid).hub")
        #expect(certificate.validPrincipals == [request.uuid, "\(request.uuid).hub", "db1", "db1.hub"])
        #expect(certificate.extensions[CertificateExtension.authority] == "hub")
        #expect(certificate.extensions[CertificateExtension.role] == "Node")
        let snapshot = ClusterSnapshot(await world.server.state)
        let check = HostCertificateCheck(authorities: snapshot.hostAuthorities)
        #expect(try check.judge(certificate, name: "db1.hub", cluster: "hub", now: world.clock.wallTime()).authority.cluster == "hub")

        let tls = try X509Certificate(pem: given.tlsCertificate)
        let identity = try TLSIdentity(subjectOf: tls)
        #expect(identity == TLSIdentity(bearer: .host, name: request.uuid, roles: ["Node"], cluster: "hub"))
        #expect(tls.uses == [.client])
        let authority = try X509Certificate(pem: await world.server.tlsAuthority)
        _ = try CertificateChain.verify(tls, authorities: [authority], use: .client, at: world.clock.wallTime())
        #expect(throws: CertificateRefusal.self) {
            try CertificateChain.verify(tls, authorities: [authority], use: .server, at: world.clock.wallTime())
        }
        await world.stop()
    }

    @Test(arguments: [JoinRole.proxy, .auth])
    func `a node's token does not admit another role`(role: JoinRole) async throws {
        let world = try await AuthWorld()
        let token = try await token(world)
        #expect(await refusal { _ = try await world.stranger.register(world.registerRequest(token: token, role: role)) } == .accessDenied)
        await world.stop()
    }

    @Test func `a node's token does not make a cluster trusted`() async throws {
        let world = try await AuthWorld()
        let leaf = try await AuthWorld("east", seed: 2)
        let token = try await token(world)
        let host = try #require(await leaf.server.state.authorities.first { $0.type == .host })
        let request = TrustRequest(token: token, cluster: "east", hostAuthority: host)
        #expect(await refusal { _ = try await world.proxy.exchangeTrust(request) } == .accessDenied)
        await world.stop()
        await leaf.stop()
    }

    @Test func `an expired token admits nobody`() async throws {
        let world = try await AuthWorld()
        let token = try await token(world, ttl: 60)
        world.clock.advance(.seconds(60))
        #expect(await refusal { _ = try await world.stranger.register(world.registerRequest(token: token)) } == .accessDenied)
        await world.stop()
    }

    @Test func `a token with a stray space is another token`() async throws {
        let world = try await AuthWorld()
        let token = try await token(world)
        for variant in [" \(token)", "\(token) ", "\(token)\n", token.uppercased(), String(token.dropLast()), ""] where variant != token {
            #expect(await refusal { _ = try await world.stranger.register(world.registerRequest(token: variant)) } == .accessDenied)
        }
        _ = try await world.stranger.register(world.registerRequest(token: token))
        await world.stop()
    }

    @Test func `guessing tokens is slowed down, and only for the guesser`() async throws {
        let world = try await AuthWorld()
        let token = try await token(world)
        let guesser = world.client(nil, peer: "198.51.100.9")
        var kinds: [ErrorKind?] = []
        for guess in 0..<30 {
            kinds.append(await refusal { _ = try await guesser.register(world.registerRequest(token: "guess-number-\(guess)")) })
        }
        #expect(kinds.first == .accessDenied)
        #expect(kinds.last == .limitExceeded)
        #expect(await refusal { _ = try await guesser.register(world.registerRequest(token: token)) } == .limitExceeded)
        _ = try await world.stranger.register(world.registerRequest(token: token))
        world.clock.advance(.seconds(30))
        _ = try await guesser.register(world.registerRequest(token: token, uuid: "33333333-3333-4333-8333-333333333333", hostname: "db2"))
        await world.stop()
    }

    @Test func `a guesser behind a proxy does not keep others from joining through it`() async throws {
        let world = try await AuthWorld()
        let token = try await token(world)
        let proxy = await world.proxy
        for guess in 0..<40 {
            let kind = await refusal { _ = try await proxy.register(world.registerRequest(token: "guess-number-\(guess)")) }
            #expect(kind == .accessDenied)
        }
        _ = try await proxy.register(world.registerRequest(token: token))
        await world.stop()
    }

    @Test func `a token cannot take the UUID of a host that is there`() async throws {
        let world = try await AuthWorld()
        let token = try await token(world)
        let first = world.registerRequest(token: token)
        _ = try await world.stranger.register(first)
        // The same host again, whose answer was lost.
        _ = try await world.stranger.register(first)
        #expect(await refusal { _ = try await world.stranger.register(world.registerRequest(token: token)) } == .alreadyExists)
        await world.stop()
    }

    @Test(arguments: [
        "22222222-2222-4222-8222-222222222222", "proxy.example.com", "main.hub", "../db1", "db 1", "", "db1\u{0}", "-db1",
    ])
    func `a node cannot bear the name of another host`(name: String) async throws {
        let world = try await AuthWorld()
        let token = try await token(world, [.node, .proxy])
        _ = try await world.stranger.register(
            world.registerRequest(token: token, role: .proxy, hostname: "main", publicAddresses: ["proxy.example.com"]))
        let uuid = "33333333-3333-4333-8333-333333333333"
        for request in [
            world.registerRequest(token: token, uuid: uuid, hostname: name),
            world.registerRequest(token: token, uuid: uuid, hostname: "db2", publicAddresses: [name]),
        ] {
            let kind = await refusal { _ = try await world.stranger.register(request) }
            #expect(kind == .alreadyExists || kind == .badParameter)
        }
        await world.stop()
    }

    @Test func `a renewal keeps the UUID and role of the certificate`() async throws {
        let world = try await AuthWorld()
        let joined = world.registerRequest(token: try await token(world))
        _ = try await world.stranger.register(joined)
        world.clock.advance(.seconds(1000))
        let node = await world.host(.node, uuid: joined.uuid)
        let given = try await node.renewHost(RenewRequest(hostname: "db1", keys: joined.keys))
        let certificate = try Certificate(text: given.sshCertificate)
        #expect(certificate.keyID == "\(joined.uuid).hub")
        #expect(certificate.extensions[CertificateExtension.role] == "Node")
        #expect(certificate.validAfter == UInt64(world.clock.wallTime().seconds - 60))
        await world.stop()
    }

    @Test func `listed tokens do not show their value`() async throws {
        let world = try await AuthWorld()
        let value = "a-very-secret-token-value"
        _ = try await world.admin.createToken(TokenRequest(roles: [.node], ttlSeconds: 60, value: value))
        let listed = try await world.admin.resources(.token)
        #expect(listed.count == 1)
        #expect(!(try JSONText.encode(listed)).contains(value))
        try await world.admin.delete(.token, name: value)
        #expect(try await world.admin.resources(.token).isEmpty)
        await world.stop()
    }
}
