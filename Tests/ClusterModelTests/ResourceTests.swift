import Base
import ClusterModel
import Crypto
import SSHWire
import Testing

@Suite("Resources as JSON")
struct ResourceTests {
    static let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUrB1VnmNBmFfFHf3mFdtmTkBDHyEYQTyr5nkZ0k0Ih"
    static let resources: [Resource] = [
        .user(User(name: "alice", roles: ["access"], logins: ["root"], traits: ["team": ["x"]])),
        .role(Role(name: "dev", allow: RoleConditions(logins: ["root"], nodeLabels: LabelSelector(["env": ["prod"]])))),
        .token(ProvisionToken(name: "a-token-of-16-chars", roles: [.node, .proxy], expires: UnixTime(seconds: 5), singleUse: false)),
        .trustedCluster(
            TrustedCluster(
                name: "hub", token: "t", webProxyAddr: "hub:3080", tunnelAddr: "hub:3024",
                roleMap: RoleMap([.init(remote: "access", local: ["access"])]), caPin: "sha256:00")),
        .remoteCluster(RemoteCluster(name: "east", connected: true, lastHeartbeat: UnixTime(seconds: 9))),
        .reverseTunnel(ReverseTunnelRecord(cluster: "hub", dialAddrs: ["hub:3024"])),
        .opensshSite(
            OpenSSHSite(
                name: "branch", nodes: [OpenSSHSite.Host(name: "db1", addr: "10.1.0.5:22", labels: ["env": "prod"], hostKeys: [key])],
                hostAuthorities: [key])),
        .node(
            Node(
                uuid: "u1", hostname: "db1", addr: "192.0.2.1:3022", labels: ["a": "b"], cluster: "hub", version: "v1",
                expires: UnixTime(seconds: 3))),
        .proxy(ProxyRecord(uuid: "u2", hostname: "front", sshAddr: "h:3023", tunnelAddr: "h:3024", webAddr: "h:3080")),
    ]

    @Test(arguments: resources)
    func `what is written is read as the same`(resource: Resource) throws {
        #expect(try JSONText.decode(Resource.self, from: JSONText.encode(resource)) == resource)
    }

    @Test func `an authority is written and read`() throws {
        let key = PrivateKey.generate(randomness: SeededRandomness(seed: 1)).publicKey.text()
        let authority = Resource.certificateAuthority(
            CertificateAuthority(
                type: .user, cluster: "hub", publicKeys: [key], roleMap: RoleMap([.init(remote: "access", local: ["access"])])))
        #expect(try JSONText.decode(Resource.self, from: JSONText.encode(authority)) == authority)
    }

    @Test func `a trusted cluster as people write it`() throws {
        let text = """
            {"kind":"trusted_cluster","version":"v1","metadata":{"name":"hub"},"spec":{"enabled":true,"token":"abc",
            "web_proxy_addr":"hub.example.com:3080","tunnel_addr":"hub.example.com:3024","role_map":[{"remote":"access","local":["access"]}]}}
            """
        guard case .trustedCluster(let cluster) = try JSONText.decode(Resource.self, from: text) else {
            Issue.record("another kind")
            return
        }
        #expect(cluster.name == "hub")
        #expect(cluster.roleMap.map(["access"]) == ["access"])
        #expect(cluster.withoutToken.token.isEmpty)
    }

    static let refused = [
        #"{"kind":"nosuch","metadata":{"name":"a"},"spec":{}}"#,
        #"{"metadata":{"name":"a"},"spec":{}}"#,
        #"{"kind":"user","metadata":{"name":"a","color":1},"spec":{}}"#,
        #"{"kind":"user","metadata":{"name":"a"},"spec":{"pasword":"x"}}"#,
        #"{"kind":"user","metadata":{"name":"a"},"spec":{},"extra":1}"#,
        #"{"kind":"user","metadata":{"name":"a/b"},"spec":{}}"#,
        #"{"kind":"role","metadata":{"name":"a"},"spec":{"allow":{"login":["root"]}}}"#,
        #"{"kind":"role","metadata":{"name":"a"},"spec":{"options":{"max_session_ttl":"0s"}}}"#,
        #"{"kind":"role","metadata":{"name":"a"},"spec":{"options":{"max_session_ttl":5}}}"#,
        #"{"kind":"trusted_cluster","metadata":{"name":"Hub"},"spec":{"web_proxy_addr":"h:3080"}}"#,
        #"{"kind":"trusted_cluster","metadata":{"name":"hub"},"spec":{"web_proxy_addr":"h"}}"#,
        #"{"kind":"trusted_cluster","metadata":{"name":"hub"},"spec":{"web_proxy_addr":"h:3080","role_map":[{"remote":"*","local":["admin"]}]}}"#,
        #"{"kind":"trusted_cluster","metadata":{"name":"hub"},"spec":{"web_proxy_addr":"h:3080","role_map":[{"remote":"a","locl":["b"]}]}}"#,
        #"{"kind":"reverse_tunnel","metadata":{"name":"hub"},"spec":{"dial_addrs":[]}}"#,
        #"{"kind":"reverse_tunnel","metadata":{"name":"hub"},"spec":{"cluster_name":"other","dial_addrs":["h:1"]}}"#,
        #"{"kind":"node","metadata":{"name":"n"},"spec":{"addr":"nowhere"}}"#,
        #"{"kind":"node","metadata":{"name":"n"},"spec":{"addr":"h:1","labels":{"a":"b\nc"}}}"#,
        #"{"kind":"cert_authority","metadata":{"name":"hub"},"spec":{"type":"user","cluster_name":"hub"}}"#,
        #"{"kind":"cert_authority","metadata":{"name":"hub"},"spec":{"type":"user","cluster_name":"hub","public_keys":["ssh-rsa AAAA"]}}"#,
        #"{"kind":"cert_authority","metadata":{"name":"user/hub"},"spec":{"type":"host","cluster_name":"hub","public_keys":["x"]}}"#,
        #"{"kind":"token","metadata":{"name":"t"},"spec":{"roles":[],"expires":1}}"#,
        #"{"kind":"token","metadata":{"name":"t"},"spec":{"roles":["admin"],"expires":1}}"#,
    ]

    @Test(arguments: refused)
    func `what is wrong or unknown is refused`(text: String) {
        #expect(throws: (any Error).self) { try JSONText.decode(Resource.self, from: text) }
    }

    @Test func `an unknown key is named, with those that are known`() throws {
        do {
            _ = try JSONText.decode(Resource.self, from: Self.refused[3])
            Issue.record("accepted")
        } catch {
            let message = try #require(error as? TeleportError).message
            #expect(message.contains("pasword"))
            #expect(message.contains("logins"))
        }
    }

    @Test(arguments: [
        ("users", ResourceKind.user), ("node", .node), ("ca", .certificateAuthority), ("cert_authorities", .certificateAuthority),
    ])
    func `kinds as people type them`(typed: String, kind: ResourceKind) {
        #expect(ResourceKind(typed: typed) == kind)
    }

    @Test func `a token for clusters is used once whatever it says`() {
        #expect(ProvisionToken(name: "t", roles: [.trustedCluster], expires: UnixTime(seconds: 1), singleUse: false).singleUse)
    }
}
