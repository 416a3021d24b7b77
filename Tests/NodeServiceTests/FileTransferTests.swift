import Base
import ClusterModel
import Crypto
import EventLoop
import NodeService
import SFTP
import SSHWire
import Testing

extension TestNode {
    /// The options with which `sftp` and `scp` know this node alone.
    func copyOptions(key: String) -> [String] {
        [
            "-q", "-F", "none", "-i", key, "-o", "Port=\(port)", "-o", "User=\(account.name)", "-o", "IdentitiesOnly=yes", "-o",
            "IdentityAgent=none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o",
            "UserKnownHostsFile=\(directory)/known_hosts", "-o", "GlobalKnownHostsFile=/dev/null", "-o", "HostKeyAlias=\(Self.hostname)",
        ]
    }

    func sftp(_ commands: String, credential: Credential = Credential()) async throws -> Outcome {
        let key = try write(credential)
        return try await run("/usr/bin/sftp", copyOptions(key: key) + ["-b", "-", "127.0.0.1"], input: Array("\(commands)\n".utf8))
    }

    func scp(_ arguments: [String]) async throws -> Outcome {
        let key = try write()
        return try await run("/usr/bin/scp", copyOptions(key: key) + arguments)
    }

    /// A subfolder of the test's own.
    func folder(_ name: String) throws -> String {
        try FileIO.createDirectory("\(directory)/\(name)")
        return "\(directory)/\(name)"
    }
}

/// SFTP, and what `scp -O` speaks.
let copyProtocols = [[], ["-O"]]

@Suite("File transfer by stock programs", .timeLimit(.minutes(3)))
struct FileTransferTests {
    /// Around what a request carries, and more than all that are on their way at once.
    static let sizes = [0, 1, 32767, 32768, 32769, 261_120, 261_121, 5_000_000]

    @Test(arguments: copyProtocols)
    func `files of all sizes come through unchanged, both ways`(protocolOption: [String]) async throws {
        let node = try await TestNode()
        let (here, there, back) = (try node.folder("here"), try node.folder("there"), try node.folder("back"))
        for size in Self.sizes {
            try FileIO.write(SeededRandomness(seed: UInt64(size)).bytes(size), to: "\(here)/\(size)", mode: 0o644)
        }
        let names = Self.sizes.map { "\($0)" }
        let up = try await node.scp(protocolOption + names.map { "\(here)/\($0)" } + ["127.0.0.1:\(there)"])
        #expect(up.exit == .status(0), "\(up.errors)")
        let down = try await node.scp(protocolOption + ["127.0.0.1:\(there)/*", back])
        #expect(down.exit == .status(0), "\(down.errors)")
        for name in names {
            let sent = try FileIO.read("\(here)/\(name)")
            #expect(try FileIO.read("\(there)/\(name)") == sent, "\(name) up")
            #expect(try FileIO.read("\(back)/\(name)") == sent, "\(name) down")
        }
    }

