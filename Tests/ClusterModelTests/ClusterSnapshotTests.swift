import Base
import ClusterModel
import SSHWire
import Testing

@Suite("What services decide from")
struct ClusterSnapshotTests {
    private static let randomness = SeededRandomness(seed: 5)
    private static let hubUser = PrivateKey.generate(randomness: randomness)
    private static let eastUser = PrivateKey.generate(randomness: randomness)
    private static let hubHost = PrivateKey.generate(randomness: randomness)
    private static let eastHost = PrivateKey.generate(randomness: randomness)
    private static let uuids = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"]

    private static func authority(_ type: AuthorityKind, _ cluster: String, _ key: PrivateKey, _ map: RoleMap = RoleMap([]))
        -> CertificateAuthority
    {
        CertificateAuthority(type: type, cluster: cluster, publicKeys: [key.publicKey.text()], roleMap: map)
    }

    /// The leaf `east` of the root `hub`.
    private static let leaf = ClusterSnapshot(
        ClusterState(
            revision: 3, clusterName: "east",
            authorities: [
                authority(.user, "east", eastUser), authority(.host, "east", eastHost), authority(.host, "hub", hubHost),
                authority(.user, "hub", hubUser, RoleMap([.init(remote: "ops", local: ["access"])])),
            ],
            roles: Role.defaults,
            nodes: [
                Node(uuid: uuids[0], hostname: "db1", addr: "192.0.2.1:3022", cluster: "east"),
                Node(uuid: uuids[1], hostname: "db1", addr: "192.0.2.2:3022", cluster: "east"),
                Node(uuid: "web", hostname: "Web1", addr: "192.0.2.3:22", labels: ["env": "prod"], cluster: "east"),
            ],
            trustedClusters: [TrustedCluster(name: "hub", webProxyAddr: "hub:3080", roleMap: RoleMap([]))],
            reverseTunnels: [ReverseTunnelRecord(cluster: "hub", dialAddrs: ["hub:3024"])]))

    private func certificate(
        _ keyID: String, roles: String? = #"["ops"]"#, authority: String? = nil, kind: CertificateKind = .user, by key: PrivateKey
    ) throws -> Certificate {
        var values: [String: String] = [:]
        values[CertificateExtension.roles] = roles
        values[CertificateExtension.authority] = authority
        let request = CertificateSigner.Request(
            kind: kind, publicKey: key.publicKey, keyID: keyID, validPrincipals: ["root"], validAfter: UnixTime(seconds: 0),
            validBefore: UnixTime(seconds: 10), extensions: CertificateOptions(values: values))
        return try CertificateSigner(key: key, randomness: Self.randomness).sign(request)
    }

    @Test func `the leaf trusts the root's users, and both clusters' hosts, each for its own cluster`() {
        #expect(Self.leaf.userAuthorities.map(\.cluster) == ["east", "hub"])
        #expect(Self.leaf.hostAuthorities.of(cluster: "hub").map(\.key) == [Self.hubHost.publicKey])
        #expect(Self.leaf.rootClusters == ["hub"])
        #expect(Self.leaf.leafClusters.isEmpty)
        #expect(Self.leaf.reverseTunnels.map(\.cluster) == ["hub"])
    }

    @Test func `on the root, a leaf's user authority counts for nothing even if it is there`() {
        let root = ClusterSnapshot(
            ClusterState(
                clusterName: "hub",
                authorities: [
                    Self.authority(.user, "hub", Self.hubUser), Self.authority(.user, "east", Self.eastUser),
                    Self.authority(.host, "east", Self.eastHost),
                ],
                remoteClusters: [RemoteCluster(name: "east")]))
        #expect(root.userAuthorities.map(\.cluster) == ["hub"])
        #expect(root.leafClusters == ["east"])
    }

