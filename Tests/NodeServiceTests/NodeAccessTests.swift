import Base
import ClusterModel
import NodeService
import SSHEngine
import SSHWire
import Testing

@Suite("NodeAccess")
struct NodeAccessTests {
    static let now = UnixTime(seconds: 1_795_485_808)
    static let randomness = SeededRandomness(seed: 11)
    static let own = PrivateKey.generate(randomness: randomness)
    static let root = PrivateKey.generate(randomness: randomness)
    static let leaf = PrivateKey.generate(randomness: randomness)
    static let labels: Labels = ["env": "test"]

    /// `east` with its own users, the users of its root `hub` whose `ops` are mapped, and the hosts of a leaf.
    static func snapshot(
        roleMap: [RoleMap.Mapping] = [.init(remote: "ops", local: ["access"])], roles: [Role] = Role.defaults, authority: PrivateKey = own
    ) -> ClusterSnapshot {
        ClusterSnapshot(
            ClusterState(
                clusterName: "east",
                authorities: [
                    CertificateAuthority(type: .user, cluster: "east", publicKeys: [authority.publicKey.text()]),
                    CertificateAuthority(type: .user, cluster: "hub", publicKeys: [root.publicKey.text()], roleMap: RoleMap(roleMap)),
                    CertificateAuthority(type: .host, cluster: "hub", publicKeys: [root.publicKey.text()]),
                    CertificateAuthority(type: .host, cluster: "leaf", publicKeys: [leaf.publicKey.text()]),
                ], roles: roles))
    }

    static func certificate(
        by authority: PrivateKey, cluster: String?, roles: String? = #"["access"]"#, kind: CertificateKind = .user,
        flags: [String] = [CertificateExtension.permitPTY]
    ) throws -> KeyIdentity {
        var values: [String: String] = [:]
        values[CertificateExtension.authority] = cluster
        values[CertificateExtension.roles] = roles
        return .certificate(
            try CertificateSigner(key: authority, randomness: randomness).sign(
                CertificateSigner.Request(
                    kind: kind, publicKey: PrivateKey.generate(randomness: randomness).publicKey, keyID: "alice", validPrincipals: ["root"],
                    validAfter: now + .seconds(-60), validBefore: now + .seconds(3600),
                    extensions: CertificateOptions(flags: flags, values: values))))
    }

    private func judge(_ identity: KeyIdentity, _ snapshot: ClusterSnapshot = snapshot()) -> Result<NodeAccess.Grant, TeleportError> {
        Result { () throws(TeleportError) in
            try NodeAccess(snapshot: snapshot, labels: Self.labels).judge(identity, login: "root", source: .loopback4, now: Self.now)
        }
    }

    private func reason(_ result: Result<NodeAccess.Grant, TeleportError>) -> String {
        if case .failure(let error) = result { error.message } else { "let in" }
    }

    @Test func `a user of the cluster is let in as who the certificate says, with what it permits`() throws {
        let grant = try judge(Self.certificate(by: Self.own, cluster: "east")).get()
        #expect(grant.identity.cluster == "east" && grant.identity.name == "alice" && grant.identity.roles == ["access"])
        #expect(
            grant.options == AccessOptions(permitPTY: true, permitPortForwarding: false, permitAgentForwarding: false, permitFileCopy: true)
        )
    }

    @Test func `a user of the root is somebody else, with mapped roles only`() throws {
        let grant = try judge(Self.certificate(by: Self.root, cluster: "hub", roles: #"["ops","admin"]"#)).get()
        #expect(grant.identity.cluster == "hub" && grant.identity.roles == ["access"])
        let same = judge(try Self.certificate(by: Self.root, cluster: "hub", roles: #"["access","admin"]"#))
        #expect(reason(same).contains("is mapped"), "a role of the same name is nothing")
        let unmapped = judge(try Self.certificate(by: Self.root, cluster: "hub", roles: #"["ops"]"#), Self.snapshot(roleMap: []))
        #expect(reason(unmapped).contains("is mapped"))
    }

    @Test func `the root's authority does not speak for a user of this cluster`() throws {
        #expect(reason(judge(try Self.certificate(by: Self.root, cluster: "east"))).contains("names cluster"))
    }

    @Test func `a leaf's authority signs no users`() throws {
        #expect(reason(judge(try Self.certificate(by: Self.leaf, cluster: "leaf"))) != "let in")
        #expect(reason(judge(try Self.certificate(by: Self.leaf, cluster: "east"))) != "let in")
    }

    @Test func `a host's certificate is not a user's`() throws {
        #expect(reason(judge(try Self.certificate(by: Self.own, cluster: "east", kind: .host))).contains("not a user's"))
        #expect(reason(judge(try Self.certificate(by: Self.root, cluster: "hub", kind: .host))) != "let in")
    }

    @Test func `a certificate without roles gives nothing`() throws {
        #expect(reason(judge(try Self.certificate(by: Self.own, cluster: "east", roles: nil))).contains("no roles"))
    }

    @Test func `the credential of an OpenSSH site's agent is nobody, with a login or without`() throws {
        for principals in [[], ["root"]] {
            let credential = KeyIdentity.certificate(
                try CertificateSigner(key: Self.own, randomness: Self.randomness).sign(
                    CertificateSigner.Request(
                        kind: .user, publicKey: PrivateKey.generate(randomness: Self.randomness).publicKey, keyID: "root",
                        validPrincipals: principals, validAfter: Self.now + .seconds(-60), validBefore: Self.now + .seconds(3600),
                        criticalOptions: CertificateOptions(values: [CriticalOption.site: "root"]),
                        extensions: CertificateOptions(values: [CertificateExtension.roles: #"["access"]"#]))))
            #expect(reason(judge(credential)).contains("is unknown"))
        }
    }

    @Test func `a bare key is nobody`() {
        #expect(reason(judge(.key(Self.own.publicKey))).contains("bare key"))
    }

    @Test func `what was granted lasts as long as authority and role do`() throws {
        let grant = try judge(Self.certificate(by: Self.own, cluster: "east")).get()
        func lasts(_ snapshot: ClusterSnapshot) -> Bool { NodeAccess(snapshot: snapshot, labels: Self.labels).renewed(grant) != nil }
        #expect(lasts(Self.snapshot()))
        #expect(!lasts(Self.snapshot(authority: Self.leaf)))
        #expect(!lasts(Self.snapshot(roles: [])))
        let guest = try judge(Self.certificate(by: Self.root, cluster: "hub", roles: #"["ops"]"#)).get()
        #expect(NodeAccess(snapshot: Self.snapshot(), labels: Self.labels).renewed(guest) != nil)
        #expect(NodeAccess(snapshot: Self.snapshot(roleMap: []), labels: Self.labels).renewed(guest) == nil)
    }
}
