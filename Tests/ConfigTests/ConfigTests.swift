import Base
import ClusterModel
import Config
import Testing

@Suite struct ConfigFileTests {
    static let refused = [
        Refused("telport: {}\n", "teleport.yaml:1: telport: unknown key; known here: teleport, auth_service, ssh_service, proxy_service"),
        Refused(
            "teleport:\n  log:\n    level: info\n", "teleport.yaml:3: teleport.log.level: unknown key; known here: output, severity, format"
        ),
        Refused("auth_service:\n  enabled: perhaps\n", "teleport.yaml:2: auth_service.enabled: yes or no is expected, found \"perhaps\""),
        Refused(
            "ssh_service:\n  listen_addr: db1:3022\n",
            "teleport.yaml:2: ssh_service.listen_addr: \"db1:3022\" is not an IP address and port to listen on, such as 0.0.0.0:3022"),
        Refused(
            "ssh_service:\n  listen_addr: 1.2.3.4:99999\n", "teleport.yaml:2: ssh_service.listen_addr: \"1.2.3.4:99999\" is not HOST:PORT"),
        Refused(
            "proxy_service:\n  public_addr: [a.example, b c]\n",
            "teleport.yaml:2: proxy_service.public_addr[1]: node name \"b c\" may have only letters, digits, '-' and '.'"),
        Refused(
            "proxy_service:\n  public_addr: a.example:0\n",
            "teleport.yaml:2: proxy_service.public_addr: \"a.example:0\": nothing can be reached at port 0"),
        Refused(
            "teleport:\n  connection_limits:\n    max_connections: 0\n",
            "teleport.yaml:3: teleport.connection_limits.max_connections: a number above 0 is expected, found 0"),
        Refused(
            "teleport:\n  connection_limits:\n    authentication_deadline: 30\n",
            "teleport.yaml:3: teleport.connection_limits.authentication_deadline: \"30\" is not a duration such as 30s, 15m, 12h or 1h30m"),
        Refused(
            "teleport:\n  ca_pin: sha256:abc\n",
            "teleport.yaml:2: teleport.ca_pin: the pin \"sha256:abc\" is not sha256: and 64 hexadecimal digits, as `tctl status` prints it"),
        Refused(
            "teleport:\n  log:\n    severity: loud\n",
            "teleport.yaml:3: teleport.log.severity: severity \"loud\" is none of trace, debug, info, warning, error"),
        Refused("teleport:\n  log:\n    format: xml\n", "teleport.yaml:3: teleport.log.format: \"xml\" is none of text, json"),
        Refused(
            "teleport:\n  log:\n    output: log.txt\n",
            "teleport.yaml:3: teleport.log.output: \"log.txt\" is none of stderr, stdout, or the path of a file from /"),
        Refused(
            "auth_service:\n  tokens: [0123456789abcdef]\n",
            "teleport.yaml:2: auth_service.tokens[0]: a token is written as ROLE[,ROLE…]:SECRET"),
        Refused(
            "auth_service:\n  tokens:\n  - \"nod:0123456789abcdef\"\n",
            "teleport.yaml:3: auth_service.tokens[0]: the token's role \"nod\" is none of node, proxy, auth, trusted_cluster"),
        Refused("auth_service:\n  tokens: [\"node:short\"]\n", "teleport.yaml:2: auth_service.tokens[0]: a token has 16 to 128 characters"),
    ]

    @Test(arguments: refused)
    func `every error names path and line`(vector: Refused) {
        let text = message { () throws(TeleportError) in _ = try ConfigFile(parsing: vector.text.bytes, file: "teleport.yaml") }
        #expect(text == vector.message)
    }
}

