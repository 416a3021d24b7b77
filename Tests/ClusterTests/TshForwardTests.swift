import Base
import ClusterHarness
import Config
import Crypto
import EventLoop
import Testing

@Suite("Forwards of tsh ssh", .serialized, .timeLimit(.minutes(5)))
struct TshForwardTests {
    /// Runs `script` while `tsh ssh -N` with `options` holds a forward, whose port it finds in `$port`; `$tsh` is `tsh` with its identity.
    private func run(_ options: String, _ script: String, _ harness: ClusterHarness) async throws -> Outcome {
        let person = try await harness.person()
        let all = """
            tsh="\(([harness.programs.tsh] + person.tshArguments).joined(separator: " "))"
            exec 3< <(exec $tsh ssh -N \(options) \(harness.login)@db1@east 2>&1)
            holder=$!
            read -r first second port rest <&3
            echo "$first $second"
            \(script)
            kill $holder
            """
        return try await harness.runner.run("/bin/bash", ["-c", all])
    }

    private func address(of node: String, in cluster: String, _ harness: ClusterHarness) throws -> String {
        try #require(try harness.cluster(cluster).nodes.first { $0.name == node }).addr
    }

    static let banner = "head -c 16"

    @Test func `a port here leads to what the node connects to`() async throws {
        let harness = try await ClusterHarness.shared()
        let target = try address(of: "db2", in: "east", harness)
        let outcome = try await run(
            "-L 0:\(target)", "exec 4<>/dev/tcp/127.0.0.1/$port; \(Self.banner) <&4", harness)
        #expect(outcome.text == "Allocated port\nSSH-2.0-Teleport", "\(outcome)")
    }

    @Test func `a unix socket here leads to what the node connects to`() async throws {
        let harness = try await ClusterHarness.shared()
        let target = try address(of: "db2", in: "east", harness)
        let path = "/tmp/forward-\(SystemRandomness().uuid()).sock"
        let outcome = try await run(
            "-L \(path):\(target) -D 0", "curl -s --http0.9 --max-time 5 --unix-socket \(path) http://x/ | \(Self.banner)", harness)
        #expect(outcome.text.hasSuffix("SSH-2.0-Teleport"), "\(outcome)")
    }

    @Test(arguments: ["socks5h", "socks5", "socks4", "socks4a"])
    func `a client of SOCKS says where to`(scheme: String) async throws {
        let harness = try await ClusterHarness.shared()
        let target = try address(of: "db2", in: "east", harness)
        let outcome = try await run(
            "-D 0", "curl -s --http0.9 --max-time 5 -x \(scheme)://127.0.0.1:$port http://\(target)/ | \(Self.banner)", harness)
        #expect(outcome.text == "Allocated port\nSSH-2.0-Teleport", "\(outcome)")
    }

    @Test func `stdin and stdout are joined to what the node connects to`() async throws {
        let harness = try await ClusterHarness.shared()
        let target = try address(of: "db2", in: "east", harness)
        let outcome = try await harness.person().tsh("ssh", "-W", target, "\(harness.login)@db1@east")
        #expect(outcome.exit == .status(0) && outcome.text.hasPrefix("SSH-2.0-Teleport"), "\(outcome)")
    }

    /// The node answers in order: when its port is told, its socket is there.
    @Test func `a unix socket of the node leads to what we connect to, a port or a socket`() async throws {
        let harness = try await ClusterHarness.shared()
        let target = try address(of: "db2", in: "east", harness)
        let (theirs, ours) = ("/tmp/theirs-\(SystemRandomness().uuid()).sock", "/tmp/ours-\(SystemRandomness().uuid()).sock")
        let outcome = try await run(
            "-L \(ours):\(target) -R \(theirs)-1:\(target) -R \(theirs)-2:\(ours) -R 0:\(target)",
            "for i in 1 2; do curl -s --http0.9 --max-time 5 --unix-socket \(theirs)-$i http://x/ | \(Self.banner); done", harness)
        #expect(outcome.lines == ["Allocated port", "SSH-2.0-TeleportSSH-2.0-Teleport"], "\(outcome)")
    }

