import Base
import EventLoop
import SSHEngine
import SSHNet
import SSHWire
import Testing

@Suite("RFC 4254 at a node, by a client that does what no stock client does", .timeLimit(.minutes(2)))
struct NodeChannelTests {
    /// What a client lets the node send at first.
    private static let windowMax = Int(EngineLimits().windowBytesFirst)

    private func exit(_ session: ChannelRecorder) throws -> SessionRequest {
        let request = try #require(session.requests.last { $0.type.hasPrefix("exit-") })
        return try SessionRequest(type: request.type, payload: request.payload)
    }

    @Test func `what is not known is answered with a failure, and all goes on`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            #expect(await client.ask("no-such-request", payload: [1, 2, 3]) == .failure)
            #expect(await client.ask("tcpip-forward", payload: [0, 0, 0, 9]) == .failure)
            let session = try await client.open()
            for request in [
                SessionRequest.other(type: "x11-req", payload: [0]), .other(type: "no-such-request", payload: []),
                .other(type: "exec", payload: [0, 0, 0, 9, 1]), .other(type: "pty-req", payload: []), .exitStatus(0), .signal(name: "TERM"),
                .breakSignal(milliseconds: 1), .endOfWrite, .windowChange(WindowSize(columns: 1, rows: 1)),
                .environment(name: "LD_PRELOAD", value: "/tmp/evil.so"), .subsystem(name: "no-such-subsystem"),
            ] {
                #expect(await !session.ask(request), "\(request)")
            }
            #expect(await session.ask(command: "echo on"))
            #expect(await !session.ask(command: "echo twice"))
            await session.wait { session.isClosed }
            #expect(session.text == "on\n")
            #expect(try exit(session) == .exitStatus(0))
            for type in [
                ChannelOpenType.other(type: "x11", payload: []), .agent, .forwardedStreamLocal(path: "/x"),
                .transport(destination: #"{"host":"@auth"}"#),
            ] {
                #expect(try await client.open(type).refusal?.reason == .unknownChannelType, "\(type)")
            }
        }
    }

    @Test func `an end of input that comes before the command is one for the command`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            let session = try await client.open()
            session.channel?.sendEOF()
            #expect(await session.ask(command: "cat; echo end >&2; exit 4"))
            await session.wait { session.isClosed }
            #expect(String(decoding: session.errors, as: UTF8.self) == "end\n")
            #expect(try exit(session) == .exitStatus(4))
        }
    }

    @Test func `output goes on after the client's end, and a close takes the program with it`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            let (first, second) = (try await client.open(), try await client.open())
            #expect(await first.ask(command: "cat >/dev/null; echo first"))
            #expect(await second.ask(command: "echo $$; exec sleep 1000"))
            await second.wait { second.text.hasSuffix("\n") }
            second.channel?.close()
            await second.wait { second.isClosed }
            first.channel?.sendEOF()
            await first.wait { first.isClosed }
            #expect(first.text == "first\n" && first.hasEnded)
            let third = try await client.open()
            #expect(await third.ask(command: "tail --pid=\(second.text.dropLast()) -f /dev/null; echo gone"))
            await third.wait { third.isClosed }
            #expect(third.text == "gone\n")
        }
    }

    @Test func `a client that grants nothing stops the program, is told of its end all the same, and loses nothing`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            let session = try await client.open()
            session.consumes = false
            #expect(await session.ask(command: "head -c 9000000 /dev/zero; echo end >&2; exit 3"))
            await session.wait { session.bytes.count == Self.windowMax }
            for _ in 0..<50 { _ = await client.ask("keepalive@openssh.com") }
            #expect(session.bytes.count == Self.windowMax)
            session.consumeAll()
            await session.wait { session.isClosed }
            #expect(session.bytes.count == 9_000_000 && session.errors.count == 4)
            #expect(try exit(session) == .exitStatus(3))
        }
    }

    @Test func `a program that reads nothing stops the client, and gets all of it when it reads`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            let session = try await client.open()
            let gate = "\(node.directory)/gate"
            #expect(await session.ask(command: "mkfifo \(gate); echo up; read line <\(gate); wc -c"))
            await session.wait { session.text == "up\n" }
            let input = patterned(9_000_000)
            session.channel?.write(input)
            session.channel?.sendEOF()
            for _ in 0..<50 { _ = await client.ask("keepalive@openssh.com") }
            let other = try await client.open()
            #expect(await other.ask(command: "echo go >\(gate)"))
            await session.wait { session.isClosed }
            #expect(session.text == "up\n9000000\n")
        }
    }

    @Test func `signals reach the program while nothing is read, by each name that ends one`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            for name in ["ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1", "USR2"] {
                let session = try await client.open()
                // `tail` says that it is there: a shell would catch a signal that comes before its `exec`.
                let up = "\(node.directory)/up"
                #expect(await session.ask(command: "ulimit -c 0; echo up >\(up); exec tail -n 1 -f \(up)"))
                await session.wait { session.text == "up\n" }
                #expect(await !session.ask(.signal(name: "SIG\(name)")))
                #expect(await session.ask(.signal(name: name)))
                await session.wait { session.isClosed }
                guard case .exitSignal(name, coreDumped: _, message: _) = try exit(session) else {
                    Issue.record("\(name) is reported as \(try exit(session))")
                    return
                }
            }
        }
    }

    @Test func `a terminal takes a break and a size, zero too, and no second terminal`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            let session = try await client.open()
            let terminal = PseudoTerminalRequest(terminal: "vt100", size: WindowSize(columns: 0, rows: 0))
            #expect(await session.ask(.pseudoTerminal(terminal)))
            #expect(await !session.ask(.pseudoTerminal(terminal)))
            #expect(await session.ask(command: "stty size; read line; stty size"))
            await session.wait { session.text.contains("0 0") }
            #expect(await session.ask(.breakSignal(milliseconds: 500)))
            #expect(await session.ask(.windowChange(WindowSize(columns: .max, rows: 7))))
            session.channel?.write(Array("\n".utf8))
            await session.wait { session.isClosed }
            #expect(session.text.contains("7 65535"), "\(session.text)")
        }
    }

    @Test func `a client that takes no more output ends the program that writes on`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            let session = try await client.open()
            #expect(await session.ask(command: "yes; echo $? >&2"))
            await session.wait { session.bytes.count > 100 }
            #expect(await session.ask(.endOfWrite))
            await session.wait { session.isClosed }
            #expect(String(decoding: session.errors, as: UTF8.self).contains("141"), "ended by SIGPIPE")
        }
    }

    @Test(arguments: [("OpenSSH_9.2p1", true), ("dropbear_2022.83", false)])
    func `an OpenSSH client is told that the program reads no more, another is not`(software: String, isTold: Bool) async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, software: software, on: eventLoop.inside)
            let session = try await client.open()
            let gate = "\(node.directory)/gate"
            #expect(await session.ask(command: "exec <&-; mkfifo \(gate); echo up; read line <\(gate)"))
            await session.wait { session.text == "up\n" }
            for _ in 0..<10 {
                session.channel?.write([1])
                _ = await client.ask("keepalive@openssh.com")
            }
            if isTold { await session.wait { session.requests.contains { $0.type == "eow@openssh.com" } } }
            let other = try await client.open()
            #expect(await other.ask(command: "echo go >\(gate)"))
            await session.wait { session.isClosed }
            #expect(session.requests.contains { $0.type == "eow@openssh.com" } == isTold)
            #expect(try exit(session) == .exitStatus(0))
        }
    }

    @Test func `after no-more-sessions there are none, and forwards go on`() async throws {
        let node = try await TestNode()
        let target = try await node.echo()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            let session = try await client.open()
            #expect(await client.ask(.noMoreSessions) == .success(payload: []))
            let refused = try await client.open()
            #expect(refused.refusal?.reason == .administrativelyProhibited)
            #expect(refused.refusal?.message.contains("no more sessions") == true)
            let port = try #require(target.address.port)
            let forward = try await client.open(
                .directTCPIP(.init(host: "127.0.0.1", port: port, originatorAddress: "127.0.0.1", originatorPort: 1)))
            #expect(forward.isOpen)
            #expect(await session.ask(command: "true"))
        }
    }

    @Test func `sessions beyond the bound of one connection are refused one by one`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            var open: [ChannelRecorder] = []
            for _ in 0..<128 { open.append(try await client.open()) }
            let areOpen = open.allSatisfy { $0.isOpen }
            #expect(areOpen)
            #expect(try await client.open().refusal?.reason == .resourceShortage)
            open[0].channel?.close()
            await open[0].wait { open[0].isClosed }
            #expect(try await client.open().isOpen)
        }
    }

    @Test func `a forced command takes no signals`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(
                to: node, credential: .init(critical: [CriticalOption.forceCommand: "cat"]), on: eventLoop.inside)
            let session = try await client.open()
            #expect(await session.ask(.shell))
            #expect(await !session.ask(.signal(name: "KILL")))
            session.channel?.sendEOF()
            await session.wait { session.isClosed }
            #expect(try exit(session) == .exitStatus(0))
        }
    }
}
