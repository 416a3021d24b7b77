import Base
import ClusterHarness
import Config
import Crypto
import EventLoop
import Testing

extension ClusterHarness {
    /// One for all tests that break nothing.
    static let opensshSite = Result { try ClusterHarness("openssh-site") }

    static func sharedSite() async throws -> ClusterHarness {
        let harness = try opensshSite.get()
        try await harness.ready()
        return harness
    }
}

extension Person {
    /// How OpenSSH reaches `db1` of `branch`.
    static let branchRoutes = ["subsystem", "suffix", "jump"]

    func branchArguments(_ route: String, node: String = "db1", port: String = "3022", options: [String] = []) -> [String] {
        let proxy = "ssh -F \(sshConfigPath) -p 3023 %r@\(proxyHost) -s"
        let common = ["-F", sshConfigPath, "-p", port] + options
        return switch route {
        case "subsystem": common + ["-o", "ProxyCommand=\(proxy) proxy:%h:%p@branch", node]
        case "suffix": common + ["-o", "ProxyCommand=\(proxy) proxy:%h:%p", "\(node).branch"]
        default: common + ["-J", "\(proxyHost):3023", "\(node).branch"]
        }
    }

    func branch(
        _ command: String, on node: String = "db1", route: String = "jump", port: String = "3022", options: [String] = [],
        input: [UInt8] = []
    ) async throws -> Outcome {
        try await harness.runner.run(
            "/usr/bin/ssh", branchArguments(route, node: node, port: port, options: options) + [command], input: input)
    }
}

@Suite("A site with nothing of ours installed", .serialized, .timeLimit(.minutes(5)))
struct OpenSSHSitePathTests {
    @Test(arguments: Person.branchRoutes)
    func `sessions, their output and their exit status`(route: String) async throws {
        let person = try await ClusterHarness.sharedSite().person()
        let outcome = try await person.branch("cat; echo ${SSH_TELEPORT_HOST_UUID:-plain}; exit 7", route: route, input: Array("in\n".utf8))
        #expect(outcome.exit == .status(7) && outcome.text == "in\nplain\n", "\(outcome)")
    }

    @Test func `it is listed by every program`() async throws {
        let harness = try await ClusterHarness.sharedSite()
        let person = try await harness.person()
        let clusters = try await harness.tctl("hub", "clusters", "ls")
        #expect(clusters.lines.contains { $0.contains("branch") && $0.contains("openssh") && $0.contains("online") }, "\(clusters)")
        let nodes = try await harness.tctl("hub", "nodes", "ls", "--cluster=branch")
        #expect(nodes.text.contains("db1") && nodes.text.contains("db2") && nodes.text.contains("env=staging"), "\(nodes)")
        let sites = try await person.tsh("clusters")
        #expect(sites.lines.contains { $0.contains("branch") && $0.contains("online") }, "\(sites)")
        let labelled = try await person.tsh("ls", "--cluster=branch", "env=prod")
        #expect(labelled.text.contains("db1") && !labelled.text.contains("db2"), "\(labelled)")
        let got = try await harness.tctl("hub", "get", "openssh_site/branch")
        #expect(got.text.contains("connected: true") && got.text.contains("host_keys:"), "\(got)")
    }

    @Test func `tsh verifies the listed keys, and runs on one node and on all`() async throws {
        let harness = try await ClusterHarness.sharedSite()
        let person = try await harness.person()
        let one = try await person.tsh("ssh", "\(harness.login)@db1@branch", "cat; exit 5", input: Array("through".utf8))
        #expect(one.exit == .status(5) && one.text == "through", "\(one)")
        let all = try await person.tsh("ssh", "\(harness.login)@role=db@branch", "echo here")
        #expect(all.exit == .status(0) && all.lines.sorted() == ["db1: here", "db2: here"], "\(all)")
        // Without the keys that came with the login, nobody is believed.
        let text = String(decoding: try FileIO.read(person.identity), as: UTF8.self)
        let bare = text.split(separator: "\n").filter { !$0.contains("db1.branch") }.joined(separator: "\n") + "\n"
        try FileIO.write(Array(bare.utf8), to: "\(person.folder)/bare")
        let refused = try await harness.runner.run(
            harness.programs.tsh,
            ["--proxy=\(person.proxyHost)", "-i", "\(person.folder)/bare", "ssh", "\(harness.login)@db1@branch", "true"])
        #expect(refused.exit == .status(255) && refused.errors.contains("could not prove who it is"), "\(refused)")
    }

