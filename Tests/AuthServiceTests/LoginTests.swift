import AuthAPI
@testable import AuthService
import Backend
import Base
import ClusterModel
import Crypto
import SSHEngine
import SSHWire
import Testing

@Suite("Login with password and one-time code")
struct LoginTests {
    @Test func `a login gives certificates with the user's logins and roles`() async throws {
        let world = try await AuthWorld()
        let secret = try await world.signUp("alice", logins: ["root", "deploy"])
        let given = try await world.proxy.login(world.loginRequest("alice", code: world.code(secret)))
        #expect(given.logins == ["root", "deploy"])
        #expect(given.roles == ["access"])
        #expect(given.expires == world.clock.wallTime() + .seconds(3600))
        #expect(Set(given.authorities.map(\.name)) == ["host/hub", "tls/hub"])
        let certificate = try Certificate(text: given.sshCertificate)
        let snapshot = ClusterSnapshot(await world.server.state)
        let check = UserCertificateCheck(authorities: snapshot.userAuthorities)
        let accepted = try check.judge(certificate, wanted: .principal("deploy"), source: nil, now: world.clock.wallTime())
        let identity = try snapshot.identity(of: certificate, signedBy: accepted.authority.cluster)
        #expect(identity == AccessIdentity(cluster: "hub", name: "alice", roles: ["access"], logins: ["root", "deploy"]))
        let tls = try X509Certificate(pem: try #require(given.tlsCertificate))
        #expect(try TLSIdentity(subjectOf: tls) == TLSIdentity(bearer: .user, name: "alice", roles: ["access"], cluster: "hub"))
        await world.stop()
    }

    @Test func `unknown user, wrong password, wrong code and locked user are told the same`() async throws {
        let world = try await AuthWorld()
        let secret = try await world.signUp("alice")
        var texts: Set<String> = []
        let code = world.code(secret)
        for request in [
            world.loginRequest("nobody", code: code), world.loginRequest("alice", password: "wrong horse", code: code),
            world.loginRequest("alice", code: "000000"), world.loginRequest("no/body", code: code), world.loginRequest("", code: code),
            world.loginRequest("alice", password: "", code: code), world.loginRequest("alice", password: "correct horse\0", code: code),
            world.loginRequest("alice", password: String(repeating: "x", count: 10_000), code: code),
        ] {
            do { _ = try await world.proxy.login(request) } catch { texts.insert("\(error.kind.rawValue): \(error.message)") }
        }
        #expect(texts.count == 1)
        await world.stop()
    }

    @Test func `a replayed code is refused, also in parallel`() async throws {
        let world = try await AuthWorld()
        let secret = try await world.signUp("alice")
        let code = world.code(secret)
        let proxy = await world.proxy
        let accepted = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<4 {
                let request = world.loginRequest("alice", code: code)
                group.addTask { (try? await proxy.login(request)) != nil }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(accepted == 1)
        world.clock.advance(.seconds(30))
        #expect(await refusal { _ = try await proxy.login(world.loginRequest("alice", code: code)) } == .accessDenied)
        await world.stop()
    }

    @Test(arguments: [-2, 2] as [Int64])
    func `a code of more than one step away is refused`(steps: Int64) async throws {
        let world = try await AuthWorld()
        let secret = try await world.signUp("alice")
        world.clock.advance(.seconds(600))
        #expect(
            await refusal { _ = try await world.proxy.login(world.loginRequest("alice", code: world.code(secret, steps: steps))) }
                == .accessDenied)
        _ = try await world.proxy.login(world.loginRequest("alice", code: world.code(secret, steps: steps / 2)))
        await world.stop()
    }

    @Test func `guessing locks the user, and a good password does not unlock`() async throws {
        let world = try await AuthWorld()
        let secret = try await world.signUp("alice")
        for _ in 0..<AuthServer.failuresMax {
            #expect(await refusal { _ = try await world.proxy.login(world.loginRequest("alice", code: "000000")) } == .accessDenied)
        }
        #expect(await refusal { _ = try await world.proxy.login(world.loginRequest("alice", code: world.code(secret))) } == .accessDenied)
        world.clock.advance(AuthServer.lockout)
        _ = try await world.proxy.login(world.loginRequest("alice", code: world.code(secret)))
        await world.stop()
    }

    @Test func `a lifetime beyond the role's is cut to it`() async throws {
        let world = try await AuthWorld()
        let short = Role(
            name: "short", allow: RoleConditions(logins: [RoleConditions.ownLogins], nodeLabels: .everything),
            options: RoleOptions(maxSessionTTL: .seconds(600)))
        try await world.admin.put(.role(short), replace: false)
        let secret = try await world.signUp("alice", roles: ["access", "short"])
        let given = try await world.proxy.login(world.loginRequest("alice", code: world.code(secret), ttl: 1_000_000))
        #expect(given.expires == world.clock.wallTime() + .seconds(600))
        world.clock.advance(.seconds(60))
        for ttl in [0, -5, Int64.min] {
            world.clock.advance(.seconds(60))
            #expect(
                await refusal { _ = try await world.proxy.login(world.loginRequest("alice", code: world.code(secret), ttl: ttl)) }
                    == .badParameter)
        }
        await world.stop()
    }

    @Test func `a user whose role was removed gets no certificate`() async throws {
        let world = try await AuthWorld()
        try await world.admin.put(
            .role(Role(name: "temp", allow: RoleConditions(logins: ["root"], nodeLabels: .everything))), replace: false)
        let secret = try await world.signUp("alice", roles: ["access", "temp"])
        try await world.admin.delete(.role, name: "temp")
        #expect(await refusal { _ = try await world.proxy.login(world.loginRequest("alice", code: world.code(secret))) } == .accessDenied)
        await world.stop()
    }

