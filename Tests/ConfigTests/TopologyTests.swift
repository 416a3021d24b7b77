import Base
import ClusterModel
import Config
import Testing

@Suite struct TopologyTests {
    /// The checkout that this file belongs to.
    static let root = realPath(#filePath).split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")

    static func plan(_ name: String, dataDir: String = "/data") throws -> TopologyPlan {
        TopologyPlan(
            try Topology(parsing: try readFile("\(root)/topologies/\(name).yaml"), file: name), dataDir: dataDir,
            randomness: SeededRandomness(seed: 1),
            now: UnixTime(seconds: 1_700_000_000))
    }

    static let pin = "sha256:" + String(repeating: "0a", count: 32)

    @Test(arguments: ["one-node", "two-sites", "three-sites", "behind-nat"])
    func `every host of every topology gets a file that a process can run with`(name: String) throws {
        let plan = try Self.plan(name)
        for host in plan.hosts {
            let text = host.configText(caPin: try CAPin(parsing: Self.pin))
            let config = try Config(file: try ConfigFile(parsing: text.bytes, file: host.configPath), hostname: "unused")
            #expect(Set(config.roles) == Set(host.roles))
            #expect(config.nodename == host.name)
            #expect(config.dataDir == host.directory)
            let auth = try #require(plan.hosts.first { $0.cluster == host.cluster && $0.servesAuth })
            if host.address == nil {
                #expect(config.authServers.isEmpty && config.proxyServer == HostPort(host: "127.0.1.1", port: 3080))
                #expect(config.node?.listen == nil)
            } else {
                #expect(config.authServers == [auth.listen(3025)] && config.proxyServer == nil)
            }
            if host.servesAuth {
                #expect(config.auth?.clusterName == host.cluster)
            } else {
                #expect(config.caPins.map(\.description) == [Self.pin])
                let authText = auth.configText(caPin: nil)
                let authConfig = try Config(file: try ConfigFile(parsing: authText.bytes, file: "auth"), hostname: "unused")
                #expect(authConfig.auth?.tokens.first?.value == config.authToken)
                #expect(authConfig.auth?.tokens.first?.roles == [.proxy, .node])
            }
            for listener in [
                config.auth?.listen, config.node?.listen, config.proxy?.listen, config.proxy?.webListen, config.proxy?.tunnelListen,
            ] {
                if let listener { #expect(listener.ip == host.address) }
            }
        }
    }

    @Test func `two sites are a hub and a leaf that dials it`() throws {
        let plan = try Self.plan("two-sites")
        let trust = try #require(plan.trusts.first)
        #expect(plan.trusts.count == 1)
        #expect((trust.root, trust.leaf) == ("hub", "east"))
        #expect(trust.token.roles == [.trustedCluster])
        #expect(trust.token.singleUse)
        #expect(trust.token.expires == UnixTime(seconds: 1_700_003_600))
        #expect(trust.trustedCluster.token == trust.token.name)
        #expect(trust.trustedCluster.name == "hub")
        #expect(trust.trustedCluster.webProxyAddr == "127.0.1.1:3080")
        #expect(trust.trustedCluster.tunnelAddr == "127.0.1.1:3024")
        #expect(trust.trustedCluster.roleMap.map(["access"]) == ["access"])
        try ProvisionToken.checkValue(trust.token.name)
    }

    @Test func `the summary has the keys that scripts rely on`() throws {
        let plan = try Self.plan("two-sites")
        #expect(plan.summaryPath == "/data/topology.json")
        #expect(try JSONText.decode(TopologySummary.self, from: try plan.summaryText()) == plan.summary)
        let json = try JSONText.encode(plan.summary.clusters[1])
        #expect(
            json == #"{"auth":"127.0.2.2:3025","config":"/data/east/auth/teleport.yaml","hosts":["#
                + #"{"config":"/data/east/proxy/teleport.yaml","name":"proxy","roles":["proxy"]},"#
                + #"{"config":"/data/east/auth/teleport.yaml","name":"auth","roles":["auth"]},"#
                + #"{"config":"/data/east/db1/teleport.yaml","name":"db1","roles":["node"]},"#
                + #"{"config":"/data/east/db2/teleport.yaml","name":"db2","roles":["node"]}],"name":"east","#
                + #""nodes":[{"addr":"127.0.2.3:3022","name":"db1"},{"addr":"127.0.2.4:3022","name":"db2"}],"#
                + #""proxies":[{"host":"proxy","ssh":"127.0.2.1:3023","tunnel":"127.0.2.1:3024","web":"127.0.2.1:3080"}],"root":false}"#)
        #expect(plan.summary.clusters[0].root)
    }

    @Test func `three sites have nodes of the same names`() throws {
        let summary = try Self.plan("three-sites").summary
        #expect(summary.clusters.map { $0.nodes.map(\.name) } == [["web1"], ["db1", "db2"], ["db1", "db2"]])
        #expect(summary.clusters.map(\.root) == [true, false, false])
    }

    @Test func `a host that is to be watched serves its diagnostics at its address, and the summary says where`() throws {
        let plan = try Self.plan("three-sites")
        for host in plan.hosts {
            let config = try Config(
                file: try ConfigFile(parsing: host.configText(caPin: try CAPin(parsing: Self.pin)).bytes, file: "t"), hostname: "unused")
            #expect(config.diagnostics == (host.roles.contains(.proxy) ? SocketAddress("\(host.listen(3000))") : nil))
        }
        #expect(plan.summary.clusters[0].hosts.map(\.diag) == ["127.0.1.1:3000", nil, nil])
        #expect(try JSONText.decode(TopologySummary.self, from: try plan.summaryText()) == plan.summary)
    }

    @Test func `a host without an address is a node that knows its proxy alone`() throws {
        let plan = try Self.plan("behind-nat")
        #expect(
            try JSONText.encode(plan.summary.clusters[0].nodes)
                == #"[{"addr":"127.0.1.3:3022","name":"web1"},{"addr":"","name":"cam1"}]"#)
        let text = try #require(plan.hosts.last).configText(caPin: try CAPin(parsing: Self.pin))
        #expect(!text.contains("127.0.1.2") && !text.contains("listen_addr"))
    }

    @Test func `users of a cluster are made with a role to begin with`() throws {
        let text = """
            clusters:
              - name: hub
                hosts: [{name: a, address: 127.0.1.1, roles: [auth]}]
                users: [{name: alice, logins: [root]}, {name: bob, logins: [], roles: [admin]}]
            """
        let plan = TopologyPlan(
            try Topology(parsing: text.bytes, file: "t.yaml"), dataDir: "/d", randomness: SeededRandomness(seed: 1),
            now: UnixTime(seconds: 0))
        #expect(plan.users.map(\.cluster) == ["hub", "hub"])
        #expect(
            plan.users.map(\.user) == [
                User(name: "alice", roles: ["access"], logins: ["root"]), User(name: "bob", roles: ["admin"], logins: []),
            ])
    }

    @Test func `an OpenSSH site has an sshd for each host, and an agent that reaches these alone`() throws {
        let plan = try Self.plan("openssh-site")
        #expect(plan.hosts.map(\.cluster) == ["hub", "hub", "hub"])
        let site = try #require(plan.sites.first)
        #expect(site.name == "branch" && site.hub == "hub" && plan.sites.count == 1)
        #expect(site.agentArguments == ["-F", "/data/branch/ssh_config", "-N", "-R", "0", "branch-agent"])
        for line in ["HostName 127.0.1.1", "Port 3024", "User branch", "PermitRemoteOpen 127.0.3.1:3022 127.0.3.2:3022"] {
            #expect(site.agentConfigText.contains("    \(line)\n"), "\(line)")
        }
        #expect(site.hosts[0].configText.contains("ListenAddress 127.0.3.1:3022\nPidFile /data/branch/db1/sshd.pid\n"))
        let resource = site.resource(hostKeys: ["db1": "key"])
        #expect(resource.nodes.map(\.addr) == ["127.0.3.1:3022", "127.0.3.2:3022"] && resource.nodes.map(\.hostKeys) == [["key"], []])
        #expect(resource.nodes[0].labels == ["env": "prod", "role": "db"])
        #expect(
            try JSONText.encode(plan.summary.clusters[1])
                == #"{"auth":"","config":"","hosts":[{"config":"/data/branch/db1/sshd_config","name":"db1","roles":[]},"#
                + #"{"config":"/data/branch/db2/sshd_config","name":"db2","roles":[]}],"name":"branch","#
                + #""nodes":[{"addr":"127.0.3.1:3022","name":"db1"},{"addr":"127.0.3.2:3022","name":"db2"}],"proxies":[],"root":false}"#)
    }

    static let hub = "clusters:\n  - name: hub\n    hosts:\n      - {name: a, address: 127.0.1.1, roles: [auth, proxy]}\n"
    static let refused = [
        Refused("", "t.yaml: no topology is in it"),
        Refused("clusters: []\n", "t.yaml: clusters: a topology has at least one"),
        Refused("clusters:\n  - name: hub\n", "t.yaml:2: clusters[0]: the key hosts is missing"),
        Refused(
            "clusters:\n  - name: Hub\n    hosts: []\n",
            "t.yaml:2: clusters[0].name: cluster name \"Hub\" may have only lower-case letters, digits, '-' and '.'"),
        Refused(
            "clusters:\n  - name: hub\n    hosts: []\n", "t.yaml:2: clusters[0]: cluster hub has 0 hosts with the role auth, and needs one"),
        Refused(
            "clusters:\n  - name: hub\n    hosts:\n      - {name: a, address: here, roles: [auth]}\n",
            "t.yaml:4: clusters[0].hosts[0].address: \"here\" is not the IP address of a host, such as 127.0.1.1"),
        Refused(
            "clusters:\n  - name: hub\n    hosts:\n      - {name: a, address: 127.0.1.1, roles: [auht]}\n",
            "t.yaml:4: clusters[0].hosts[0].roles[0]: \"auht\" is none of auth, proxy, node"),
        Refused(
            hub + "      - {name: a, address: 127.0.1.2, roles: [node]}\n",
            "t.yaml:5: clusters[0].hosts[1]: a second host of the cluster is called a"),
        Refused(
            hub + "      - {name: b, address: 127.0.1.1, roles: [proxy]}\n",
            "t.yaml:5: clusters[0].hosts[1]: hub/a has the role proxy on the same address 127.0.1.1"),
        Refused(
            hub + "      - {name: b, address: 127.0.1.2, roles: []}\n",
            "t.yaml:5: clusters[0].hosts[1]: roles: each host has one or more, each once"),
        Refused(
            hub + "      - {name: b, roles: [node, proxy]}\n",
            "t.yaml:5: clusters[0].hosts[1]: address: only a node may go without: it stands behind a firewall then, and dials the cluster's "
                + "proxy"),
        Refused(
            "clusters:\n  - name: hub\n    hosts:\n      - {name: a, address: 127.0.1.1, roles: [auth]}\n      - {name: b, roles: [node]}\n",
            "t.yaml:5: clusters[0].hosts[1]: address: cluster hub has no host with the role proxy for the node to dial"),
        Refused(
            hub + "      - {name: b, roles: [node], diagnostics: yes}\n",
            "t.yaml:5: clusters[0].hosts[1]: diagnostics: a host without an address serves none"),
        Refused(
            hub + "  - {name: branch, openssh_site_of: hub, hosts: [{name: a}]}\n",
            "t.yaml:5: clusters[1].hosts[0]: address: only a node may go without: it stands behind a firewall then, and dials the cluster's "
                + "proxy"),
        Refused(
            hub + "  - name: hub\n    hosts: [{name: a, address: 127.0.2.1, roles: [auth]}]\n",
            "t.yaml:5: clusters[1]: a second cluster is called hub"),
        Refused(
            hub + "  - {name: branch, openssh_site_of: west, hosts: []}\n",
            "t.yaml:5: clusters[1]: openssh_site_of: there is no cluster \"west\""),
        Refused(
            hub + "  - {name: branch, openssh_site_of: branch, hosts: []}\n",
            "t.yaml:5: clusters[1]: openssh_site_of: there is no cluster \"branch\""),
        Refused(
            hub + "  - name: branch\n    openssh_site_of: hub\n    hosts: [{name: a, address: 127.0.2.1, roles: [node]}]\n",
            "t.yaml:7: clusters[1].hosts[0]: roles: a host of an OpenSSH site runs sshd and has none"),
        Refused(
            hub + "  - name: branch\n    openssh_site_of: hub\n    hosts: [{name: a, address: 127.0.2.1, diagnostics: yes}]\n",
            "t.yaml:7: clusters[1].hosts[0]: diagnostics: a host of an OpenSSH site runs sshd and has none"),
        Refused(
            hub + "  - name: branch\n    openssh_site_of: hub\n    hosts: []\n    users: []\n",
            "t.yaml:5: clusters[1]: an OpenSSH site has no users of its own: they are those of hub"),
        Refused(
            hub
                + "  - name: branch\n    openssh_site_of: hub\n    hosts:\n      - {name: a, address: 127.0.2.1}\n      - {name: b, address: 127.0.2.1}\n",
            "t.yaml:9: clusters[1].hosts[1]: branch/a has the role node on the same address 127.0.2.1"),
        Refused(hub + "trust:\n  - {leaf: east, root: hub, role_map: []}\n", "t.yaml:6: trust[0]: there is no cluster \"east\""),
        Refused(hub + "trust:\n  - {leaf: hub, root: hub, role_map: []}\n", "t.yaml:6: trust[0]: cluster hub cannot be a leaf of itself"),
        Refused(
            hub
                + "  - name: east\n    hosts: [{name: a, address: 127.0.2.1, roles: [auth]}]\ntrust:\n  - {leaf: east, root: hub, role_map: []}\n",
            "t.yaml:8: trust[0]: cluster east has no host with the role proxy, and a tunnel needs one at each end"),
        Refused(
            hub + "trust:\n  - leaf: hub\n    root: hub\n    role_map:\n      - {remote: \"*\", local: [admin]}\n",
            "t.yaml:9: trust[0].role_map: role_map: '*' may not give admin; name the remote role"),
        Refused(
            hub + "    users:\n      - {name: x, logins: [a b]}\n",
            "t.yaml:6: clusters[0].users[0]: login \"a b\" has characters that are not allowed"),
        Refused(
            hub + "    netns: x\n", "t.yaml:5: clusters[0].netns: unknown key; known here: name, hosts, users, openssh_site_of"),
    ]

    @Test(arguments: refused)
    func `a topology that cannot be is refused by line and path`(vector: Refused) {
        let text = message { () throws(TeleportError) in _ = try Topology(parsing: vector.text.bytes, file: "t.yaml") }
        #expect(text == vector.message)
    }
}

@Suite struct ExamplesTests {
    static func read(_ name: String) throws -> [UInt8] {
        try readFile("\(TopologyTests.root)/examples/\(name)")
    }

