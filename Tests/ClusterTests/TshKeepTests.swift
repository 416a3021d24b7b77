import Base
import ClusterHarness
import Config
import Crypto
import EventLoop
import Testing

@Suite("a connection kept for several commands", .serialized, .timeLimit(.minutes(5)))
final class TshKeepTests {
    private let eastNode = "db1@east"
    /// A socket's path has to be short.
    private let home = "/tmp/tsh-\(Hex.encode(SystemRandomness().bytes(4)))"

    deinit {
        try? FileIO.removeTree(home)
    }

    /// In a home directory of its own, with words for a script:
    ///
    ///     keep ARGUMENTS    keeps a connection until the end, once it says that it does
    ///     apart COMMAND     runs tsh where no network is: only a connection that is kept leads anywhere
    ///     plain WORDS       OpenSSH, which comes to nodes of east by `tsh proxy ssh`
    ///     plainApart WORDS  the same where no network is
    private func run(_ script: String, as person: Person, through line: LongLine? = nil) async throws -> Outcome {
        try FileIO.createDirectory(home)
        let proxy = line.map { "\($0.address):3080,\($0.port)" } ?? person.proxyHost
        let relay = "\(person.harness.programs.tsh) -i \(person.identity) --cluster=east proxy ssh %r@%h:%p"
        let words = """
            cd \(home); export HOME=$PWD TELEPORT_PROXY=\(proxy)
            program=(\(person.harness.programs.tsh) -i \(person.identity))
            tsh() { "${program[@]}" "$@"; }
            apart() { unshare -n "${program[@]}" "$@"; }
            plain() { ssh -F \(person.sshConfigPath) -o ProxyCommand='\(relay)' "$@"; }
            plainApart() { ssh -F \(person.sshConfigPath) -o ProxyCommand='unshare -n \(relay)' "$@"; }
            keep() {
                rm -f said; mkfifo said; "${program[@]}" proxy keep "$@" >said 2>errors & keeper=$!
                read -r line <said; echo "$line" >kept
            }
            trap '[ -z "$keeper" ] || kill $keeper 2>/dev/null' EXIT
            \(script)
            """
        return try await person.harness.runner.run("/bin/bash", ["-c", words])
    }