extension ConfigFileTests {
    @Test func `a file that is not there is nothing, unless it was asked for`() throws {
        func missing(_ path: String) throws(TeleportError) -> [UInt8] { throw .notFound("there is no \(path)") }
        #expect(try ConfigFile.load(nil, read: missing) == ConfigFile())
        #expect(message { () throws(TeleportError) in _ = try ConfigFile.load("/x.yaml", read: missing) } == "there is no /x.yaml")
        let wrong = message { () throws(TeleportError) in _ = try ConfigFile.load(nil) { _ in "x: 1\n".bytes } }
        #expect(wrong?.hasPrefix("/etc/teleport.yaml:1: x: unknown key") == true)
    }
}

@Suite struct ConfigTests {
    static func config(_ text: String, _ overrides: ConfigOverrides = ConfigOverrides()) throws(TeleportError) -> Config {
        try Config(file: try ConfigFile(parsing: text.bytes, file: "teleport.yaml"), overrides: overrides, hostname: "Host-1.example")
    }

    @Test func `without file and flags all three services run with the defaults`() throws {
        let config = try Config(hostname: "Host-1.example")
        #expect(config.roles == [.auth, .proxy, .node])
        #expect(config.nodename == "Host-1.example")
        #expect(config.dataDir == "/var/lib/teleport")
        #expect(config.authServers == [HostPort(host: "127.0.0.1", port: 3025)])
        #expect(config.auth?.clusterName == "host-1.example")
        #expect(config.auth?.listen.description == "0.0.0.0:3025")
        #expect(config.node?.listen?.description == "0.0.0.0:3022")
        #expect(config.proxy?.listen.description == "0.0.0.0:3023")
        #expect(config.proxy?.tunnelListen.description == "0.0.0.0:3024")
        #expect(config.proxy?.webListen.description == "0.0.0.0:3080")
        #expect((config.log.output, config.log.severity, config.log.format) == (.standardError, .info, .text))
        #expect(config.diagnostics == nil)
    }

    @Test func `who names another auth server runs none, unless the file has one`() throws {
        let flags = try ConfigOverrides(authServer: "auth.example")
        #expect(try Config(overrides: flags, hostname: "h").roles == [.proxy, .node])
        #expect(try Self.config("teleport: {auth_servers: [auth.example]}\n").roles == [.proxy, .node])
        #expect(try Self.config("auth_service: {cluster_name: hub}\n", flags).roles == [.auth, .proxy, .node])
        #expect(try Config(overrides: try ConfigOverrides(roles: "auth", authServer: "auth.example"), hostname: "h").roles == [.auth])
    }

    @Test func `a host whose name is none gets one that works`() throws {
        let config = try Config(hostname: "")
        #expect(config.nodename == "localhost")
        #expect(config.auth?.clusterName == "localhost")
    }

    @Test func `the file is read as it says`() throws {
        let pin = "sha256:" + String(repeating: "0a", count: 32)
        let config = try Self.config(
            """
            teleport:
              nodename: db1
              data_dir: /srv/teleport
              pid_file: /run/teleport.pid
              auth_token: 0123456789abcdef
              auth_servers: [auth.example, "10.0.0.1:4025", "::1", "[::2]:4025"]
              ca_pin: \(pin)
              advertise_ip: 10.0.0.9
              diag_addr: 127.0.0.1
              log: {output: /var/log/teleport.log, severity: WARN, format: json}
              connection_limits: {max_connections: 10, max_per_address: 5, max_unauthenticated: 3, authentication_deadline: 1m30s}
            auth_service: {enabled: no}
            ssh_service:
              listen_addr: 10.0.0.2
              public_addr: db1.example
              labels: {env: prod, on: no}
            proxy_service:
              enabled: off
            """)
        #expect(config.roles == [.node])
        #expect(config.authServers.map(\.description) == ["auth.example:3025", "10.0.0.1:4025", "[::1]:3025", "[::2]:4025"])
        #expect(config.caPins.map(\.description) == [pin])
        #expect(config.diagnostics?.description == "127.0.0.1:3000")
        #expect((config.log.output, config.log.severity, config.log.format) == (.file("/var/log/teleport.log"), .warning, .json))
        #expect((config.limits.maxConnections, config.limits.maxPerAddress, config.limits.maxUnauthenticated) == (10, 5, 3))
        #expect(config.limits.authenticationDeadline == .seconds(90))
        #expect(config.node?.listen?.description == "10.0.0.2:3022")
        #expect(config.node?.publicAddresses == [HostPort(host: "db1.example", port: 3022)])
        #expect(config.node?.labels == ["env": "prod", "on": "no"])
        #expect(config.pidFile == "/run/teleport.pid")
        #expect(config.authToken == "0123456789abcdef")
    }

