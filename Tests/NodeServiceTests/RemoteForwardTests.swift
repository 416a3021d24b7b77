import Base
import ClusterModel
import EventLoop
import SSHEngine
import SSHNet
import SSHWire
import Testing

@Suite("Remote forwards, by a client that does what no stock client does", .timeLimit(.minutes(2)))
struct RemoteForwardTests {
    private func forward(_ client: NodeClient, isolation: isolated (any Actor)? = #isolation) async throws -> UInt16 {
        guard case .success(let payload) = await client.ask(.tcpipForward(address: "localhost", port: 0)) else {
            throw TeleportError.notFound("no forward")
        }
        try #require(payload.count == 4)
        return UInt16(payload[2]) << 8 | UInt16(payload[3])
    }

    @Test func `a forward is named by the client's words and the port that was chosen`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            let port = try await forward(client)
            async let answer = node.exchange([], with: .ip(.loopback4, port: port))
            await client.wait { !client.opens.isEmpty }
            let open = try ChannelOpenType(type: client.opens[0].type, payload: client.opens[0].payload)
            guard case .forwardedTCPIP(let endpoints) = open else {
                Issue.record("\(open)")
                return
            }
            #expect(endpoints.host == "localhost" && endpoints.port == port)
            #expect(endpoints.originatorAddress == "127.0.0.1" && endpoints.originatorPort > 0)
            client.opens[0].refuse(.connectFailed, "nobody there")
            #expect(try await answer.isEmpty)
        }
    }

    @Test func `the same user on another connection cannot cancel a forward, nor make it again`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let owner = try await NodeClient.connect(to: node, on: eventLoop.inside)
            let other = try await NodeClient.connect(to: node, on: eventLoop.inside)
            let port = try await forward(owner)
            let path = "\(node.directory)/socket"
            #expect(await owner.ask(.streamLocalForward(path: path)) == .success(payload: []))
            #expect(await other.ask(.cancelTCPIPForward(address: "localhost", port: port)) == .failure)
            #expect(await other.ask(.cancelStreamLocalForward(path: path)) == .failure)
            #expect(await other.ask(.tcpipForward(address: "localhost", port: port)) == .failure)
            #expect(await other.ask(.streamLocalForward(path: path)) == .failure)
            other.connection?.disconnect(.byApplication, "done")
            await other.wait { other.isClosed }
            async let answer = node.exchange([], with: .ip(.loopback4, port: port))
            await owner.wait { !owner.opens.isEmpty }
            owner.opens[0].refuse(.connectFailed, "")
            _ = try await answer
            #expect(await owner.ask(.cancelTCPIPForward(address: "elsewhere", port: port)) == .failure)
            #expect(await owner.ask(.cancelTCPIPForward(address: "localhost", port: port)) == .success(payload: []))
            #expect(await owner.ask(.cancelTCPIPForward(address: "localhost", port: port)) == .failure)
            #expect(await owner.ask(.cancelStreamLocalForward(path: path)) == .success(payload: []))
        }
    }

    @Test func `a role that loses port forwarding ends what listens, and permits no more of it`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            let port = try await forward(client)
            let path = "\(node.directory)/socket"
            #expect(await client.ask(.streamLocalForward(path: path)) == .success(payload: []))
            let narrowed = Role.defaults.map { role in
                var role = role
                role.options.permitPortForwarding = false
                return role
            }
            await node.update(TestNode.snapshot(node.userAuthority, roles: narrowed))
            #expect(await client.ask(.tcpipForward(address: "localhost", port: 0)) == .failure)
            await #expect(throws: TeleportError.self) { try await node.exchange([], with: .ip(.loopback4, port: port)) }
            await #expect(throws: TeleportError.self) { try await node.exchange([], with: .unix(path: path)) }
            #expect(try await client.open(.directStreamLocal(path: path)).refusal?.reason == .administrativelyProhibited)
            #expect(try await client.open().isOpen)
        }
    }

    @Test func `a flood of connections to a forward waits in the kernel while the client answers none`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let client = try await NodeClient.connect(to: node, on: loop)
            let port = try await forward(client)
            var streams: [TCPStream] = []
            let crowd = Observed()
            for _ in 0..<600 {
                TCPStream.connect(to: [.ip(.loopback4, port: port)], timeout: .seconds(20), on: loop) { result in
                    if let stream = try? result.get() { streams.append(stream) }
                    crowd.changed()
                }
            }
            await crowd.wait { streams.count == 600 }
            await client.wait { client.opens.count == 512 }
            for _ in 0..<50 { _ = await client.ask("keepalive@openssh.com") }
            #expect(client.opens.count == 512)
            client.opens[0].refuse(.connectFailed, "no")
            await client.wait { client.opens.count == 513 }
            let session = try await client.open()
            #expect(session.isOpen, "the client keeps room for channels of its own")
            for stream in streams { stream.close() }
        }
    }

    @Test func `a client that reads nothing of a forward stops who writes, and loses nothing`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            let port = try await forward(client)
            let sent = patterned(16 << 20)
            async let answer = node.exchange(sent, with: .ip(.loopback4, port: port))
            await client.wait { !client.opens.isEmpty }
            let recorder = ChannelRecorder()
            recorder.consumes = false
            recorder.channel = client.opens[0].accept(handler: recorder)
            let window = Int(EngineLimits().windowBytesFirst)
            await recorder.wait { recorder.bytes.count == window }
            for _ in 0..<50 { _ = await client.ask("keepalive@openssh.com") }
            #expect(recorder.bytes.count == window)
            recorder.consumeAll()
            await recorder.wait { recorder.hasEnded }
            let isSame = recorder.bytes == sent
            #expect(isSame, "\(recorder.bytes.count) bytes")
            recorder.channel?.write(Array("thanks".utf8))
            recorder.channel?.close()
            #expect(try await String(decoding: answer, as: UTF8.self) == "thanks")
        }
    }

    @Test func `forwards beyond the bound of one connection are refused`() async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            for _ in 0..<128 { _ = try await forward(client) }
            #expect(await client.ask(.tcpipForward(address: "localhost", port: 0)) == .failure)
            #expect(await client.ask(.streamLocalForward(path: "\(node.directory)/socket")) == .failure)
        }
    }

    @Test(arguments: ["", "relative", "/tmp/\(String(repeating: "x", count: 104))"])
    func `a path that no socket can have is refused`(path: String) async throws {
        let node = try await TestNode()
        try await onLoop { eventLoop in
            let client = try await NodeClient.connect(to: node, on: eventLoop.inside)
            #expect(await client.ask(.streamLocalForward(path: path)) == .failure)
            #expect(try await client.open(.directStreamLocal(path: path)).refusal?.reason == .connectFailed)
        }
    }
}