    @Test(arguments: [("embedded.yaml", "hub", [ServiceRole.auth, .proxy, .node]), ("leaf.yaml", "east", [.auth, .proxy])])
    func `an example is a file that a process can run with`(name: String, cluster: String, roles: [ServiceRole]) throws {
        let config = try Config(file: try ConfigFile(parsing: try Self.read(name), file: name), hostname: "unused")
        #expect(config.auth?.clusterName == cluster)
        #expect(config.roles == roles)
    }

    @Test func `the node behind a firewall of the example dials its proxy`() throws {
        let config = try Config(file: try ConfigFile(parsing: try Self.read("behind_nat.yaml"), file: "behind_nat.yaml"), hostname: "h")
        #expect(config.roles == [.node] && config.node?.listen == nil)
        #expect(config.proxyServer == HostPort(host: "hub.example.com", port: 3080))
        #expect(config.caPins.count == 1 && config.authToken != nil)
    }

    @Test func `the trusted cluster of the example is one`() throws {
        let resources = try ResourceYAML.resources(try Self.read("trusted_cluster.yaml"), file: "trusted_cluster.yaml")
        guard case .trustedCluster(let trusted) = resources.first else { Issue.record("another kind"); return }
        #expect(resources.count == 1)
        #expect(trusted.name == "hub")
        _ = try CAPin(parsing: trusted.caPin)
        try ProvisionToken.checkValue(trusted.token)
    }

    @Test func `the OpenSSH site of the example is one`() throws {
        let resources = try ResourceYAML.resources(try Self.read("openssh/openssh_site.yaml"), file: "openssh_site.yaml")
        guard case .opensshSite(let site) = resources.first else { Issue.record("another kind"); return }
        #expect(resources.count == 1)
        #expect(site.name == "branch" && site.nodes.map(\.name) == ["db1", "db2"] && site.nodes.map(\.hostKeys.count) == [0, 1])
        // What the hub may list and what the site permits are the same places.
        let agent = String(decoding: try Self.read("openssh/agent_config"), as: UTF8.self)
        #expect(agent.contains("PermitRemoteOpen \(site.nodes.map(\.addr).joined(separator: " "))\n"))
    }
}