    @Test func `flags go over the file`() throws {
        let pin = "sha256:" + String(repeating: "0a", count: 32)
        let flags = try ConfigOverrides(
            roles: "node,proxy", authServer: "auth.example", token: "fedcba9876543210", caPin: pin, nodename: "other",
            labels: "env=test,x=y",
            dataDir: "/tmp/d", listenIP: "127.0.0.5", advertiseIP: "10.1.1.1", pidFile: "/tmp/pid",
            diagAddr: "127.0.0.9:1234", debug: true)
        let config = try Self.config(
            """
            teleport: {nodename: db1, auth_token: 0123456789abcdef, auth_servers: [a.example], log: {severity: error}}
            auth_service: {enabled: yes}
            ssh_service: {enabled: no, listen_addr: "0.0.0.0:4022", labels: {env: prod, z: z}}
            """, flags)
        #expect(config.roles == [.proxy, .node])
        #expect(config.nodename == "other")
        #expect(config.authServers.map(\.description) == ["auth.example:3025"])
        #expect(config.authToken == "fedcba9876543210")
        #expect(config.node?.listen?.description == "127.0.0.5:4022")
        #expect(config.proxy?.webListen.description == "127.0.0.5:3080")
        #expect(config.node?.labels == ["env": "test", "x": "y", "z": "z"])
        #expect(config.log.severity == .debug)
        #expect(config.dataDir == "/tmp/d")
        #expect(config.pidFile == "/tmp/pid")
        #expect(config.diagnostics?.description == "127.0.0.9:1234")
        #expect(try Self.config("", try ConfigOverrides(diagAddr: "localhost")).diagnostics?.description == "127.0.0.1:3000")
        #expect(config.announced(try #require(config.node?.listen), public: []) == HostPort(host: "10.1.1.1", port: 4022))
    }

    @Test(arguments: [
        (ConfigFlag.roles, "auth,nod", "--roles: role \"nod\" is none of auth, proxy, node"),
        (.roles, "auth,auth", "--roles: role auth is given twice"),
        (.authServer, "a b", "--auth-server: node name \"a b\" may have only letters, digits, '-' and '.'"),
        (.caPin, "abc", "--ca-pin: the pin \"abc\" is not sha256: and 64 hexadecimal digits, as `tctl status` prints it"),
        (.labels, "env", "--labels: label \"env\" is not KEY=VALUE"), (.listenIP, "host", "--listen-ip: \"host\" is not an IP address"),
        (.diagAddr, "host:1", "--diag-addr: \"host:1\" is not an IP address and port to listen on, such as 0.0.0.0:3022"),
    ])
    func `a wrong flag is named`(flag: ConfigFlag, value: String, expected: String) {
        let text = message { () throws(TeleportError) in
            _ = try ConfigOverrides(
                roles: flag == .roles ? value : nil, authServer: flag == .authServer ? value : nil, caPin: flag == .caPin ? value : nil,
                labels: flag == .labels ? value : nil, listenIP: flag == .listenIP ? value : nil, diagAddr: flag == .diagAddr ? value : nil)
        }
        #expect(text == expected)
    }

    enum ConfigFlag: Sendable { case roles, authServer, caPin, labels, listenIP, diagAddr }

