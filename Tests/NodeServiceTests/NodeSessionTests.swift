import Base
import ClusterModel
import EventLoop
import SSHWire
import Testing

@Suite("A session by stock ssh", .timeLimit(.minutes(2)))
struct NodeSessionTests {
    @Test func `a command's output, errors and status come through`() async throws {
        let node = try await TestNode()
        let outcome = try await node.ssh("echo out; echo err >&2; exit 7")
        #expect(outcome.exit == .status(7))
        #expect(outcome.text == "out\n")
        #expect(outcome.errors == "err\n")
    }

    @Test func `a command that a signal ends is reported by the signal's name`() async throws {
        let node = try await TestNode()
        let outcome = try await node.ssh("kill -TERM $$", options: ["-v"])
        #expect(outcome.exit == .status(255))
        #expect(outcome.errors.contains("exit-signal") || outcome.errors.contains("signal TERM"), "\(outcome.errors)")
    }

    /// With the keys renewed every mebibyte, and with each kind of cipher.
    static let transports = [
        ["-o", "RekeyLimit=1M"], ["-c", "aes256-gcm@openssh.com"], ["-c", "chacha20-poly1305@openssh.com"],
        ["-c", "aes128-ctr", "-m", "hmac-sha2-256"], ["-c", "aes256-ctr", "-m", "hmac-sha2-512-etm@openssh.com"],
    ]

    @Test(arguments: transports)
    func `bytes pass unchanged both ways, and the end of input reaches the program`(options: [String]) async throws {
        let node = try await TestNode()
        let input = SeededRandomness(seed: 5).bytes(4 << 20)
        let outcome = try await node.ssh("cat; echo -n end >&2", options: options, input: input)
        #expect(outcome.exit == .status(0))
        #expect(outcome.output == input)
        #expect(outcome.errors == "end")
    }

    @Test func `output that comes after the program's exit is delivered before the channel ends`() async throws {
        let node = try await TestNode()
        let outcome = try await node.ssh("head -c 3000000 /dev/zero; exit 3")
        #expect(outcome.exit == .status(3))
        #expect(outcome.output.count == 3_000_000)
    }

    @Test func `a program that reads nothing does not hold up its own output`() async throws {
        let node = try await TestNode()
        let outcome = try await node.ssh("exec 0<&-; echo done", input: [UInt8](repeating: 1, count: 6 << 20))
        #expect(outcome.exit == .status(0))
        #expect(outcome.text == "done\n")
    }

