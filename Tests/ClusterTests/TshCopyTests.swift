import Base
import ClusterHarness
import Crypto
import EventLoop
import Testing

@Suite("tsh scp and tsh sftp with an ordinary sshd", .serialized, .timeLimit(.minutes(5)))
struct TshCopyTests {
    /// Runs `script` in a folder of its own with `$scp`, `$sftp` and `$there`, another folder that the node `name` sees too.
    ///
    /// - Parameter subsystem: what the node runs for SFTP.
    private func run(_ name: String, _ number: UInt8, subsystem: String = "internal-sftp", _ script: String) async throws -> Outcome {
        let harness = try await ClusterHarness.shared()
        let server = try await PlainServer(
            name: name, cluster: "east", address: harness.freeAddress(number), port: 2222, subsystem: subsystem, harness)
        defer { server.stop() }
        try await harness.list(
            node: name, uuid: SystemRandomness().uuid(), address: "\(server.address):\(server.port)", in: "east")
        let person = try await harness.person()
        let tsh = ([harness.programs.tsh] + person.tshArguments).joined(separator: " ")
        let all = """
            scp="\(tsh) scp"; sftp="\(tsh) sftp"; node=\(harness.login)@\(name)@east
            there=\(person.folder)/there; mkdir -p $there \(person.folder)/here; cd \(person.folder)/here
            \(script)
            """
        return try await harness.runner.run("/bin/bash", ["-c", all])
    }

    @Test func `files go there and come back, with names, modes and times`() async throws {
        let outcome = try await run(
            "copy1", 10,
            """
            head -c 3000001 /dev/urandom > 'a b'; : > empty; chmod 640 'a b'; touch -d 2001-02-03T04:05:06Z 'a b'
            $scp -p 'a b' empty $node:$there/ && cmp 'a b' $there/'a b' && stat -c '%a %Y %s' $there/'a b' $there/empty
            mkdir back; $scp -p "$node:$there/a b" $node:$there/emp* back && cmp 'a b' back/'a b' && stat -c '%a %Y' back/'a b'; ls back
            $scp $node:$there/empty other; ls other
            """)
        #expect(
            outcome.lines.filter { !$0.hasSuffix(" 0") } == ["640 981173106 3000001", "640 981173106", "a b", "empty", "other"],
            "\(outcome)")
    }

    @Test func `trees go there and come back, links followed`() async throws {
        let outcome = try await run(
            "copy2", 11,
            """
            mkdir -p t/d/e; echo one > t/d/e/1; echo two > t/2; ln -s 2 t/link; chmod 711 t/d
            $scp -r t $node:$there && $scp -r $node:$there/t back && diff -r t back && stat -c %a back/d && test ! -L back/link && echo same
            $scp t $node:$there; echo $?
            $scp $node:$there/t x; echo $?
            """)
        #expect(outcome.lines == ["711", "same", "1", "1"], "\(outcome)")
        let errors = outcome.errors.split(separator: "\n")
        #expect(
            errors.count == 2 && errors.allSatisfy { $0.hasPrefix("ERROR: ") && $0.hasSuffix("t is a directory; use -r") }, "\(outcome)")
    }

    @Test func `a part is continued when that is asked for, and a longer file is cut`() async throws {
        let outcome = try await run(
            "copy3", 12,
            """
            head -c 500000 /dev/urandom > f; head -c 200000 f > $there/f; head -c 100000 f > g; head -c 900000 /dev/zero > h
            $scp --resume f $node:$there/f && cmp f $there/f && echo up
            $scp --resume $node:$there/f g && cmp f g && echo down
            $scp $node:$there/f h && cmp f h && echo cut
            cp h $there/long; head -c 5 f > short; $scp short $node:$there/long; stat -c %s $there/long
            """)
        #expect(outcome.lines == ["up", "down", "cut", "5"], "\(outcome)")
    }

    @Test func `what cannot be copied is one line and status 1, and the rest is copied`() async throws {
        let outcome = try await run(
            "copy4", 13,
            """
            echo a > a; $scp nosuch a $node:$there; echo $?; cat $there/a
            $scp $node:$there/nosuch .; echo $?; $scp a $node:/nosuch/x; echo $?
            """)
        #expect(outcome.lines == ["1", "a", "1", "1"], "\(outcome)")
        let errors = outcome.errors.split(separator: "\n")
        #expect(errors.count == 3 && errors.allSatisfy { $0.hasPrefix("ERROR: ") && $0.contains("nosuch") }, "\(outcome)")
    }

    @Test func `sftp takes commands from stdin, and ends at the first that fails`() async throws {
        let outcome = try await run(
            "copy5", 14,
            """
            echo one > one; mkdir sub
            $sftp $node:$there <<EOF
            put one "two words"
            mkdir d
            -mkdir d
            rename "two words" d/three
            ls d
            chmod 600 d/three
            lcd sub
            get d/three
            ln -s three d/link
            rm d/*
            rmdir d
            get nosuch
            put one never
            EOF
            echo $?; cat sub/three; stat -c %a sub/three; ls $there
            """)
        #expect(outcome.lines == ["three", "1", "one", "600"], "\(outcome)")
    }

    /// Lists `name` in every directory, and every path is one.
    private func hostileServer(_ name: String, _ harness: ClusterHarness) throws -> String {
        let path = "\(harness.directory)/hostile-\(SystemRandomness().uuid())"
        let program = """
            #!/usr/bin/python3
            import sys, struct
            i, o = sys.stdin.buffer, sys.stdout.buffer
            text = lambda b: struct.pack(">I", len(b)) + b
            attributes = struct.pack(">II", 4, 0o40755)
            given = False
            while True:
                head = i.read(4)
                if len(head) < 4: break
                packet = i.read(struct.unpack(">I", head)[0])
                kind, number = packet[0], packet[1:5]
                if kind == 1: reply = bytes([2]) + struct.pack(">I", 3)
                elif kind == 11: reply = bytes([102]) + number + text(b"h")
                elif kind in (7, 8, 17): reply = bytes([105]) + number + attributes
                elif kind == 12 and not given:
                    given = True
                    reply = bytes([104]) + number + struct.pack(">I", 1) + text(bytes.fromhex("\(Hex.encode(Array(name.utf8)))")) + text(b"x") + attributes
                elif kind == 12: reply = bytes([101]) + number + struct.pack(">I", 1) + text(b"") + text(b"")
                else: reply = bytes([101]) + number + struct.pack(">I", 0) + text(b"") + text(b"")
                o.write(text(reply)); o.flush()

            """
        try FileIO.write(Array(program.utf8), to: path, mode: 0o755)
        return path
    }

    @Test(arguments: ["../escaped", "/tmp/escaped", "a/b", ".", "\u{1b}[2Jx/"])
    func `a hostile node writes nothing but what was asked for`(name: String) async throws {
        let harness = try await ClusterHarness.shared()
        let server = try hostileServer(name, harness)
        let number = UInt8(20 + name.utf8.count)
        let outcome = try await run(
            "hostile\(number)", number, subsystem: server, "$scp -r $node:wanted .; echo $?; find .. -name '*escaped*' -o -name b")
        if name == "." {
            #expect(outcome.lines == ["0"], "\(outcome)")
        } else {
            #expect(outcome.lines == ["1"], "\(outcome)")
            #expect(outcome.errors.contains("which is no file's name") && !outcome.errors.contains("\u{1b}"), "\(outcome)")
        }
    }
}