    @Test(arguments: copyProtocols)
    func `a tree keeps odd names, modes and times`(protocolOption: [String]) async throws {
        let node = try await TestNode()
        let (here, there, back) = (try node.folder("here"), try node.folder("there"), try node.folder("back"))
        let made = try await node.run(
            "/bin/bash",
            [
                "-c",
                #"""
                cd "$0" && mkdir -p tree/'a b'/c tree/empty && cd tree
                i=0; for name in plain ' lead' -dash 'quo"te'\' 'star*' $'\xff\xfe' ümlaut '$(touch never)' '~' 'a b'/inner 'a b'/c/deep; do
                    echo "$name" >"./$name"; i=$((i + 1)); touch -d "@$((1000000000 + i))" "./$name"; done
                ln -s plain link
                chmod 600 plain; chmod 755 ./-dash; chmod 711 ümlaut; chmod 711 empty; chmod 500 'a b'/c
                touch -d @1000000100 empty 'a b'/c
                """#, here,
            ])
        #expect(made.exit == .status(0), "\(made.errors)")
        let up = try await node.scp(protocolOption + ["-r", "-p", "\(here)/tree", "127.0.0.1:\(there)"])
        #expect(up.exit == .status(0), "\(up.errors)")
        let down = try await node.scp(protocolOption + ["-r", "-p", "127.0.0.1:\(there)/tree", back])
        #expect(down.exit == .status(0), "\(down.errors)")
        // A copy follows links; the times of directories are those of the last change where nothing sets them.
        let listing = "cd \"$0/tree\" && find . -type f ! -name link -printf '%P %m %Ts %s\\n' -o -type d -printf '%P %m\\n' | sort"
        let expected = try await node.run("/bin/bash", ["-c", listing, here])
        for folder in [there, back] {
            let compared = try await node.run("/usr/bin/diff", ["-r", "\(here)/tree", "\(folder)/tree"])
            #expect(compared.exit == .status(0), "\(compared.text)")
            #expect(try await node.run("/bin/bash", ["-c", listing, folder]).output == expected.output, "\(folder)")
        }
    }

    @Test func `what sftp can ask is done`() async throws {
        let node = try await TestNode()
        let there = try node.folder("there")
        try FileIO.write([UInt8](repeating: 0x61, count: 300_000), to: "\(there)/file", mode: 0o640)
        let outcome = try await node.sftp(
            """
            cd \(there)
            pwd
            mkdir sub
            rename file sub/moved
            ln sub/moved hard
            ln -s sub/moved soft
            chmod 600 hard
            copy hard copied
            ls -l
            df
            mkdir gone
            rmdir gone
            rm soft
            -rename hard sub
            """)
        #expect(outcome.exit == .status(0), "\(outcome.errors)")
        #expect(outcome.text.contains("Remote working directory: \(there)"))
        let lines = outcome.lines
        #expect(lines.contains { $0.hasPrefix("-rw------- ") && $0.contains(" 300000 ") && $0.hasSuffix(" hard") }, "\(lines)")
        #expect(lines.contains { $0.hasPrefix("lrwxrwxrwx ") && $0.hasSuffix(" soft") }, "\(lines)")
        #expect(lines.contains { $0.contains("%Capacity") }, "\(lines)")
        #expect(try FileIO.list(there) == ["copied", "hard", "sub"])
        #expect(try FileIO.read("\(there)/copied") == FileIO.read("\(there)/sub/moved"))
        #expect(try FileIO.status("\(there)/sub/moved")?.mode == 0o600)
    }

    @Test func `a copy that was broken off goes on where it was`() async throws {
        let node = try await TestNode()
        let there = try node.folder("there")
        let bytes = SeededRandomness(seed: 3).bytes(700_000)
        try FileIO.write(bytes, to: "\(there)/whole", mode: 0o644)
        try FileIO.write(Array(bytes.prefix(300_000)), to: "\(there)/part", mode: 0o644)
        try FileIO.write(Array(bytes.prefix(1)), to: "\(there)/down", mode: 0o644)
        let outcome = try await node.sftp("reput \(there)/whole \(there)/part\nreget \(there)/whole \(there)/down")
        #expect(outcome.exit == .status(0), "\(outcome.errors)")
        #expect(try FileIO.read("\(there)/part") == bytes)
        #expect(try FileIO.read("\(there)/down") == bytes)
    }

    @Test func `errors are told for what they are`() async throws {
        let node = try await TestNode()
        let there = try node.folder("there")
        try FileIO.createDirectory("\(there)/full/entry")
        for (command, message) in [
            ("get \(there)/none \(there)/x", "not found"), ("ls \(there)/none", "not found"), ("rmdir \(there)/full", "Failure"),
            ("cd \(there)/none", "No such file"), ("symlink x \(there)/full", "Failure"),
        ] {
            let outcome = try await node.sftp(command)
            #expect(outcome.exit == .status(1), "\(command)")
            #expect(outcome.errors.contains(message), "\(command): \(outcome.errors)")
        }
    }

    @Test func `a directory of many names is listed whole`() async throws {
        let node = try await TestNode()
        let there = try node.folder("there")
        _ = try await node.run("/bin/bash", ["-c", "cd \(there) && seq -f 'a-rather-long-name-%.0f' 20000 | xargs touch"])
        let outcome = try await node.sftp("ls -1 \(there)")
        #expect(outcome.lines.filter { $0.contains("a-rather-long-name-") }.count == 20000)
    }

    @Test func `scp's paths are what a shell would make of them, but nothing is run`() async throws {
        let node = try await TestNode()
        let (there, back) = (try node.folder("there"), try node.folder("back"))
        for name in ["one.txt", "two.txt", "with blank.txt", "three.log"] {
            try FileIO.write(Array(name.utf8), to: "\(there)/\(name)", mode: 0o644)
        }
        let outcome = try await node.scp(["-O", "-T", "127.0.0.1:'\(there)/with blank.txt' \(there)/t*.log", back])
        #expect(outcome.exit == .status(0), "\(outcome.errors)")
        #expect(try FileIO.list(back) == ["three.log", "with blank.txt"])
        for path in [
            "$(touch \(there)/never)", "`touch \(there)/never`", "\(there)/one.txt; touch \(there)/never", "x|touch \(there)/never",
        ] {
            let outcome = try await node.scp(["-O", "127.0.0.1:\(path)", back])
            #expect(outcome.exit == .status(1), "\(path)")
        }
        #expect(try FileIO.status("\(there)/never") == nil)
    }

    @Test(arguments: copyProtocols)
    func `what cannot be copied is told, and the rest is copied`(protocolOption: [String]) async throws {
        let node = try await TestNode()
        let (there, back) = (try node.folder("there"), try node.folder("back"))
        try FileIO.createDirectory("\(there)/directory")
        try FileIO.write([1], to: "\(there)/file", mode: 0o644)
        let outcome = try await node.scp(
            protocolOption + ["127.0.0.1:\(there)/none", "127.0.0.1:\(there)/directory", "127.0.0.1:\(there)/file", back])
        #expect(outcome.exit == .status(1))
        #expect(outcome.errors.contains("\(there)/directory"), "\(outcome.errors)")
        #expect(try FileIO.list(back) == ["file"])
        let up = try await node.scp(protocolOption + ["\(there)/file", "127.0.0.1:\(there)/none/at/all"])
        #expect(up.exit == .status(1))
    }

    @Test func `a client that dies in the middle leaves no process behind`() async throws {
        let node = try await TestNode()
        let key = try node.write()
        let directory = node.directory
        try FileIO.write([1], to: "\(directory)/held", mode: 0o600)
        var requests = SFTPRequest.initialize(version: 3).framed(id: 0)
        requests += SFTPRequest.open(path: Array("\(directory)/held".utf8), flags: .read, attributes: SFTPAttributes()).framed(id: 1)
        try FileIO.write(requests, to: "\(directory)/requests", mode: 0o600)
        let ssh = (["/usr/bin/ssh", "-s"] + node.arguments(key: key) + ["sftp"]).joined(separator: " ")
        // Whoever has the file open is the process that serves; `tail` ends with it.
        let script = """
            mkfifo \(directory)/in \(directory)/out
            \(ssh) <\(directory)/in >\(directory)/out & client=$!
            exec 8>\(directory)/in 9<\(directory)/out
            cat \(directory)/requests >&8
            head -c 20 <&9 >/dev/null
            while [ -z "$server" ]; do
                for link in /proc/[0-9]*/fd/*; do [ "$link" -ef \(directory)/held ] && server=${link#/proc/} && server=${server%%/*}; done
            done
            kill -KILL $client
            tail --pid=$server -f /dev/null
            echo gone
            """
        let outcome = try await node.run("/bin/bash", ["-c", script])
        #expect(outcome.text == "gone\n", "\(outcome.errors)")
    }
}

@Suite("Who may transfer files", .timeLimit(.minutes(2)))
struct FileTransferAccessTests {
    private static let noCopy = [
        Role.defaults[1],
        Role(name: "no-copy", allow: RoleConditions(), options: RoleOptions(permitFileCopy: false)),
    ]

    @Test func `a role that permits no file copy is told so, whatever else the user's roles permit`() async throws {
        let node = try await TestNode(roles: Self.noCopy)
        let credential = TestNode.Credential(roles: #"["access","no-copy"]"#)
        let reason = "your role does not permit file copy"
        let subsystem = try await node.ssh("sftp", options: ["-s"], credential: credential)
        #expect(subsystem.exit == .status(1) && subsystem.errors.contains(reason), "\(subsystem.errors)")
        let sftp = try await node.sftp("ls", credential: credential)
        #expect(sftp.exit == .status(255) && sftp.errors.contains(reason), "\(sftp.errors)")
        for command in ["scp -t /tmp", "scp -r -p -f /etc"] {
            let outcome = try await node.ssh(command, credential: credential)
            #expect(outcome.exit == .status(1) && outcome.errors.contains(reason), "\(outcome.errors)")
        }
        #expect(try await node.ssh("echo in", credential: credential).text == "in\n")
        #expect(try await node.ssh("sftp", options: ["-s"]).exit == .status(0), "the other role alone permits it")
    }

    @Test func `a forced command runs in place of a transfer`() async throws {
        let node = try await TestNode()
        let credential = TestNode.Credential(critical: [CriticalOption.forceCommand: "echo forced; echo $SSH_ORIGINAL_COMMAND"])
        let subsystem = try await node.ssh("sftp", options: ["-s"], credential: credential)
        #expect(subsystem.lines == ["forced", "internal-sftp"])
        let copy = try await node.ssh("scp -t /tmp", credential: credential)
        #expect(copy.lines == ["forced", "scp -t /tmp"])
    }

    @Test(arguments: ["true", "scp -f /etc/shadow"])
    func `internal-sftp as a forced command serves SFTP and nothing else`(command: String) async throws {
        let node = try await TestNode()
        let credential = TestNode.Credential(critical: [CriticalOption.forceCommand: "internal-sftp"])
        let outcome = try await node.ssh(command, credential: credential, input: SFTPRequest.initialize(version: 3).framed(id: 0))
        let (_, reply) = try SFTPReply.parse(Array(outcome.output.dropFirst(4)).span)
        #expect(reply == .version(3, extensions: SFTPServer.extensions))
    }

    @Test func `an account without a login shell transfers nothing`() async throws {
        for shell in ["/usr/sbin/nologin", "/bin/false", "/opt/only-this"] {
            let account = UserAccount(
                name: "svc", identifier: UserAccounts.effectiveIdentifier, group: 0, groups: [0], home: "/", shell: shell)
            for service in [SessionService.sftp, .scp] {
                let message = SessionChildMessage(
                    account: account, service: service, arguments: [Array("scp -f /etc/passwd".utf8)], environment: [], hasTerminal: false)
                let outcome = try await SessionChildTests.child(message.framed(), input: SFTPRequest.initialize(version: 3).framed(id: 0))
                #expect(outcome.exit == .status(1) && outcome.output.isEmpty)
                #expect(outcome.errors.contains(shell), "\(outcome.errors)")
            }
        }
    }

    @Test(.enabled(if: UserAccounts.effectiveIdentifier == 0, "needs root"))
    func `every file is opened as the user, and as nobody else`() async throws {
        let requests: [SFTPRequest] = [
            .initialize(version: 3),
            .open(path: Array("/etc/shadow".utf8), flags: .read, attributes: SFTPAttributes()),
            .open(path: Array("/etc/never".utf8), flags: [.write, .create], attributes: SFTPAttributes()),
            .remove(path: Array("/etc/passwd".utf8)),
            .setStatus(path: Array("/etc/passwd".utf8), SFTPAttributes(permissions: 0o666)),
            .openDirectory(path: Array("/root".utf8)),
            .open(path: Array("/proc/1/mem".utf8), flags: .read, attributes: SFTPAttributes()),
            .open(path: Array("/etc/passwd".utf8), flags: .read, attributes: SFTPAttributes()),
        ]
        var input: [UInt8] = []
        for (id, request) in requests.enumerated() { input += request.framed(id: UInt32(id)) }
        let message = SessionChildMessage(
            account: SessionChildTests.nobody, service: .sftp, arguments: [], environment: [], hasTerminal: false)
        let outcome = try await SessionChildTests.child(message.framed(), input: input)
        #expect(outcome.exit == .status(0), "\(outcome.errors)")
        var replies: [SFTPReply] = []
        var rest = outcome.output
        while let range = try SFTPPacket.first(in: rest.span) {
            replies.append(try SFTPReply.parse(rest.span.extracting(range)).reply)
            rest.removeFirst(range.upperBound)
        }
        let denied = SFTPReply.status(.permissionDenied, message: "Permission denied")
        #expect(Array(replies.dropFirst().dropLast()) == [SFTPReply](repeating: denied, count: 6), "\(replies)")
        #expect(replies.last == .handle([0, 0, 0, 0]))
    }

    struct Hostile: Sendable, CustomTestStringConvertible {
        let input: [UInt8]
        let testDescription: String

        init(_ input: String) {
            self.input = Array(input.utf8)
            testDescription = input
        }
    }

    static let hostile = [
        "C0644 1 ../escaped\nx\0", "C0644 1 /tmp/escaped\nx\0", "C0644 1 ..\nx\0", "C0644 1 \nx\0", "D0755 0 ..\nC0644 1 escaped\nx\0",
        "D0755 0 .\nE\n", "E\n", "C0644 -1 x\n", "C99999 1 x\n", "C0644 99999999999999999999 x\n", "Tnever 0 0 0\n", "X\n",
    ].map(Hostile.init)

    @Test(arguments: hostile)
    func `a source that names what it may not, or speaks no such protocol, is refused`(hostile: Hostile) async throws {
        let directory = "/tmp/scp-tests-\(SystemRandomness().uuid())"
        try FileIO.createDirectory("\(directory)/target")
        defer { try? FileIO.removeTree(directory) }
        let own = try #require(try UserAccounts.account(identifier: UserAccounts.effectiveIdentifier))
        let message = SessionChildMessage(
            account: own, service: .scp, arguments: [Array("scp -r -t \(directory)/target".utf8)], environment: [], hasTerminal: false)
        let outcome = try await SessionChildTests.child(message.framed(), input: hostile.input)
        #expect(outcome.exit == .status(1))
        #expect(outcome.output.prefix(2) == [0, 2], "\(outcome.text)")
        #expect(try FileIO.list(directory) == ["target"])
        #expect(try FileIO.list("\(directory)/target").isEmpty)
    }
}
