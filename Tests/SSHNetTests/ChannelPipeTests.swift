import Base
import Crypto
import EventLoop
import SSHEngine
import SSHNet
import SSHWire
import Testing

@Suite("ChannelPipe")
struct ChannelPipeTests {
    /// Joins every channel to a new connection to `address`, as a forward does.
    private static func forward(to address: SocketAddress, closed: Closings, counting relayed: RelayedBytes? = nil) -> (ChannelOpenRequest)
        -> Void
    {
        { request in
            TCPStream.connect(to: [address], timeout: .seconds(5), on: request.connection.loop) { result in
                switch result {
                case .success(let stream):
                    let channel = request.accept(handler: EchoChannel())
                    ChannelPipe.join(channel, .stream(stream), counting: relayed) {
                        closed.count += 1
                        closed.changed()
                    }
                case .failure(let error): request.refuse(.connectFailed, error.message)
                }
            }
        }
    }

    @Test func `a channel to a stream carries megabytes, and each end by itself`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let target = try TCPListener(address: SocketAddress(.loopback4, port: 0), on: loop) { stream in
                stream.handler = CountThenAnswer()
                stream.resumeReading()
            }
            let closed = Closings()
            let relayed = RelayedBytes()
            let server = try TestServer(keys, on: loop, opens: Self.forward(to: target.address, closed: closed, counting: relayed))
            let side = Side(keys)
            let connection = try await dial(server.listener.address, keys.client, side, on: loop)
            await side.wait { side.isReady || side.isClosed }
            let collector = Collector()
            let channel = connection.openChannel(type: "direct-tcpip", handler: collector)
            await collector.wait { collector.isOpen || collector.refusal != nil }
            collector.pump(megabytes(3, seed: 3), into: channel)
            await collector.wait { collector.hasEnded }
            #expect(String(decoding: collector.bytes, as: UTF8.self) == "\(3 << 20)")
            channel.close()
            await closed.wait { closed.count == 1 }
            await collector.wait { collector.isClosed }
            #expect(relayed.fromFirst == 3 << 20 && relayed.fromSecond == collector.bytes.count)
        }
    }

    @Test func `a slow reader holds back the fast writer behind the pipe`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let source = Flood()
            let target = try TCPListener(address: SocketAddress(.loopback4, port: 0), on: loop) { stream in
                stream.handler = source
                source.go(stream)
            }
            let server = try TestServer(keys, on: loop, opens: Self.forward(to: target.address, closed: Closings()))
            let side = Side(keys)
            let connection = try await dial(server.listener.address, keys.client, side, on: loop)
            await side.wait { side.isReady || side.isClosed }
            let miser = Miser()
            connection.openChannel(type: "direct-tcpip", handler: miser)
            // The window, the queues and the kernel's buffers fill; then nothing moves.
            await source.wait { source.isHeld }
            #expect(source.written < 64 << 20)
            #expect(miser.received <= 2 << 20)
        }
    }

    @Test func `a channel to a channel joins two connections, with SSH inside of SSH`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let nodeKeys = TestKeys()
            let proxyKeys = TestKeys()
            let node = try TestServer(nodeKeys, on: loop) { $0.accept(handler: EchoChannel()) }

            // A target that serves SSH on its channels, as a node behind a tunnel does.
            let tunnelled = Side(nodeKeys)
            tunnelled.opens = { $0.accept(handler: EchoChannel()) }
            let agent = try TestServer(proxyKeys, on: loop) { request in
                let channel = request.accept(handler: EchoChannel())
                let transport = ChannelTransport(channel)
                _ = SSHConnection.over(transport: transport, configuration: nodeKeys.server, handler: tunnelled, on: loop)
            }
            let tunnelSide = Side(proxyKeys)
            let tunnel = try await dial(agent.listener.address, proxyKeys.client, tunnelSide, on: loop)
            await tunnelSide.wait { tunnelSide.isReady || tunnelSide.isClosed }

            // A proxy that joins a user's channel to one of the tunnel.
            let proxy = try TestServer(proxyKeys, on: loop) { request in
                let joining = Joining(request)
                tunnel.openChannel(type: "teleport-transport", handler: joining)
            }
            let outerSide = Side(proxyKeys)
            let outer = try await dial(proxy.listener.address, proxyKeys.client, outerSide, on: loop)
            await outerSide.wait { outerSide.isReady || outerSide.isClosed }

            let innerSide = Side(nodeKeys)
            let inner = SSHConnection.over(
                transport: ChannelTransport(opening: "direct-tcpip", payload: [], on: outer), configuration: nodeKeys.client,
                handler: innerSide, on: loop)
            await innerSide.wait { innerSide.isReady || innerSide.isClosed }
            #expect(innerSide.error == nil)
            let payload = megabytes(2, seed: 8)
            let collector = Collector()
            let channel = inner.openChannel(type: "session", handler: collector)
            await collector.wait { collector.isOpen }
            collector.pump(payload, into: channel)
            await collector.wait { collector.isClosed || innerSide.isClosed }
            expectSame(collector.bytes, payload)
            #expect(collector.exitStatus == 7)
            inner.disconnect(.byApplication, "done")
            await innerSide.wait { innerSide.isClosed }
            #expect(innerSide.error == nil)
            #expect(node.listener.connectionCount == 0)
        }
    }
}