    @Test func `files go there and come back whole, by scp and by sftp, more than one at a time`() async throws {
        let harness = try await ClusterHarness.sharedSite()
        let person = try await harness.person()
        let (folder, config) = (person.folder, person.sshConfigPath)
        let jump = "-F \(config) -o ProxyJump=\(person.proxyHost):3023 -P 3022"
        let script = """
            set -e
            head -c \(BuiltPrograms.areOptimized ? 100 << 20 : 4 << 20) /dev/urandom >\(folder)/big
            scp -q \(jump) \(folder)/big db1.branch:\(folder)/there &
            scp -q \(jump) \(folder)/big db2.branch:\(folder)/other
            wait $!
            scp -q \(jump) db1.branch:\(folder)/there \(folder)/back
            printf 'get \(folder)/other \(folder)/sftp\\n' | sftp -q -b - \(jump) db2.branch >/dev/null
            sha256sum \(folder)/big \(folder)/there \(folder)/back \(folder)/sftp | cut -d' ' -f1 | uniq | wc -l
            """
        let outcome = try await harness.runner.run("/bin/bash", ["-c", script])
        #expect(outcome.exit == .status(0) && outcome.text == "1\n", "\(outcome)")
    }

    @Test func `forwards of every kind`() async throws {
        let harness = try await ClusterHarness.sharedSite()
        let person = try await harness.person()
        let address = harness.freeAddress(7)
        let ssh = (["ssh"] + person.branchArguments("jump", options: ["-o", "ExitOnForwardFailure=yes"])).joined(separator: " ")
        let db2 = try #require(try harness.cluster("branch").nodes.first { $0.name == "db2" }?.addr)
        // db2's greeting is read by way of db1: by a local forward, by SOCKS, and the other way round by a remote one.
        let script = """
            set -e
            # A unix socket's path is short.
            mux=$(mktemp -u /tmp/mux-XXXXXX)
            \(ssh) -f -N -M -S $mux -L \(address):7001:\(db2) -D \(address):7002 -R \(address):7003:\(db2)
            for port in 7001 7003; do exec 3<>/dev/tcp/\(address)/$port; head -c 8 <&3; echo; exec 3>&-; done
            curl -s -m 10 --http0.9 --socks5 \(address):7002 --output - http://\(db2)/ | head -c 8
            ssh -S $mux -O exit x 2>/dev/null
            """
        let outcome = try await harness.runner.run("/bin/bash", ["-c", script])
        #expect(outcome.lines == ["SSH-2.0-", "SSH-2.0-", "SSH-2.0-"], "\(outcome)")
    }

    @Test func `what is not listed is refused with a reason`() async throws {
        let harness = try await ClusterHarness.sharedSite()
        let person = try await harness.person()
        let own = try #require(try harness.cluster("hub").nodes.first)
        let host = String(own.addr.prefix { $0 != ":" })
        for (node, port) in [("db3", "3022"), ("db1", "3025"), (host, "3022"), ("127.0.0.1", "22"), ("169.254.169.254", "80")] {
            let outcome = try await person.branch("true", on: node, port: port)
            #expect(outcome.exit == .status(255) && outcome.errors.contains("administratively prohibited"), "\(node):\(port) \(outcome)")
        }
    }

