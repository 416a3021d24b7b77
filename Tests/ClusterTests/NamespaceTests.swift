import Base
import ClusterHarness
import ClusterModel
import Config
import Crypto
import EventLoop
import Testing

@Suite("Two sites that see of each other only what the tunnel needs", .serialized, .timeLimit(.minutes(5)))
struct NamespaceTests {
    @Test(
        .enabled("needs root, iproute2 and a kernel with network namespaces, veth and policy routing") {
            try await SeparateNetworks.arePossible()
        })
    func `everything goes through the tunnel where nothing else is let through`() async throws {
        let networks = try await SeparateNetworks()
        do {
            try await networks.begin()
            try await check(networks)
        } catch {
            await networks.end()
            throw error
        }
        await networks.end()
    }

    @Test(
        .enabled("needs root, iproute2 and a kernel with network namespaces, veth and policy routing") {
            try await SeparateNetworks.arePossible()
        })
    func `a node from which nothing but the proxy can be reached is a node like any other`() async throws {
        let networks = try await SeparateNetworks()
        do {
            try await networks.begin()
            try await checkNode(networks)
        } catch {
            await networks.end()
            throw error
        }
        await networks.end()
    }

    private func checkNode(_ networks: SeparateNetworks) async throws {
        let cluster = try await SeparateClusters(networks, "behind-nat")
        try await cluster.start(until: "root@cam1")
        try await expectNothingButTheProxy(cluster)
        let input = [UInt8](repeating: 0x61, count: 1 << 20) + [0x0A]
        let config = cluster.sshConfig
        let proxyCommand = "ProxyCommand=/usr/bin/ssh -F \(config) -p 3023 %r@\(cluster.proxy) -s proxy:%h:%p"
        for arguments in [
            ["tsh"] + cluster.tshArguments + ["ssh", "root@cam1"], ["ssh", "-F", config, "-J", "\(cluster.proxy):3023", "cam1.hub"],
            ["ssh", "-F", config, "-o", proxyCommand, "cam1"],
        ] {
            let outcome = try await cluster.run(arguments + ["cat; echo oops >&2; exit 3"], input: input)
            #expect(outcome.exit == .status(3) && outcome.errors.hasSuffix("oops\n"), "\(arguments): \(outcome.exit) \(outcome.errors)")
            #expect(outcome.output == input, "\(arguments): \(outcome.output.count) bytes came back")
        }
        let host = try #require(cluster.plan.hosts.first { $0.name == "cam1" })
        let listening = try await networks.run(in: .east, "/bin/sh", ["-c", "cat /proc/net/tcp /proc/net/tcp6 | grep -c ' 0A '"])
        #expect(listening.text == "0\n", "\(host.name) listens: \(listening)")
    }

    /// From the namespace `east`, nothing of the hub answers but the two ports of its proxy that agents and joining hosts need.
    private func expectNothingButTheProxy(_ cluster: SeparateClusters) async throws {
        for host in cluster.plan.hosts where host.cluster == "hub" {
            guard let address = host.address else { continue }
            for port in [3022, 3023, 3024, 3025, 3080] {
                let dial = try await cluster.networks.run(in: .east, "/bin/bash", ["-c", "exec 3<>/dev/tcp/\(address)/\(port)"])
                let isOpen = host.name == "proxy" && (port == 3024 || port == 3080)
                #expect((dial.exit == .status(0)) == isOpen, "east dials \(address):\(port): \(dial)")
            }
        }
    }

    private func check(_ networks: SeparateNetworks) async throws {
        let cluster = try await SeparateClusters(networks, "two-sites")
        try await cluster.start(until: "root@db1@east")
        for host in cluster.plan.hosts where host.cluster == "east" {
            let address = try #require(host.address)
            let route = try await networks.run(in: .hub, "/bin/bash", ["-c", "exec 3<>/dev/tcp/\(address)/3022"])
            #expect(route.exit != .status(0) && route.errors.contains("unreachable"), "hub sees \(address) of east: \(route)")
        }
        try await expectNothingButTheProxy(cluster)
        try await checkSessions(cluster)
    }