    @Test func `the environment is ours, with the client's locale and nothing else of the client's`() async throws {
        let node = try await TestNode()
        let key = try node.write()
        let options = ["-o", "SendEnv=LANG LC_TIME LD_PRELOAD BASH_ENV FOO"]
        let outcome = try await node.run(
            "/usr/bin/ssh", node.arguments(key: key, options: options) + ["env"],
            environment: ["LANG=C.UTF-8", "LC_TIME=C", "LD_PRELOAD=", "BASH_ENV=/tmp/evil", "FOO=bar"])
        let variables = Set(outcome.lines)
        let names = Set(outcome.lines.map { String($0.prefix { $0 != "=" }) })
        #expect(
            variables.isSuperset(of: [
                "LANG=C.UTF-8", "LC_TIME=C", "HOME=\(node.account.home)", "USER=\(node.account.name)", "LOGNAME=\(node.account.name)",
                "SHELL=\(node.account.shell)", "SSH_TELEPORT_USER=alice", "SSH_TELEPORT_CLUSTER_NAME=east",
            ]))
        #expect(names.isSuperset(of: ["SSH_CONNECTION", "SSH_CLIENT", "SSH_SESSION_ID", "SSH_TELEPORT_HOST_UUID", "PATH"]))
        #expect(names.isDisjoint(with: ["LD_PRELOAD", "BASH_ENV", "FOO", "SSH_TTY"]))
        #expect(variables.contains { $0.hasPrefix("SSH_CONNECTION=127.0.0.1 ") && $0.hasSuffix(" 127.0.0.1 \(node.port)") })
    }

    @Test func `the program is the user's: ids, groups, umask, home, session`() async throws {
        let node = try await TestNode()
        let outcome = try await node.ssh("id -u; id -g; id -G; umask; pwd -P; ps -o sid= -p $$ | tr -d ' '; echo $$; echo $0")
        let own = try await node.run("/bin/sh", ["-c", "id -u; id -g; id -G \(node.account.name)"])
        #expect(Array(outcome.lines.prefix(2)) == Array(own.lines.prefix(2)))
        #expect(Set(outcome.lines[2].split(separator: " ")) == Set(own.lines[2].split(separator: " ")))
        #expect(outcome.lines[3] == "0022")
        #expect(outcome.lines[4] == node.account.home)
        #expect(outcome.lines[5] == outcome.lines[6], "the program leads a session of its own")
        #expect(outcome.lines[7] == node.account.shell.split(separator: "/").last.map(String.init))
    }

    @Test func `no descriptor but the three reaches the program`() async throws {
        let node = try await TestNode()
        let outcome = try await node.ssh("ls -l /proc/self/fd | grep -c -e socket -e pipe; ls /proc/self/fd | tr '\\n' ' '")
        // `ls` itself opens the directory as 3.
        #expect(outcome.lines.last == "0 1 2 3 ")
    }

    @Test func `a terminal is the session's own, with the size and type that the client has`() async throws {
        let node = try await TestNode()
        let key = try node.write()
        // `script` gives ssh a terminal whose size is set before.
        let ssh =
            (["/usr/bin/ssh", "-tt"] + node.arguments(key: key) + ["'stty size; tty; echo $TERM $SSH_TTY; test -t 0 -a -t 2; echo $?'"])
        let outcome = try await node.run(
            "/usr/bin/script", ["-qec", "stty rows 33 cols 101; " + ssh.joined(separator: " "), "/dev/null"],
            environment: ["TERM=vt220", "SHELL=/bin/sh"])
        // `script` echoes the end of its own input before the first line.
        #expect(outcome.lines.first?.hasSuffix("33 101") == true, "\(outcome.text)")
        let terminal = try #require(outcome.lines.first { $0.hasPrefix("/dev/pts/") })
        #expect(outcome.lines.contains("vt220 \(terminal)"))
        #expect(outcome.lines.contains("0"))
    }

    @Test func `a shell is a login shell and gets its commands from the client`() async throws {
        let node = try await TestNode()
        let outcome = try await node.ssh(input: Array("echo name $0; exit 5\n".utf8))
        #expect(outcome.exit == .status(5))
        #expect(outcome.text.contains("name -"), "\(outcome.text)")
    }

    @Test func `a forced command runs whatever the client asks`() async throws {
        let node = try await TestNode()
        let outcome = try await node.ssh(
            "touch /tmp/never",
            credential: TestNode.Credential(critical: [CriticalOption.forceCommand: "echo forced; echo $SSH_ORIGINAL_COMMAND"]))
        #expect(outcome.lines == ["forced", "touch /tmp/never"])
    }

    @Test func `several sessions share a connection`() async throws {
        let node = try await TestNode()
        let key = try node.write()
        let control = ["-o", "ControlMaster=auto", "-o", "ControlPath=\(node.directory)/mux", "-o", "ControlPersist=60"]
        let arguments = node.arguments(key: key, options: control)
        let first = try await node.run("/usr/bin/ssh", arguments + ["echo $PPID $SSH_CLIENT > \(node.directory)/first; echo first"])
        #expect(first.text == "first\n", "\(first.errors)")
        async let second = node.run("/usr/bin/ssh", arguments + ["cat"], input: Array("two".utf8))
        async let third = node.run("/usr/bin/ssh", arguments + ["exit 9"])
        #expect(try await second.text == "two")
        #expect(try await third.exit == .status(9))
        #expect(node.log.withLock { $0.filter { $0.contains(" login ") && !$0.contains("refused") }.count } == 1)
        _ = try await node.run("/usr/bin/ssh", ["-O", "exit"] + arguments)
    }

    @Test func `twenty users at once get each their own output`() async throws {
        let node = try await TestNode()
        let outputs = try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<20 { group.addTask { try await node.ssh("echo \(number)").text } }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(outputs == Set((0..<20).map { "\($0)\n" }))
    }

    /// By themselves, by the hang-up, and by being killed.
    @Test(arguments: ["", "trap - HUP", "trap '' HUP"])
    func `programs end when their client goes`(habit: String) async throws {
        let node = try await TestNode()
        let key = try node.write()
        let directory = node.directory
        try FileIO.write(Array("\(habit)\necho $$\ncat\nexec sleep 1000\n".utf8), to: "\(directory)/program", mode: 0o600)
        let ssh = (["/usr/bin/ssh"] + node.arguments(key: key) + ["sh", "\(directory)/program"]).joined(separator: " ")
        // The client is killed as soon as the program has said who it is; `tail` ends with the program.
        let script = """
            mkfifo \(directory)/in \(directory)/out
            \(ssh) <\(directory)/in >\(directory)/out & client=$!
            exec 8>\(directory)/in 9<\(directory)/out
            read program <&9
            kill -KILL $client
            tail --pid=$program -f /dev/null
            echo gone
            """
        let outcome = try await node.run("/bin/bash", ["-c", script])
        #expect(outcome.text == "gone\n", "\(outcome.errors)")
    }

    @Test func `a terminal's programs end when their client goes, whatever their process group`() async throws {
        let node = try await TestNode()
        let key = try node.write()
        let directory = node.directory
        let ssh = (["/usr/bin/ssh", "-tt"] + node.arguments(key: key) + ["bash", "-i"]).joined(separator: " ")
        let script = """
            mkfifo \(directory)/in \(directory)/out
            \(ssh) <\(directory)/in >\(directory)/out & client=$!
            exec 8>\(directory)/in 9<\(directory)/out
            echo 'stty -echo; PS1=; echo; sh -c "echo program \\$\\$; exec sleep 1000"' >&8
            while read word program <&9 && [ "$word" != program ]; do :; done
            program=${program%$'\r'}
            kill -KILL $client
            tail --pid=$program -f /dev/null
            echo gone
            """
        let outcome = try await node.run("/bin/bash", ["-c", script])
        #expect(outcome.text == "gone\n", "\(outcome.errors)")
    }

    @Test func `a connection is made on behalf of a user whose role permits it`() async throws {
        let node = try await TestNode()
        let outcome = try await node.ssh(options: ["-W", "127.0.0.1:\(node.port)"])
        #expect(outcome.text.hasPrefix("SSH-2.0-"), "\(outcome.errors)")
    }

    @Test func `sessions end when the trust that they stood on is withdrawn`() async throws {
        let node = try await TestNode()
        let started = "\(node.directory)/started"
        async let session = node.ssh("mkfifo \(started); echo go >\(started); cat", options: ["-o", "LogLevel=INFO"], input: [])
        async let waiting = node.ssh(
            "while ! read line <\(started); do :; done 2>/dev/null; echo seen; exec sleep 1000", options: ["-o", "LogLevel=INFO"])
        _ = try await session
        await node.update(TestNode.snapshot(PrivateKey.generate(randomness: SeededRandomness(seed: 1)), roles: Role.defaults))
        let outcome = try await waiting
        #expect(outcome.exit == .status(255))
        #expect(outcome.errors.contains("withdrawn"), "\(outcome.errors)")
    }
}