    private static let twoWays =
        "--proxy and --auth-server (teleport.proxy_server and teleport.auth_servers) are two ways into a cluster: a host that reaches the auth "
        + "server needs no tunnel, and one that does not has no use for its address; leave one out"
    private static let nodeOnly =
        "a host that dials a proxy (--proxy, teleport.proxy_server) can only be a node: auth servers and proxies have to be reached by others; "
        + "use --roles=node, or disable auth_service and proxy_service"
    private static let noUse =
        " has no use beside --proxy or teleport.proxy_server: the node listens nowhere, and is reached through its tunnel alone"

    @Test func `who names a proxy is a node that dials it`() throws {
        let flags = try ConfigOverrides(proxy: "proxy.example", token: "0123456789abcdef")
        let config = try Config(overrides: flags, hostname: "h")
        #expect(config.roles == [.node])
        #expect(config.proxyServer == HostPort(host: "proxy.example", port: 3080))
        #expect(config.node?.listen == nil && config.authServers.isEmpty)
        let file = try Self.config("teleport: {proxy_server: \"10.0.0.1:443\"}\nssh_service: {labels: {env: prod}}\n")
        #expect(file.roles == [.node] && file.node?.labels == ["env": "prod"])
        #expect(file.proxyServer == HostPort(host: "10.0.0.1", port: 443))
        #expect(try Self.config("teleport: {proxy_server: \"10.0.0.1:443\"}\n", flags).proxyServer == flags.proxyServer)
        // Disabled by the flag, whatever the file says.
        let disabled = try ConfigOverrides(roles: "node", proxy: "proxy.example")
        #expect(try Self.config("auth_service: {enabled: yes}\nproxy_service: {enabled: yes}\n", disabled).roles == [.node])
    }