    private func checkSessions(_ cluster: SeparateClusters) async throws {
        let clusters = try await cluster.tsh(["clusters"])
        #expect(clusters.exit == .status(0) && clusters.text.contains("east"), "\(clusters)")
        let nodes = try await cluster.tsh(["ls", "--cluster=east"])
        #expect(nodes.exit == .status(0) && nodes.text.contains("db1") && nodes.text.contains("db2"), "\(nodes)")
        let command = "echo $SSH_TELEPORT_CLUSTER_NAME; cat; echo oops >&2; exit 3"
        let routes: [(name: String, arguments: [String])] = [
            ("tsh", ["tsh"] + cluster.tshArguments + ["ssh", "root@db1@east"]),
            ("-J", ["ssh", "-F", cluster.sshConfig, "-p", "3022", "-J", "\(cluster.proxy):3023", "db1.east"]),
            (
                "-s proxy",
                ["ssh", "-F", cluster.sshConfig, "-p", "3022"]
                    + ["-o", "ProxyCommand=/usr/bin/ssh -F \(cluster.sshConfig) -p 3023 %r@\(cluster.proxy) -s proxy:%h:%p@east", "db1"]
            ),
        ]
        let input = [UInt8](repeating: 0x61, count: 1 << 20) + [0x0A]
        for route in routes {
            let outcome = try await cluster.run(route.arguments + [command], input: input)
            #expect(outcome.exit == .status(3) && outcome.errors.hasSuffix("oops\n"), "\(route.name): \(outcome.exit) \(outcome.errors)")
            #expect(outcome.output == Array("east\n".utf8) + input, "\(route.name): \(outcome.output.count) bytes came back")
        }
        let outputs = try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<8 {
                group.addTask { try await cluster.tsh(["ssh", "root@db\(number % 2 + 1)@east", "echo \(number)"]).text }
            }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(outputs == Set((0..<8).map { "\($0)\n" }))
        let terminal = try await TerminalProgram(
            SeparateNetworks.ip,
            cluster.networks.prefix(.hub) + [cluster.programs.tsh] + cluster.tshArguments
                + ["ssh", "-t", "root@db1@east", resizeCommand],
            environment: cluster.networks.runner.environment, columns: 101, rows: 33, on: cluster.networks.runner.eventLoop)
        try await terminal.expect("33 101")
        try await terminal.expect("armed")
        try await terminal.resize(columns: 120, rows: 50)
        try await terminal.expect("50 120")
        let (exit, shown) = try await terminal.end()
        #expect(exit == .status(5), "\(shown)")
    }
}

/// Two network namespaces and a wire between them, as two firewalls would leave it:
///
///     hub  198.51.100.1-3 ── 192.0.2.2  east, its hosts at 10.77.0.1-4
///
/// The hub has a route to 192.0.2.2 alone, where nobody listens: what east dials comes from there, as from behind an address translation. East has
/// a route to the hub's proxy only for the ports 3024 and 3080.
final class SeparateNetworks: Sendable {
    enum Site: String {
        case hub, east
    }

    static let ip = "/usr/sbin/ip"

    let runner: ProgramRunner
    /// Of everything that belongs to the test; goes with it.
    let directory: String
    private let names: [Site: String]
    /// Holds a pipe: when it closes, or this process ends, the namespaces go with all that runs in them.
    private let janitor: LoopBound<ChildProcess>