    @Test func `the same name in two clusters is two people`() throws {
        let mapped = try Self.leaf.identity(of: try certificate("alice", by: Self.hubUser), signedBy: "hub")
        #expect(mapped == AccessIdentity(cluster: "hub", name: "alice", roles: ["access"], logins: ["root"]))
        let local = try Self.leaf.identity(of: try certificate("alice", roles: #"["admin"]"#, by: Self.eastUser), signedBy: "east")
        #expect(local == AccessIdentity(cluster: "east", name: "alice", roles: ["admin"], logins: ["root"]))
        #expect(mapped != local)
    }

    @Test(
        arguments: [nil, "[]", #"["admin"]"#, #"["access"]"#, #"["Ops"]"#, "ops", #"{"ops":1}"#, #"["ops","ops"]"#, #"["ops "]"#, ""]
            as [String?])
    func `a root user without a mapped role is nobody here`(roles: String?) throws {
        let certificate = try certificate("alice", roles: roles, by: Self.hubUser)
        #expect(throws: TeleportError.self) { try Self.leaf.identity(of: certificate, signedBy: "hub") }
    }

    @Test func `a root user who claims to be the leaf's is refused`() throws {
        let certificate = try certificate("alice", authority: "east", by: Self.hubUser)
        #expect(throws: TeleportError.self) { try Self.leaf.identity(of: certificate, signedBy: "hub") }
        #expect(throws: TeleportError.self) {
            try Self.leaf.identity(of: try self.certificate("alice", by: Self.hubUser), signedBy: "west")
        }
        #expect(throws: TeleportError.self) {
            try Self.leaf.identity(of: try self.certificate("alice", kind: .host, by: Self.hubUser), signedBy: "hub")
        }
    }

    @Test(arguments: ["web", "Web1", "web1", "web1.east", "WEB1.EAST", "192.0.2.3", "web.east"])
    func `a node is found by UUID, name and address`(host: String) throws {
        #expect(try Self.leaf.node(host: host).uuid == "web")
        #expect(try Self.leaf.node(host: host, port: 22).uuid == "web")
    }

    @Test func `a name that two nodes bear is an error that names both UUIDs`() {
        do {
            _ = try Self.leaf.node(host: "db1")
            Issue.record("found one")
        } catch {
            #expect(error.kind == .badParameter)
            for uuid in Self.uuids { #expect(error.message.contains(uuid)) }
        }
    }

    @Test func `its UUID tells a node apart from its namesake`() throws {
        #expect(try Self.leaf.node(host: Self.uuids[1]).addr == "192.0.2.2:3022")
    }

    @Test(
        arguments: [
            ("db", 0), ("db11", 0), ("", 0), ("169.254.169.254", 80), ("127.0.0.1", 3025), ("192.0.2.3", 23), ("web1.hub", 0), ("*", 0),
        ] as [(String, UInt16)])
    func `what is not registered is not found`(host: String, port: UInt16) {
        #expect(throws: TeleportError.self) { try Self.leaf.node(host: host, port: port) }
    }

    @Test func `the state survives being saved`() throws {
        #expect(try JSONText.decode(ClusterState.self, from: JSONText.encode(Self.leaf.state)) == Self.leaf.state)
    }
}

@Suite("What certificates will say")
struct CertificateRequestTests {
    private let key = PrivateKey.generate(randomness: SeededRandomness(seed: 6)).publicKey
    private let now = UnixTime(seconds: 1_000_000)
    private let known = Dictionary(uniqueKeysWithValues: Role.defaults.map { ($0.name, $0) })

    @Test func `a user's lifetime is cut, its features are those of the roles`() throws {
        var role = Role(name: "plain", allow: RoleConditions(logins: [RoleConditions.ownLogins], nodeLabels: .everything))
        role.options = RoleOptions(maxSessionTTL: .seconds(60), permitPTY: false, permitPortForwarding: true, permitAgentForwarding: false)
        let user = User(name: "alice", roles: ["plain"], logins: ["root"])
        let request = try CertificateRequest.user(
            user, publicKey: key, cluster: "hub", roles: try RoleSet(names: ["plain"], known: ["plain": role]), ttl: .seconds(1 << 40),
            now: now)
        #expect(request.validAfter == UnixTime(seconds: 999_940))
        #expect(request.validBefore == UnixTime(seconds: 1_000_060))
        #expect(request.extensions.contains("permit-port-forwarding"))
        #expect(!request.extensions.contains("permit-pty"))
        #expect(!request.extensions.contains("permit-agent-forwarding"))
        #expect(request.extensions["teleport-roles"] == #"["plain"]"#)
    }

    @Test func `no login left is no certificate`() throws {
        let roles = try RoleSet(names: ["access"], known: known)
        #expect(throws: TeleportError.self) {
            try CertificateRequest.user(
                User(name: "alice", roles: ["access"], logins: []), publicKey: key, cluster: "hub", roles: roles, ttl: .seconds(60),
                now: now)
        }
    }

    @Test func `a site's credential lists no login`() {
        let request = CertificateRequest.siteAgent(site: "branch", publicKey: key, ttl: .seconds(1 << 40), now: now)
        #expect(request.validPrincipals.isEmpty)
        #expect(request.criticalOptions.names == ["x-teleport-site"])
        #expect(request.validBefore == now + CertificateRequest.hostTTL)
    }
}