    @Test func `a command over it shows its output after two round trips`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        var outcomes: [String] = []
        // Where tsh itself is late by more than the line is long, its words count as of a later round trip: a longer line tells.
        for roundTrip: Duration in [.milliseconds(500), .seconds(3)] {
            let line = try await LongLine(to: person.proxy.ssh, roundTrip, on: harness.eventLoop)
            let begun = try await run("keep --time=60; trap - EXIT; cat kept; echo $keeper", as: person, through: line)
            #expect(begun.lines.first == "the connection to \(line.address):\(line.port) is kept", "\(begun)")
            await line.carryOnly(2)
            let outcome = try await run(
                "keeper=\(begun.lines.last ?? ""); apart ssh \(harness.login)@\(eastNode) 'echo there and back'", as: person, through: line)
            if outcome.text == "there and back\n", outcome.exit == .status(0) { return }
            outcomes.append("\(outcome)")
        }
        Issue.record("\(outcomes)")
    }

    @Test func `the first command that wants it starts it behind, for ssh, scp and sftp`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let target = "\(harness.login)@\(eastNode)"
        let outcome = try await run(
            """
            until apart ssh \(target) 'echo in; exit 7' >said 2>/dev/null || [ $? = 7 ]; do tsh ssh -o ControlPersist=1m \(target) true || exit; done
            cat said; echo something >file
            apart scp file \(target):$PWD/copy; cat copy
            echo "get $PWD/copy again" | apart sftp -b - \(target); cat again
            stat -c %a .tsh/control .tsh/control/?????*
            keeper=$(pgrep -f "^tsh proxy keep --time 60 .*\(person.identity)")
            echo ${keeper:+found}
            """, as: person)
        #expect(outcome.lines == ["in", "something", "something", "700", "600", "found"], "\(outcome)")
    }

    @Test func `OpenSSH comes to a node over it too, with what it says and hears intact`() async throws {
        let person = try await ClusterHarness.shared().person()
        let outcome = try await run(
            """
            until plainApart db1 'echo in; exit 7' >said 2>/dev/null || [ $? = 7 ]; do TELEPORT_CONTROL_PERSIST=1m plain db1 true || exit; done
            cat said; keeper=$(pgrep -f "^tsh proxy keep --time 60 .*\(person.identity)")
            head -c 20000000 /dev/urandom >file
            plainApart db1 cat <file | cmp - file && echo same
            plainApart nosuch true; echo $?
            """, as: person)
        #expect(outcome.lines == ["in", "same", "255"], "\(outcome)")
    }

    @Test func `what there is comes over it too, and a command for all nodes with a label`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let outcome = try await run(
            """
            keep
            apart ls --cluster=east | grep -o '^db[12] '
            apart clusters | grep -o '^east '
            apart --cluster=east ssh -l \(harness.login) role=db 'echo on' | grep '^db[12]: on' | sort
            kill -9 $keeper; wait $keeper 2>/dev/null
            apart clusters 2>/dev/null; echo $?; tsh clusters | grep -o '^east '
            """, as: person)
        #expect(outcome.lines == ["db1 ", "db2 ", "east ", "db1: on", "db2: on", "1", "east "], "\(outcome)")
    }

    @Test func `many commands go over it at the same time`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let outcome = try await run(
            """
            keep
            for number in {1..40}; do apart ssh \(harness.login)@\(eastNode) "head -c 200000 /dev/zero | wc -c" >$number & all+=($!); done
            wait "${all[@]}"; sort {1..40} | uniq -c
            """, as: person)
        #expect(outcome.text.split(whereSeparator: \.isWhitespace) == ["40", "200000"], "\(outcome)")
    }

    @Test func `what the proxy has to say is said as without it`() async throws {
        let person = try await ClusterHarness.shared().person()
        let outcome = try await run(
            "tsh ssh nosuch@east true 2>without; echo $?; keep; tsh ssh nosuch@east true 2>with; echo $?; cmp with without; cat with",
            as: person)
        #expect(outcome.lines.prefix(2) == ["255", "255"] && outcome.lines.count == 3, "\(outcome)")
        #expect(outcome.lines.last?.contains("nosuch") == true, "\(outcome)")
    }

    @Test func `one that was killed is in nobody's way, and another takes its place`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let target = "\(harness.login)@\(eastNode)"
        let outcome = try await run(
            """
            keep; kill -9 $keeper; wait $keeper 2>/dev/null
            tsh ssh \(target) 'echo without'
            keep; apart ssh \(target) 'echo with'
            tsh proxy keep; echo $?
            tsh ssh -o ControlPath=none \(target) 'echo alone'; apart ssh -o ControlPath=none \(target) true 2>/dev/null; echo $?
            """, as: person)
        #expect(outcome.lines == ["without", "with", "1", "alone", "255"], "\(outcome)")
        #expect(outcome.errors.contains("is kept already"), "\(outcome)")
    }

    @Test func `one whose connection has died unnoticed delays a command, and does not keep it`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let line = try await LongLine(to: person.proxy.ssh, .milliseconds(1), on: harness.eventLoop)
        let begun = try await run("keep --time=60; trap - EXIT; echo $keeper", as: person, through: line)
        await line.carryOnly(0)
        let outcome = try await run(
            """
            keeper=\(begun.lines.last ?? "")
            tsh ssh \(harness.login)@\(eastNode) 'echo at last'
            echo said | plain db1 'cat; echo and heard'
            """, as: person, through: line)
        #expect(outcome.lines == ["at last", "said", "and heard"], "\(outcome)")
    }

    @Test func `it ends when nobody uses it, and leaves no socket`() async throws {
        let person = try await ClusterHarness.shared().person()
        let outcome = try await run("tsh proxy keep --time=1; echo $?; ls .tsh/control", as: person)
        #expect(outcome.lines.dropFirst() == ["0", "lock"], "\(outcome)")
    }

    @Test func `it ends when it is told to, and leaves no socket`() async throws {
        let person = try await ClusterHarness.shared().person()
        let outcome = try await run("keep; kill $keeper; wait $keeper; echo $?; keeper=; ls .tsh/control", as: person)
        #expect(outcome.lines == ["0", "lock"], "\(outcome)")
    }

    @Test func `it ends with the login, and with the last session that goes over it`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let host = person.proxyHost
        _ = try person.logIn(home: home)
        let outcome = try await run(
            """
            program=(\(harness.programs.tsh))
            keep; mkfifo words; exec 5<>words
            coproc session { apart ssh \(harness.login)@\(eastNode) 'echo begun; read -r word; echo $word' <words; }
            exec 6<&${session[0]}; read -r line <&6; echo $line
            tsh logout; ls .tsh/control
            echo still there >&5; cat <&6
            wait $keeper; echo $?; keeper=
            """, as: person)
        #expect(outcome.lines == ["begun", "logged out of \(host)", "lock", "still there", "0"], "\(outcome)")
    }

    @Test func `it ends with the connection, and says why`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let line = try await LongLine(to: person.proxy.ssh, .milliseconds(1), on: harness.eventLoop)
        let begun = try await run("keep --time=60; trap - EXIT; echo $keeper", as: person, through: line)
        await line.cut()
        // It is no child of this script, but its last words are there when it has closed them.
        let outcome = try await run(
            "tail --pid=\(begun.lines.last ?? "") -s 0.1 -f /dev/null; cat errors; ls .tsh/control", as: person, through: line)
        #expect(outcome.lines.first?.hasPrefix("ERROR: the connection to the proxy \(line.address) was lost") == true, "\(outcome)")
        #expect(outcome.lines.last == "lock", "\(outcome)")
    }

    @Test func `whoever asks for anything but a node and what there is is hung up on`() async throws {
        let person = try await ClusterHarness.shared().person()
        let outcome = try await run(
            """
            keep
            /usr/bin/python3 - .tsh/control/?????* <<'END'
            import socket, sys
            for words in [b"\\n", b"proxysites2\\n", b"proxynodes:@nosuch\\n", b"auth@east\\n", b"PROXY:db1:0@east\\n", b"proxy:\\0\\n", b"x" * 5000, b"proxy:nosuch:0@east\\nSSH-2.0-x\\r\\n"]:
                peer = socket.socket(socket.AF_UNIX)
                peer.connect(sys.argv[1])
                try:
                    peer.sendall(words)
                    print(peer.recv(100))
                except (ConnectionResetError, BrokenPipeError):
                    print(b"")
            END
            """, as: person)
        #expect(outcome.lines == Array(repeating: "b''", count: 8), "\(outcome)")
    }
}