@Suite("ChannelTransport")
struct ChannelTransportTests {
    @Test func `a refused channel ends the inner connection with the words of the refusal`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, on: loop) { $0.refuse(.connectFailed, "db1 is not registered") }
            let outerSide = Side(keys)
            let outer = try await dial(server.listener.address, keys.client, outerSide, on: loop)
            await outerSide.wait { outerSide.isReady || outerSide.isClosed }
            let innerSide = Side(keys)
            let transport = ChannelTransport(opening: "direct-tcpip", payload: [], on: outer)
            let inner = SSHConnection.over(transport: transport, configuration: keys.client, handler: innerSide, on: loop)
            await innerSide.wait { innerSide.isClosed }
            #expect(innerSide.error?.message == "db1 is not registered")
            #expect(inner.user == nil)
        }
    }
}

/// How many pipes have ended.
private final class Closings: Observed {
    var count = 0
}

/// Accepts the request once the other channel is open, and joins the two.
private final class Joining: ChannelHandler {
    private let request: ChannelOpenRequest
    init(_ request: ChannelOpenRequest) { self.request = request }
    func channelOpened(_ channel: SSHChannel) { ChannelPipe.join(request.accept(handler: EchoChannel()), .channel(channel)) }
    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) { request.refuse(reason, message) }
    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {}
    func channelClosed(_ channel: SSHChannel) {}
}

/// Counts until the end of file, and answers with the count.
private final class CountThenAnswer: StreamHandler {
    private var count = 0
    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) { count += bytes.count }
    func streamEnded(_ stream: Stream) {
        stream.write(Array("\(count)".utf8))
        stream.closeAfterWrites()
    }
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) {}
}

/// Takes what comes and never asks for more.
private final class Miser: ChannelHandler {
    var received = 0
    func channel(_ channel: SSHChannel, received data: Span<UInt8>) { received += data.count }
    func channelClosed(_ channel: SSHChannel) {}
}

/// Writes without end while there is room; held when there has been none for a while.
private final class Flood: Observed, StreamHandler {
    var written = 0
    var isHeld = false
    private var timer: LoopTimer?

    func go(_ stream: Stream) {
        let block = [UInt8](repeating: 0x5a, count: 64 << 10)
        while stream.isWritable, written < 256 << 20 {
            stream.write(block)
            written += block.count
        }
        timer?.cancel()
        timer = stream.loop.schedule(after: .milliseconds(100)) { [unowned self] in
            isHeld = true
            changed()
        }
    }
    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {}
    func streamEnded(_ stream: Stream) {}
    func streamDrained(_ stream: Stream) { go(stream) }
    func streamClosed(_ stream: Stream, error: TeleportError?) {}
}