    @Test func `a unix socket that the node cannot make is an error`() async throws {
        let harness = try await ClusterHarness.shared()
        let outcome = try await harness.person().tsh("ssh", "-R", "/no/such/folder.sock:db:1", "\(harness.login)@db1@east", "true")
        #expect(outcome.exit == .status(255) && outcome.errors.hasPrefix("ERROR: -R /no/such/folder.sock:db:1: the node does not listen"))
    }

    @Test func `an ordinary sshd listens for us`() async throws {
        let harness = try await ClusterHarness.shared()
        let server = try await PlainServer(name: "remote1", cluster: "east", address: harness.freeAddress(3), port: 2222, harness)
        defer { server.stop() }
        try await harness.list(
            node: "remote1", uuid: SystemRandomness().uuid(), address: "\(server.address):\(server.port)", in: "east")
        let person = try await harness.person()
        let target = try address(of: "db2", in: "east", harness)
        for (forward, read) in [
            ("0:\(target)", "exec 4<>/dev/tcp/127.0.0.1/$port; \(Self.banner) <&4"),
            ("0", "curl -s --http0.9 --max-time 5 -x socks5h://127.0.0.1:$port http://\(target)/ | \(Self.banner)"),
        ] {
            let outcome = try await harness.runner.run(
                "/bin/bash",
                [
                    "-c",
                    """
                    exec 3< <(exec \(([harness.programs.tsh] + person.tshArguments).joined(separator: " ")) \
                    ssh -N -R \(forward) \(harness.login)@remote1@east 2>&1)
                    holder=$!; read -r first second port rest <&3; \(read); kill $holder
                    """,
                ])
            #expect(outcome.text == "SSH-2.0-Teleport", "\(outcome)")
        }
    }

    @Test func `an agent is there for the programs of an ordinary sshd, if it was asked for`() async throws {
        let harness = try await ClusterHarness.shared()
        let server = try await PlainServer(name: "agent1", cluster: "east", address: harness.freeAddress(5), port: 2222, harness)
        defer { server.stop() }
        try await harness.list(
            node: "agent1", uuid: SystemRandomness().uuid(), address: "\(server.address):\(server.port)", in: "east")
        let person = try await harness.person()
        let outcome = try await harness.runner.run(
            "/bin/bash",
            [
                "-c",
                """
                eval $(ssh-agent) >/dev/null; trap 'kill $SSH_AGENT_PID' EXIT
                ssh-keygen -q -t ed25519 -N '' -C carried -f \(person.folder)/carried; ssh-add -q \(person.folder)/carried
                tsh="\(([harness.programs.tsh] + person.tshArguments).joined(separator: " "))"
                $tsh ssh -A \(harness.login)@agent1@east 'ssh-add -l' | cut -d' ' -f3
                $tsh ssh \(harness.login)@agent1@east 'echo ${SSH_AUTH_SOCK:-none}'
                """,
            ])
        #expect(outcome.lines == ["carried", "none"], "\(outcome)")
    }

    @Test func `a forward that there cannot be is an error, unless it may fail`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let taken = try address(of: "db2", in: "east", harness)
        let node = "\(harness.login)@db1@east"
        let refused = try await person.tsh("ssh", "-L", "\(taken):localhost:1", node, "true")
        #expect(refused.exit == .status(255) && refused.errors.hasPrefix("ERROR: -L \(taken):localhost:1: "), "\(refused)")
        let allowed = try await person.tsh("ssh", "-o", "ExitOnForwardFailure=no", "-L", "\(taken):localhost:1", node, "exit 3")
        #expect(allowed.exit == .status(3) && allowed.errors.hasPrefix("WARNING: "), "\(allowed)")
    }

    @Test(arguments: [["-L", "x"], ["-o", "Tunnel=yes"], ["-W", "db1"], ["-N", "-W", "a:1"]])
    func `what is no forward is wrong usage`(arguments: [String]) async throws {
        let harness = try await ClusterHarness.shared()
        let outcome = try await harness.runner.run(harness.programs.tsh, ["ssh"] + arguments + ["db1"])
        #expect(outcome.exit == .status(2) && outcome.errors.hasPrefix("ERROR: "), "\(outcome)")
    }
}