    static func arePossible() async throws -> Bool {
        guard UserAccounts.effectiveIdentifier == 0, try FileIO.status(ip) != nil else { return false }
        let eventLoop = EventLoop(name: "namespace-probe")
        eventLoop.start()
        defer { eventLoop.stop() }
        let script = """
            n=ttp$$
            trap 'ip netns del $n' EXIT
            ip netns add $n && ip -n $n link add ${n}a type veth peer name ${n}b &&
                ip -n $n rule add to 198.51.100.1 ipproto tcp dport 3024 lookup 100
            """
        let probe = try await ProgramRunner(eventLoop: eventLoop, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
            .run("/bin/sh", ["-c", script])
        return probe.exit == .status(0)
    }

    init() async throws {
        let identifier = String(SystemRandomness().uuid().prefix(8))
        names = [.hub: "tt\(identifier)h", .east: "tt\(identifier)e"]
        directory = "/tmp/teleport-namespace-tests-\(identifier)"
        try FileIO.createDirectory(directory)
        let eventLoop = EventLoop(name: "namespace-tests")
        eventLoop.start()
        runner = ProgramRunner(
            eventLoop: eventLoop, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=\(directory)", "TERM=vt100", "LANG=C.UTF-8"])
        let script = """
            cat >/dev/null
            for n in "$1" "$2"; do
                ip netns pids $n | xargs -r kill -9
                ip netns del $n
            done
            [ -n "$4" ] || rm -rf "$3"
            """
        let command = ChildProcess.Command(
            executable: "/bin/sh",
            arguments: ["sh", "-c", script, "sh"] + names.values
                + [directory, ProcessEnvironment.value("TELEPORT_TEST_KEEP") ?? ""],
            environment: runner.environment, descriptors: [0: .input, 1: .null, 2: .null], group: .session)
        janitor = LoopBound(eventLoop)
        let janitor = janitor
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            eventLoop.post { loop in
                continuation.resume(
                    with: Result { janitor.set(try ChildProcess(command, on: loop.inside) { _ in }, on: loop) })
            }
        }
    }

    /// Makes the namespaces.
    func begin() async throws {
        let script = """
            ip netns add $H
            ip netns add $E
            ip link add ${H} netns $H type veth peer name ${E} netns $E
            for n in $H $E; do
                ip -n $n link set lo up
                ip -n $n link set $n up
                ip netns exec $n sh -c 'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done'
            done
            for i in 1 2 3; do ip -n $H addr add 198.51.100.$i/32 dev $H; done
            for i in 1 2 3 4; do ip -n $E addr add 10.77.0.$i/32 dev lo; done
            ip -n $E addr add 192.0.2.2/32 dev $E
            ip -n $H route add 192.0.2.2/32 dev $H
            ip -n $E route add 198.51.100.1/32 dev $E src 192.0.2.2 table 100
            for p in 3024 3080; do ip -n $E rule add to 198.51.100.1 ipproto tcp dport $p lookup 100; done
            """
        let outcome = try await runner.run(
            "/bin/sh", ["-ec", script], environment: ["H=\(names[.hub] ?? "")", "E=\(names[.east] ?? "")"])
        guard outcome.exit == .status(0) else { throw TeleportError.connectionProblem("the namespaces cannot be made: \(outcome)") }
    }

    /// Ends all that runs, and removes the namespaces.
    func end() async {
        let janitor = janitor
        janitor.eventLoop.post { loop in janitor.value(on: loop)?.stream(0)?.close() }
        let gone = try? await runner.run(
            "/bin/sh",
            ["-c", "for i in $(seq 500); do ip netns list | grep -q \"$1\" || exit 0; sleep 0.02; done; exit 1", "sh"] + [names[.hub] ?? ""]
        )
        #expect(gone?.exit == .status(0), "the namespaces stay")
    }

    /// What stands before a command that runs in the namespace, behind ``ip``.
    func prefix(_ site: Site) -> [String] { ["netns", "exec", names[site] ?? ""] }

    func run(in site: Site, _ program: String, _ arguments: [String], input: [UInt8] = []) async throws -> Outcome {
        try await runner.run(Self.ip, prefix(site) + [program] + arguments, input: input)
    }

    /// Runs on until the namespace goes.
    func start(in site: Site, _ program: String, _ arguments: [String], log: String) async throws {
        let outcome = try await runner.run(
            "/bin/sh",
            ["-c", "log=$1; shift; setsid \"$@\" </dev/null >>\"$log\" 2>&1 &", "sh", log, Self.ip] + prefix(site) + [program] + arguments)
        #expect(outcome.exit == .status(0), "\(outcome)")
    }
}

/// A topology, each process in the namespace of its site; a host without an address is in that of `east`.
struct SeparateClusters {
    let networks: SeparateNetworks
    let plan: TopologyPlan
    let programs: BuiltPrograms

    let proxy = "198.51.100.1"
    var tshArguments: [String] { ["--proxy=\(proxy)", "-i", "\(networks.directory)/identity"] }
    var sshConfig: String { "\(networks.directory)/ssh_config" }

    private struct Status: Decodable {
        let ca_pin: String
        let nodes: Int
        let proxies: Int
    }

    /// - Parameter topology: of a file in `topologies/`.
    init(_ networks: SeparateNetworks, _ topology: String) async throws {
        self.networks = networks
        programs = try BuiltPrograms()
        let text = try ClusterHarness.text(of: topology)
            .replacing("127.0.1.", with: "198.51.100.").replacing("127.0.2.", with: "10.77.0.")
        plan = TopologyPlan(
            try Topology(parsing: Array(text.utf8), file: topology), dataDir: "\(networks.directory)/data",
            randomness: SystemRandomness(),
            now: SystemClock().wallTime())
    }

