import Base
import ClusterModel
import SSHWire
import Testing

@Suite("openssh_site")
struct OpenSSHSiteTests {
    static let key = ResourceTests.key

    @Test func `a site as people write it`() throws {
        let text = """
            {"kind":"openssh_site","version":"v1","metadata":{"name":"branch"},"spec":{"nodes":[
            {"name":"db1","addr":"10.1.0.5:22","labels":{"env":"prod"},"host_keys":["\(Self.key)"]},{"name":"db2","addr":"db2.lan:2222"}]}}
            """
        guard case .opensshSite(let site) = try JSONText.decode(Resource.self, from: text) else {
            Issue.record("another kind")
            return
        }
        #expect(site.nodes.map(\.addr) == ["10.1.0.5:22", "db2.lan:2222"])
        #expect(site.nodes[0].labels == ["env": "prod"] && site.nodes[1].hostKeys.isEmpty && site.hostAuthority == nil)
    }

    private static func spec(_ nodes: String, name: String = "branch", more: String = "") -> String {
        #"{"kind":"openssh_site","metadata":{"name":"\#(name)"},"spec":{"nodes":[\#(nodes)]\#(more)}}"#
    }

    static let refused = [
        spec("", name: "Branch"), spec("", name: "../x"), spec("", name: ""), spec(#"{"name":"db1"}"#), spec(#"{"addr":"10.1.0.5:22"}"#),
        spec(#"{"name":"db1","addr":"10.1.0.5"}"#), spec(#"{"name":"db1","addr":"10.1.0.5:0"}"#),
        spec(#"{"name":"db1","addr":"10.1.0.5:22","user":"x"}"#), spec(#"{"name":"db 1","addr":"10.1.0.5:22"}"#),
        spec(#"{"name":"db1","addr":"10.1.0.5:22"},{"name":"DB1","addr":"10.1.0.6:22"}"#),
        spec(#"{"name":"db1","addr":"10.1.0.5:22"},{"name":"db2","addr":"10.1.0.5:22"}"#),
        spec(#"{"name":"db1","addr":"10.1.0.5:22","host_keys":["ssh-ed25519 nonsense"]}"#),
        spec("", more: #","host_authorities":["nonsense"]"#), spec("", more: #","agent":"x""#),
        #"{"kind":"openssh_site","metadata":{"name":"branch"},"spec":{}}"#,
    ]

    @Test(arguments: refused)
    func `anything else is refused`(text: String) {
        #expect(throws: (any Error).self) { try JSONText.decode(Resource.self, from: text) }
    }

    @Test func `more nodes than a snapshot should carry are refused`() throws {
        var site = OpenSSHSite(
            name: "branch",
            nodes: (0..<OpenSSHSite.nodesMax).map { OpenSSHSite.Host(name: "n\($0)", addr: "10.1.\($0 / 250).\($0 % 250):22") })
        try site.check()
        site.nodes.append(OpenSSHSite.Host(name: "more", addr: "10.2.0.1:22"))
        #expect(throws: TeleportError.self) { try site.check() }
    }

    private let site = OpenSSHSite(
        name: "branch",
        nodes: [
            OpenSSHSite.Host(name: "db1", addr: "10.1.0.5:22", labels: ["env": "prod"], hostKeys: [key]),
            OpenSSHSite.Host(name: "db2", addr: "10.1.0.6:2222"),
        ])

    @Test func `known_hosts names a host as people do, and never as a proxy`() throws {
        let lines = site.knownHosts(reserved: ["10.1.0.5"])
        #expect(lines.map(\.line) == ["db1.branch,[db1.branch]:*,db1,[db1]:*,10.1.0.5.branch,[10.1.0.5.branch]:* \(Self.key) db1.branch"])
        let known = KnownHosts(text: lines.map { $0.line + "\n" }.joined())
        for (host, port): (String, UInt16) in [("db1.branch", 22), ("db1.branch", 3022), ("db1", 22), ("10.1.0.5.branch", 22)] {
            #expect(known.hostKeys(host: host, port: port).count == 1, "\(host):\(port)")
        }
        for host in ["db2.branch", "10.1.0.5", "db1.east", "branch"] { #expect(known.hostKeys(host: host).isEmpty, "\(host)") }
        #expect(site.knownHosts { $0.labels["env"] == "dev" }.isEmpty)
    }

    @Test func `the site's own authority counts for its listed hosts alone`() throws {
        var signed = site
        signed.hostAuthorities = [Self.key]
        let known = KnownHosts(text: signed.knownHosts().map { $0.line + "\n" }.joined())
        for host in ["db1.branch", "db2.branch", "db2", "10.1.0.6"] { #expect(known.authorities(host: host).count == 1, "\(host)") }
        for host in ["db3.branch", "db1.east", "proxy"] { #expect(known.authorities(host: host).isEmpty, "\(host)") }
    }

    @Test func `in a snapshot it is a cluster of its own, unless another cluster has the name`() throws {
        let authority = CertificateAuthority(type: .host, cluster: "east", publicKeys: [Self.key])
        let sites = ["branch", "east", "hub", "west"].map { OpenSSHSite(name: $0, nodes: site.nodes) }
        let snapshot = ClusterSnapshot(
            ClusterState(
                clusterName: "hub", authorities: [authority], roles: Role.defaults, remoteClusters: [RemoteCluster(name: "west")],
                opensshSites: sites))
        #expect(snapshot.opensshSites.keys.sorted() == ["branch"])
        #expect(
            snapshot.siteNames == ["branch", "east"] && snapshot.isSite("branch") && snapshot.isSite("east") && !snapshot.isSite("hub"))
        let branch = try #require(snapshot.opensshSites["branch"])
        #expect(try branch.node(host: "DB1", port: 22).addr == "10.1.0.5:22")
        #expect(try branch.node(host: "10.1.0.6").hostname == "db2")
        #expect(throws: TeleportError.self) { try branch.node(host: "db1", port: 23) }
    }
}