    @Test func `the site's credential opens nothing but its tunnel`() async throws {
        let harness = try await ClusterHarness.sharedSite()
        let folder = "\(harness.directory)/stolen-\(SystemRandomness().uuid())"
        try FileIO.createDirectory(folder)
        let signed = try await harness.tctl("hub", "auth", "sign", "--site=branch", "--format=openssh", "--out=\(folder)/key")
        #expect(signed.exit == .status(0), "\(signed)")
        let authorities = try await harness.tctl("hub", "authorities", "--type=host", "export")
        try FileIO.write(authorities.output, to: "\(folder)/known_hosts")
        let options = [
            "-F", "none", "-i", "\(folder)/key", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
            "-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=\(folder)/known_hosts", "-o", "GlobalKnownHostsFile=/dev/null",
        ]
        let hub = try harness.cluster("hub")
        let proxy = try #require(hub.proxies.first)
        // The hub's proxy and node, and the site's own sshd.
        var targets = [
            ("branch", proxy.ssh), ("branch", try #require(hub.nodes.first).addr), (harness.login, try #require(hub.nodes.first).addr),
        ]
        for node in try harness.cluster("branch").nodes { targets += [("branch", node.addr), (harness.login, node.addr)] }
        for (user, target) in targets {
            let parts = target.split(separator: ":").map(String.init)
            let outcome = try await harness.runner.run("/usr/bin/ssh", options + ["-p", parts[1], "\(user)@\(parts[0])", "true"])
            #expect(outcome.exit == .status(255) && outcome.errors.contains("Permission denied"), "\(user) \(target) \(outcome)")
        }
        let port = try #require(proxy.tunnel.split(separator: ":").last.map(String.init))
        for command in [["-s", "proxysites"], ["true"], ["-W", "\(proxy.ssh)"]] {
            let outcome = try await harness.runner.run(
                "/usr/bin/ssh",
                options + ["-p", port] + (command[0] == "true" ? [] : [command[0]]) + (command[0] == "-W" ? [command[1]] : [])
                    + ["branch@\(person(proxy.tunnel))"] + (command[0] == "-W" ? [] : [command.last ?? ""]))
            #expect(outcome.exit == .status(255) && outcome.errors.contains("administratively prohibited"), "\(command) \(outcome)")
        }
    }

    private func person(_ address: String) -> String { String(address.prefix { $0 != ":" }) }

    @Test(.enabled(if: (try? FileIO.status("/usr/bin/ansible")) ?? nil != nil, "ansible-core is not installed"))
    func `Ansible reaches its hosts`() async throws {
        let harness = try await ClusterHarness.sharedSite()
        let person = try await harness.person()
        let folder = person.folder
        let inventory = """
            [branch]
            db1.branch
            db2.branch

            [branch:vars]
            ansible_port=3022
            ansible_user=\(harness.login)
            ansible_python_interpreter=/usr/bin/python3
            ansible_ssh_common_args=-F \(person.sshConfigPath) -J \(person.proxyHost):3023

            """
        try FileIO.write(Array(inventory.utf8), to: "\(folder)/inventory")
        let outcome = try await harness.runner.run(
            "/usr/bin/ansible", ["-i", "\(folder)/inventory", "all", "-m", "ping", "-o"],
            environment: ["ANSIBLE_LOCAL_TEMP=\(folder)/local", "ANSIBLE_REMOTE_TEMP=\(folder)/remote", "ANSIBLE_HOME=\(folder)/ansible"])
        #expect(outcome.exit == .status(0) && outcome.lines.count { $0.contains("SUCCESS") && $0.contains("pong") } == 2, "\(outcome)")
    }
}

@Suite("A site with nothing of ours installed, and what befalls it", .serialized, .timeLimit(.minutes(5)))
struct OpenSSHSiteFaultTests {
    /// Ends a process by the file that names it, or by its parent and its words, and waits until it is gone.
    private func kill(_ find: String) -> String {
        "pid=$(\(find)); kill -9 $pid; while kill -0 $pid 2>/dev/null; do sleep 0.02; done"
    }

    /// Tries until the site carries sessions again.
    private func comesBack(_ person: Person, after script: String) async throws -> Outcome {
        let ssh = (["ssh"] + person.branchArguments("jump", options: ["-o", "ConnectTimeout=5"])).joined(separator: " ")
        return try await person.harness.runner.run(
            "/bin/bash", ["-c", "\(script)\nuntil \(ssh) 'exit 7' 2>/dev/null; [ $? = 7 ]; do sleep 0.2; done; echo back"])
    }

    @Test func `it comes back after its agent, a host and the proxy were killed, and goes for good when it is removed`() async throws {
        let harness = try ClusterHarness("openssh-site")
        try await harness.ready()
        let person = try await harness.person()
        let data = "\(harness.directory)/data"
        let agent = "pgrep -f '^/usr/bin/ssh -F \(data)/branch/ssh_config -N -R 0 branch-agent$'"
        for find in [agent, "cat \(data)/branch/db1/sshd.pid", "cat \(data)/hub/proxy/teleport.pid"] {
            let outcome = try await comesBack(person, after: kill(find))
            #expect(outcome.text == "back\n", "\(find) \(outcome)")
        }
        // A session that runs ends with the site.
        let ssh = (["ssh"] + person.branchArguments("jump")).joined(separator: " ")
        let tctl = "\(harness.programs.tctl) -c \(try harness.cluster("hub").config)"
        let script = """
            \(ssh) 'echo begun; sleep 600' >\(person.folder)/begun 2>&1 &
            while ! grep -q begun \(person.folder)/begun; do sleep 0.05; done
            \(tctl) rm openssh_site/branch
            wait $!
            echo $?
            """
        let outcome = try await harness.runner.run("/bin/bash", ["-c", script])
        #expect(outcome.lines.last == "255", "\(outcome)")
        let gone = try await person.branch("true")
        #expect(gone.exit == .status(255) && gone.errors.contains("administratively prohibited"), "\(gone)")
        // The children end with the process that runs them, also when that is killed.
        let end = """
            set -- $(cat \(data)/branch/*/sshd.pid)
            kill -9 $(ps -o ppid= -p $1)
            for pid in "$@"; do while kill -0 $pid 2>/dev/null; do sleep 0.02; done; done
            while \(agent); do sleep 0.02; done
            echo ended
            """
        #expect(try await harness.runner.run("/bin/bash", ["-c", end], timeout: .seconds(30)).lines == ["ended"])
    }
}
