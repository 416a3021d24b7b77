import AuthAPI
@testable import AuthService
import Backend
import Base
import ClusterModel
import Crypto
import EventLoop
import SSHWire
import Testing

/// An auth service on loopback with a data directory that goes with it.
private final class HTTPSWorld: Sendable {
    let eventLoop = EventLoop(name: "auth-https")
    let directory: String
    let store: MemoryStore
    let service: AuthService
    let clock: any Clock

    static let uuid = "11111111-1111-4111-8111-111111111111"

    init(_ cluster: String = "hub") async throws {
        eventLoop.start()
        directory = "/tmp/auth-service-test-\(SystemRandomness().uuid())"
        let made = directory
        try await eventLoop.work { try FileIO.createDirectory(made) }
        clock = SystemClock()
        store = MemoryStore(clock: clock)
        service = try await AuthService.start(
            AuthService.Options(
                settings: AuthServer.Settings(clusterName: cluster, version: "v0"), dataDirectory: directory,
                listenAddresses: [try #require(SocketAddress("127.0.0.1:0"))], uuid: Self.uuid, hostname: "main"),
            store: store, clock: clock, randomness: SystemRandomness(), eventLoop: eventLoop, logger: quietLogger
        ) { _ in }
    }

    var address: HostPort {
        get throws {
            let address = try #require(service.addresses.first)
            return try #require(HostPort("\(address)"))
        }
    }

    func identity(_ role: SystemRole) async throws -> HostIdentity {
        let directory = "\(directory)/identity"
        return try #require(try await eventLoop.work { try HostIdentity.load(directory: directory, role: role) })
    }

    func client(_ identity: HostIdentity) throws -> AuthClient { AuthClient(servers: [try address], identity: identity, on: eventLoop) }
    func admin() async throws -> AuthClient { try client(try await identity(.admin)) }

    func join(_ role: JoinRole = .node, pin: String? = nil) async throws -> HostIdentity {
        let token = try await admin().createToken(TokenRequest(roles: [role], ttlSeconds: 600))
        let contact = try await AuthClient.firstContact(server: try address, pin: pin ?? token.caPin, on: eventLoop)
        return try await contact.client.join(
            token: token.token, role: role, uuid: SystemRandomness().uuid(), hostname: "db1", randomness: SystemRandomness())
    }

    func stop() async throws {
        await service.stop()
        let directory = directory
        try await eventLoop.work { try FileIO.removeTree(directory) }
        eventLoop.stop()
    }
}

@Suite("The API over HTTPS")
struct HTTPSTests {
    @Test func `the administrator of the auth host is let in, with files of mode 0600`() async throws {
        let world = try await HTTPSWorld()
        let status = try await world.admin().status()
        #expect(status.cluster == "hub")
        let directory = world.directory
        for file in ["identity/admin", "identity/auth", "authorities.json"] {
            #expect(try await world.eventLoop.work { try FileIO.status("\(directory)/\(file)")?.mode } == 0o600)
        }
        let secrets = try await world.eventLoop.work { try LocalAuthorities.load(dataDirectory: directory) }
        #expect(Set(secrets.map(\.type)) == Set(AuthorityKind.allCases))
        try await world.stop()
    }

    @Test func `a node joins with token and pin, and announces itself`() async throws {
        let world = try await HTTPSWorld()
        let identity = try await world.join()
        let client = try world.client(identity)
        try await client.heartbeat(Node(uuid: identity.uuid, hostname: "db1", addr: "0.0.0.0:3022", cluster: "hub"))
        guard case .node(let node)? = try await world.admin().resources(.node).first else {
            Issue.record("no node")
            return
        }
        #expect(node.addr == "127.0.0.1:3022")
        let renewed = try await client.renew(identity, randomness: SystemRandomness())
        #expect(renewed.sshPrivateKey.contains("OPENSSH PRIVATE KEY"))
        #expect(renewed.tlsCertificate != identity.tlsCertificate)
        #expect(try Certificate(text: renewed.sshCertificate).publicKey == Certificate(text: identity.sshCertificate).publicKey)
        let middle = try renewed.renewalTime()
        #expect(middle > world.clock.wallTime() + .seconds(180 * 86400) && middle < world.clock.wallTime() + .seconds(184 * 86400))
        try await world.stop()
    }

    @Test func `a wrong pin ends the first contact before the token is sent`() async throws {
        let world = try await HTTPSWorld()
        let wrong = "sha256:" + String(repeating: "0", count: 64)
        #expect(await refusal { _ = try await world.join(pin: wrong) } == .accessDenied)
        #expect(await refusal { _ = try await world.join(pin: "sha256:xyz") } == .badParameter)
        try await world.stop()
    }

    @Test func `no client certificate, a node's and another cluster's are refused`() async throws {
        let world = try await HTTPSWorld()
        let other = try await HTTPSWorld()
        let stranger = try await AuthClient.firstContact(server: try world.address, pin: "", on: world.eventLoop).client
        #expect(await refusal { _ = try await stranger.status() } == .accessDenied)
        let node = try world.client(try await world.join())
        #expect(await refusal { _ = try await node.status() } == .accessDenied)
        // Same cluster name, another authority: neither side believes the other.
        var foreign = try await other.identity(.admin)
        foreign.authorities = try await world.identity(.admin).authorities
        let intruder = try world.client(foreign)
        #expect(await refusal { _ = try await intruder.status() } != nil)
        try await other.stop()
        try await world.stop()
    }

    @Test func `a node's certificate does not make an auth server`() async throws {
        let world = try await HTTPSWorld()
        let node = try await world.join()
        let tls = try X509Certificate(pem: node.tlsCertificate)
        #expect(tls.uses == [.client])
        #expect(tls.dnsNames.isEmpty)
        let auth = try X509Certificate(pem: try await world.identity(.auth).tlsCertificate)
        #expect(auth.dnsNames.contains("auth.hub"))
        try await world.stop()
    }

    @Test func `a cache follows the auth server, and starts from what it saved while that is away`() async throws {
        let world = try await HTTPSWorld()
        let identity = try await world.join(.proxy)
        let cacheDirectory = "\(world.directory)/cache"
        try await world.eventLoop.work { try FileIO.createDirectory(cacheDirectory) }
        func cache(_ client: AuthClient) -> AuthCache {
            AuthCache(
                client: client, directory: cacheDirectory, name: "proxy", eventLoop: world.eventLoop, randomness: SystemRandomness(),
                logger: quietLogger)
        }
        let following = cache(try world.client(identity))
        let (roles, told) = AsyncStream.makeStream(of: Set<String>.self)
        following.onChange { told.yield(Set($0.roles.keys)) }
        following.start()
        #expect(await following.first()?.clusterName == "hub")
        try await world.admin().put(.role(Role(name: "marker", allow: RoleConditions())), replace: false)
        for await names in roles where names.contains("marker") { break }
        following.stop()

        let nobody = AuthClient(servers: [HostPort(host: "127.0.0.1", port: 1)], identity: identity, on: world.eventLoop)
        let alone = cache(nobody)
        alone.start()
        let saved = await alone.first()
        #expect(saved?.clusterName == "hub")
        #expect(saved?.userAuthorities.count == 1)
        #expect(!alone.isConnected)
        alone.stop()
        try await world.stop()
    }

    @Test func `the second auth server is asked where the first is away`() async throws {
        let world = try await HTTPSWorld()
        let identity = try await world.identity(.admin)
        let client = AuthClient(
            servers: [HostPort(host: "127.0.0.1", port: 1), try world.address], identity: identity, on: world.eventLoop)
        #expect(try await client.status().cluster == "hub")
        #expect(try await client.status().cluster == "hub")
        try await world.stop()
    }
}