    @Test func `a removed user cannot log in`() async throws {
        let world = try await AuthWorld()
        let secret = try await world.signUp("alice")
        try await world.admin.delete(.user, name: "alice")
        #expect(await refusal { _ = try await world.proxy.login(world.loginRequest("alice", code: world.code(secret))) } == .accessDenied)
        await world.stop()
    }

    @Test func `a weak or foreign key is not certified`() async throws {
        let world = try await AuthWorld()
        let secret = try await world.signUp("alice")
        for key in ["", "ssh-dss AAAA", "ssh-ed25519 AAAA", String(repeating: "x", count: 100_000)] {
            var request = world.loginRequest("alice", code: world.code(secret))
            request.publicKey = key
            let refused = request
            let kind = await refusal { _ = try await world.proxy.login(refused) }
            #expect(kind == .badParameter || kind == .limitExceeded)
        }
        await world.stop()
    }
}

@Suite("Sign-up")
struct SignupTests {
    private func invite(_ world: AuthWorld, _ name: String = "alice") async throws -> InviteResponse {
        try await world.admin.inviteUser(InviteRequest(user: User(name: name, roles: ["access"], logins: ["root"]), ttlSeconds: 3600))
    }

    private func secret(_ world: AuthWorld) async throws -> [UInt8] {
        try #require(try await world.server.store.invites.list().first).value.otpSecret
    }

    @Test func `the link names the proxy and holds the token`() async throws {
        let world = try await AuthWorld()
        let invited = try await invite(world)
        #expect(invited.url == "https://proxy.test:3080/web/newuser/\(invited.token)")
        await world.stop()
    }

    @Test func `the secret is told once`() async throws {
        let world = try await AuthWorld()
        let invited = try await invite(world)
        let described = try await world.proxy.describeSignup(token: invited.token)
        #expect(described.user == "alice")
        #expect(described.otpURI.hasPrefix("otpauth://totp/hub:alice?secret=\(described.otpSecret)&"))
        #expect(await refusal { _ = try await world.proxy.describeSignup(token: invited.token) } == .accessDenied)
        await world.stop()
    }

    @Test func `a link that was used or has expired is refused`() async throws {
        let world = try await AuthWorld()
        let invited = try await invite(world)
        let secret = try await secret(world)
        let request = SignupRequest(token: invited.token, password: "correct horse", code: world.code(secret))
        try await world.proxy.completeSignup(request)
        #expect(await refusal { try await world.proxy.completeSignup(request) } == .accessDenied)
        let late = try await invite(world, "bob")
        world.clock.advance(.seconds(3600))
        #expect(await refusal { _ = try await world.proxy.describeSignup(token: late.token) } == .accessDenied)
        await world.stop()
    }

    @Test func `a user who exists is not invited again, and a second link for one name is void once the first was used`() async throws {
        let world = try await AuthWorld()
        let first = try await invite(world)
        let firstSecret = try await secret(world)
        let second = try await invite(world)
        let firstDigest = AuthServer.digest(first.token)
        let secondSecret = try #require(try await world.server.store.invites.list().first { $0.name != firstDigest }).value.otpSecret
        try await world.proxy.completeSignup(SignupRequest(token: first.token, password: "correct horse", code: world.code(firstSecret)))
        let taken = SignupRequest(token: second.token, password: "other password", code: world.code(secondSecret))
        #expect(await refusal { try await world.proxy.completeSignup(taken) } == .accessDenied)
        #expect(await refusal { _ = try await invite(world) } == .alreadyExists)
        await world.stop()
    }

    @Test func `guessing the first code voids the link`() async throws {
        let world = try await AuthWorld()
        let invited = try await invite(world)
        let secret = try await secret(world)
        for _ in 0..<AuthServer.failuresMax {
            let guess = SignupRequest(token: invited.token, password: "correct horse", code: "000000")
            #expect(await refusal { try await world.proxy.completeSignup(guess) } == .accessDenied)
        }
        let right = SignupRequest(token: invited.token, password: "correct horse", code: world.code(secret))
        #expect(await refusal { try await world.proxy.completeSignup(right) } == .accessDenied)
        await world.stop()
    }

    @Test(arguments: ["", "short", "long enough\0", String(repeating: "x", count: 129)])
    func `a password that is too short, too long or has a NUL is refused`(password: String) async throws {
        let world = try await AuthWorld()
        let invited = try await invite(world)
        let code = world.code(try await secret(world))
        #expect(
            await refusal { try await world.proxy.completeSignup(SignupRequest(token: invited.token, password: password, code: code)) }
                == .badParameter)
        await world.stop()
    }

    @Test func `a reset ends the old password and device at once`() async throws {
        let world = try await AuthWorld()
        let old = try await world.signUp("alice")
        let reset = try await world.admin.inviteUser(
            InviteRequest(user: User(name: "alice", roles: ["admin"], logins: ["other"]), ttlSeconds: 600, reset: true))
        #expect(await refusal { _ = try await world.proxy.login(world.loginRequest("alice", code: world.code(old))) } == .accessDenied)
        let new = try await secret(world)
        try await world.proxy.completeSignup(SignupRequest(token: reset.token, password: "new password", code: world.code(new)))
        world.clock.advance(.seconds(60))
        let given = try await world.proxy.login(world.loginRequest("alice", password: "new password", code: world.code(new)))
        #expect(given.roles == ["access"])
        #expect(given.logins == ["root"])
        await world.stop()
    }
}