    @Test func `flags that contradict a proxy are named`() {
        func refusal(_ flags: ConfigOverrides?, _ text: String = "") -> String? {
            guard let flags else { return nil }
            return message { () throws(TeleportError) in _ = try Self.config(text, flags) }
        }
        #expect(refusal(try? ConfigOverrides(authServer: "a", proxy: "p")) == Self.twoWays)
        #expect(refusal(try? ConfigOverrides(authServer: "a"), "teleport: {proxy_server: p}\n") == Self.twoWays)
        for roles in ["auth,node", "proxy,node", "auth", "proxy"] {
            #expect(refusal(try? ConfigOverrides(roles: roles, proxy: "p")) == Self.nodeOnly, "\(roles)")
        }
        let longest = "/" + String(repeating: "d", count: 96)
        #expect(refusal(try? ConfigOverrides(proxy: "p", dataDir: longest)) == nil)
        #expect(
            refusal(try? ConfigOverrides(proxy: "p", dataDir: longest + "d"))
                == "teleport.data_dir is longer than 97 bytes, and a node that dials a proxy has a unix socket there")
        #expect(refusal(try? ConfigOverrides(authServer: "a", dataDir: longest + "d")) == nil)
        #expect(refusal(try? ConfigOverrides(proxy: "p", listenIP: "10.0.0.1")) == "--listen-ip" + Self.noUse)
        #expect(refusal(try? ConfigOverrides(proxy: "p", advertiseIP: "10.0.0.1")) == "--advertise-ip" + Self.noUse)
        #expect(
            message { () throws(TeleportError) in _ = try ConfigOverrides(proxy: "a b") }
                == "--proxy: node name \"a b\" may have only letters, digits, '-' and '.'")
    }

    static let contradictions = [
        Refused(
            "auth_service: {enabled: no}\nssh_service: {enabled: no}\nproxy_service: {enabled: no}\n",
            "no service is enabled: enable auth_service, proxy_service or ssh_service, or name them with --roles"),
        Refused(
            "auth_service: {enabled: no}\n",
            "no auth server is known: name one in teleport.auth_servers or with --auth-server, or for a node that reaches none a proxy "
                + "in teleport.proxy_server or with --proxy, or enable auth_service here"),
        Refused("proxy_service: {https_key_file: /k}\n", "proxy_service.https_key_file is given without https_cert_file"),
        Refused("proxy_service: {https_cert_file: /k}\n", "proxy_service.https_cert_file is given without https_key_file"),
        Refused(
            "ssh_service: {listen_addr: \"127.0.0.1:3023\"}\n",
            "ssh_service.listen_addr and proxy_service.listen_addr are both 0.0.0.0:3023"),
        Refused("auth_service: {cluster_name: Hub}\n", "cluster name \"Hub\" may have only lower-case letters, digits, '-' and '.'"),
        Refused("teleport: {nodename: a b}\n", "node name \"a b\" may have only letters, digits, '-' and '.'"),
        Refused("teleport: {advertise_ip: 0.0.0.0}\n", "teleport.advertise_ip: \"0.0.0.0\" is not the IP address of a host"),
        Refused("teleport: {auth_token: \"\"}\n", "teleport.auth_token is empty or has characters that no token has"),
        Refused(
            "teleport: {auth_token: 0123456789abcdef}\n",
            "a token joins a cluster that exists, and this process would start its own: name that cluster's auth server with "
                + "--auth-server or in teleport.auth_servers, or its proxy with --proxy or in teleport.proxy_server, or leave the token out"
        ),
        Refused("teleport: {proxy_server: p, auth_servers: [a]}\n", twoWays),
        Refused("teleport: {proxy_server: p}\nauth_service: {enabled: yes}\n", nodeOnly),
        Refused("teleport: {proxy_server: p}\nauth_service: {cluster_name: hub}\n", nodeOnly),
        Refused("teleport: {proxy_server: p}\nproxy_service: {enabled: yes}\n", nodeOnly),
        Refused("teleport: {proxy_server: p}\nssh_service: {listen_addr: 10.0.0.1}\n", "ssh_service.listen_addr" + noUse),
        Refused("teleport: {proxy_server: p}\nssh_service: {public_addr: db1.example}\n", "ssh_service.public_addr" + noUse),
        Refused("teleport: {proxy_server: p, advertise_ip: 10.0.0.1}\n", "teleport.advertise_ip" + noUse),
    ]

    @Test(arguments: contradictions)
    func `keys that contradict each other are named`(vector: Refused) {
        #expect(message { () throws(TeleportError) in _ = try Self.config(vector.text) } == vector.message)
    }

    @Test func `a service is announced where it can be reached`() throws {
        let config = try Self.config("proxy_service: {public_addr: [p.example], listen_addr: 10.0.0.1}\n")
        let proxy = try #require(config.proxy)
        #expect(config.announced(proxy.webListen, public: proxy.publicAddresses) == HostPort(host: "p.example", port: 3080))
        #expect(config.announced(proxy.listen, public: proxy.sshPublicAddresses) == HostPort(host: "10.0.0.1", port: 3023))
        #expect(config.announced(proxy.tunnelListen, public: []) == nil)
    }

    @Test func `the sample is a file that works, and its comments are the defaults`() throws {
        let config = try Self.config(ConfigSample.text)
        var defaults = try Config(hostname: "node1")
        defaults.auth?.clusterName = "example"
        defaults.node?.labels = ["env": "example"]
        #expect(config == defaults)

        // Each commented key, too.
        let lines = ConfigSample.text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let text = line.drop { $0 == " " }
            let isKey = text.hasPrefix("#") && text.contains(/^# +(-|[a-z_]+:( |$))/)
            return isKey ? String(repeating: " ", count: line.count - text.count) + text.dropFirst(2) : String(line)
        }
        _ = try ConfigFile(parsing: lines.joined(separator: "\n").bytes, file: "teleport.yaml")
        // A host has one of two ways into its cluster.
        let full = try Self.config(lines.filter { !$0.contains("proxy_server:") }.joined(separator: "\n"))
        #expect(full.proxy?.https != nil)
        #expect(full.auth?.tokens.first?.roles == [.node, .proxy])
        #expect(full.caPins.count == 1)
        #expect(full.diagnostics != nil)
    }
}
