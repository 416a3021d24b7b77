import AuthAPI
@testable import AuthService
import Backend
import Base
import ClusterModel
import Crypto
import EventLoop
import Logging
import SSHWire
import Testing

/// A clock that stands still until it is moved.
final class TestClock: Clock {
    private let seconds = Lock<Int64>(1_800_000_000)

    func now() -> Instant { Instant(nanoseconds: UInt64(seconds.withLock { $0 }) * 1_000_000_000) }
    func wallTime() -> UnixTime { UnixTime(seconds: seconds.withLock { $0 }) }
    func advance(_ duration: Duration) { seconds.withLock { $0 += duration.components.seconds } }
}

/// Calls a dispatcher as one caller, with no network between.
struct DirectTransport: AuthTransport {
    let dispatcher: AuthDispatcher
    let caller: Caller

    func post(_ path: String, body: [UInt8], timeout: Duration) async throws(TeleportError) -> [UInt8] {
        try await dispatcher.call(path, body: body, caller: caller)
    }
}

/// A leaf's way to the roots of a test.
final class DirectTrust: TrustTransport {
    private let roots = Lock<[String: AuthClient]>([:])

    func add(_ proxy: String, _ client: AuthClient) { roots.withLock { $0[proxy] = client } }

    func exchange(_ request: TrustRequest, proxy: HostPort, pin: String) async throws(TeleportError) -> TrustResponse {
        guard let root = roots.withLock({ $0["\(proxy)"] }) else { throw .connectionProblem("nobody at \(proxy)") }
        return try await root.exchangeTrust(request)
    }
}

/// One cluster in memory, on a loop of its own.
final class AuthWorld: Sendable {
    let clock = TestClock()
    let randomness: any Randomness
    let eventLoop = EventLoop(name: "auth-test")
    let store: MemoryStore
    let trust = DirectTrust()
    let server: AuthServer
    let dispatcher: AuthDispatcher

    init(_ cluster: String = "hub", seed: UInt64 = 1) async throws {
        eventLoop.start()
        randomness = SeededRandomness(seed: seed)
        store = MemoryStore(clock: clock)
        server = try await AuthServer.open(
            AuthServer.Settings(clusterName: cluster, version: "v0", proxyAddr: "proxy.test:3080"), store: store, clock: clock,
            randomness: randomness, trustTransport: trust, eventLoop: eventLoop, logger: quietLogger)
        dispatcher = AuthDispatcher(server)
        await server.start()
    }

    func stop() async {
        await server.stop()
        await store.close()
        eventLoop.stop()
    }

    func client(_ identity: TLSIdentity?, peer: String = "192.0.2.7") -> AuthClient {
        AuthClient(transport: DirectTransport(dispatcher: dispatcher, caller: Caller(identity: identity, peer: peer)))
    }

    var stranger: AuthClient { client(nil) }
    func host(_ role: SystemRole, uuid: String = "11111111-1111-4111-8111-111111111111") async -> AuthClient {
        client(TLSIdentity(bearer: .host, name: uuid, roles: [role.rawValue], cluster: await server.clusterName))
    }
    var admin: AuthClient { get async { await host(.admin) } }
    var proxy: AuthClient { get async { await host(.proxy) } }

    /// The state once it fulfils `condition`: it follows the store by events.
    func state(where condition: (ClusterState) -> Bool) async -> ClusterState {
        var state = await server.state
        while !condition(state) {
            guard let next = await server.state(after: state.revision, waitingUpTo: .seconds(20)) else { return state }
            state = next
        }
        return state
    }

    /// Returns when the server has taken in all that was written before: it follows its store in order.
    func settled() async throws {
        let mark = "mark-\(Hex.encode(randomness.bytes(8)))"
        try await admin.put(.role(Role(name: mark, allow: RoleConditions())), replace: false)
        _ = await state { $0.roles.contains { $0.name == mark } }
    }

    func newKey() -> String { PrivateKey.generate(randomness: randomness).publicKey.text() }
    func newTLSKey() -> String { Base64.encode(ECDSA.PrivateKey.generate(.nistp256, randomness: randomness).publicKey.der) }

    /// A user who has signed up, with the secret of the device.
    func signUp(_ name: String, logins: [String] = ["root"], roles: [String] = ["access"], password: String = "correct horse") async throws
        -> [UInt8]
    {
        let invited = try await admin.inviteUser(
            InviteRequest(user: User(name: name, roles: roles, logins: logins), ttlSeconds: 3600))
        _ = try await proxy.describeSignup(token: invited.token)
        let stored = try await server.store.invites.list().first { $0.value.user.name == name }
        let secret = try #require(stored).value.otpSecret
        try await proxy.completeSignup(SignupRequest(token: invited.token, password: password, code: code(secret)))
        clock.advance(.seconds(60))
        return secret
    }

    func code(_ secret: [UInt8], steps: Int64 = 0) -> String {
        TimeBasedPassword.code(secret: secret, step: TimeBasedPassword.step(at: clock.wallTime()) + steps)
    }

    func loginRequest(_ user: String, password: String = "correct horse", code: String, ttl: Int64 = 3600) -> LoginRequest {
        LoginRequest(user: user, password: password, code: code, publicKey: newKey(), tlsPublicKey: newTLSKey(), ttlSeconds: ttl)
    }

    func registerRequest(
        token: String, role: JoinRole = .node, uuid: String = "22222222-2222-4222-8222-222222222222", hostname: String = "db1",
        publicAddresses: [String] = [], key: String? = nil
    ) -> RegisterRequest {
        RegisterRequest(
            token: token, role: role, uuid: uuid, hostname: hostname, publicAddresses: publicAddresses,
            keys: HostKeys(sshPublicKey: key ?? newKey(), tlsPublicKey: newTLSKey()))
    }
}

let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// The kind of error that `body` throws; nil where it throws none.
func refusal(_ body: () async throws -> Void) async -> ErrorKind? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? TeleportError)?.kind
    }
}

extension TunnelReport {
    /// What a proxy says of these sites; by default that they are all connected.
    static func of(_ sites: [String], connected: [String]? = nil) -> TunnelReport {
        let shards = Dictionary(grouping: sites, by: shard(of:))
        return TunnelReport(
            shards: shards.map { number, sites in
                Shard(number: number, connected: sites.filter { (connected ?? sites).contains($0) })
            })
    }
}