    /// Starts every host, lets east join the hub where it is a site, and waits until the node can be reached.
    func start(until target: String) async throws {
        for site in [SeparateNetworks.Site.hub, .east] {
            let hosts = plan.hosts.filter { $0.cluster == site.rawValue }
            guard !hosts.isEmpty else { continue }
            for host in hosts where host.servesAuth { try await start(host, site, caPin: nil) }
            var pin = ""
            try await until("the auth server of \(site) answers") {
                guard let status = try await status(of: site) else { return false }
                pin = status.ca_pin
                return true
            }
            for host in hosts where !host.servesAuth {
                try await start(host, host.address == nil ? .east : site, caPin: try CAPin(parsing: pin))
            }
            try await until("the hosts of \(site) are there") {
                guard let status = try await status(of: site) else { return false }
                return status.nodes == hosts.count { $0.roles.contains(.node) } && status.proxies == 1
            }
        }
        if !plan.trusts.isEmpty { try await join() }
        try await makePerson()
        let clock = SystemClock()
        let started = clock.now()
        try await until("\(target) is reached") { try await tsh(["ssh", target, "true"]).exit == .status(0) }
        print("namespaces: \(target) reached \(clock.now() - started) after its site had joined")
    }

    private func start(_ host: TopologyPlan.Host, _ site: SeparateNetworks.Site, caPin: CAPin?) async throws {
        try FileIO.createDirectory(host.directory)
        try FileIO.write(Array(host.configText(caPin: caPin).utf8), to: host.configPath)
        try await networks.start(in: site, programs.teleport, ["start", "-c", host.configPath], log: host.logPath)
    }

    private func join() async throws {
        let trust = try #require(plan.trusts.first)
        let status = try #require(try await status(of: .hub))
        let token = try await tctl(.hub, ["tokens", "add", "--type=trusted_cluster", "--value=\(trust.token.name)"])
        #expect(token.exit == .status(0), "\(token)")
        let resource = """
            kind: trusted_cluster
            metadata:
              name: hub
            spec:
              enabled: yes
              token: \(trust.token.name)
              ca_pin: "\(status.ca_pin)"
              web_proxy_addr: \(trust.trustedCluster.webProxyAddr)
              tunnel_addr: \(trust.trustedCluster.tunnelAddr)
              role_map:
                - remote: access
                  local: [access]

            """
        let path = "\(networks.directory)/trusted_cluster.yaml"
        try FileIO.write(Array(resource.utf8), to: path)
        let created = try await tctl(.east, ["create", path])
        #expect(created.exit == .status(0), "\(created)")
    }

    private func makePerson() async throws {
        let folder = networks.directory
        for (format, file) in [("openssh", "key"), ("file", "identity")] {
            let signed = try await tctl(
                .hub, ["auth", "sign", "--user=ci", "--logins=root", "--ttl=1h", "--format=\(format)", "--out=\(folder)/\(file)"])
            #expect(signed.exit == .status(0), "\(signed)")
        }
        let authorities = try await tctl(.hub, ["authorities", "--type=host", "export"])
        try FileIO.write(authorities.output, to: "\(folder)/known_hosts")
        let config = """
            Host *
              User root
              IdentityFile \(folder)/key
              IdentitiesOnly yes
              IdentityAgent none
              BatchMode yes
              StrictHostKeyChecking yes
              UserKnownHostsFile \(folder)/known_hosts
              GlobalKnownHostsFile /dev/null
              LogLevel ERROR

            """
        try FileIO.write(Array(config.utf8), to: sshConfig)
    }

    private func status(of site: SeparateNetworks.Site) async throws -> Status? {
        let outcome = try await tctl(site, ["status", "--format=json"])
        return outcome.exit == .status(0) ? try JSONText.decode(Status.self, from: outcome.output) : nil
    }

    private func tctl(_ site: SeparateNetworks.Site, _ arguments: [String]) async throws -> Outcome {
        let config = try #require(plan.hosts.first { $0.cluster == site.rawValue && $0.servesAuth }).configPath
        return try await networks.run(in: site, programs.tctl, ["-c", config] + arguments)
    }

    func tsh(_ arguments: [String]) async throws -> Outcome {
        try await networks.run(in: .hub, programs.tsh, tshArguments + arguments)
    }

    /// - Parameter arguments: `tsh` or `ssh`, and what follows.
    func run(_ arguments: [String], input: [UInt8]) async throws -> Outcome {
        let program = arguments[0] == "tsh" ? programs.tsh : "/usr/bin/ssh"
        return try await networks.run(in: .hub, program, Array(arguments.dropFirst()), input: input)
    }
}
