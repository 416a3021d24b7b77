import Base
import Crypto
import EventLoop
import SSHEngine
import SSHNet
import SSHWire
import Testing

@Suite("SSHConnection")
struct SSHConnectionTests {
    private static func echo(_ request: ChannelOpenRequest) {
        request.accept(handler: EchoChannel())
    }

    @Test func `a client logs in, runs a command and hears how it ended`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, on: loop, opens: Self.echo)
            let side = Side(keys)
            let connection = try await dial(server.listener.address, keys.client, side, on: loop)
            await side.wait { side.isReady || side.isClosed }
            #expect(side.error == nil)
            #expect(connection.user == "alice")
            #expect(server.listener.connectionCount == 1)

            let collector = Collector()
            let channel = connection.openChannel(type: "session", handler: collector)
            await collector.wait { collector.isOpen }
            let replies = Box<[Bool]>([])
            channel.request("exec", payload: [0, 0, 0, 3, 0x63, 0x61, 0x74]) { replies.value.append($0) }
            channel.request("env") { replies.value.append($0) }
            channel.write(Array("through and back".utf8))
            channel.sendEOF()
            await collector.wait { collector.isClosed }
            #expect(replies.value == [true, false])
            #expect(String(decoding: collector.bytes, as: UTF8.self) == "through and back")
            #expect(collector.exitStatus == 7)
            #expect(collector.hasEnded)

            connection.disconnect(.byApplication, "done")
            await side.wait { side.isClosed }
            let served = try #require(server.sides.value.first)
            await served.wait { served.isClosed }
            #expect(side.error == nil)
            #expect(served.error == nil)
        }
    }

    @Test func `nine megabytes come back whole on three channels at once`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, on: loop, opens: Self.echo)
            let side = Side(keys)
            let connection = try await dial(server.listener.address, keys.client, side, on: loop)
            await side.wait { side.isReady || side.isClosed }
            let payload = megabytes(3, seed: 9)
            let collectors = [Collector(), Collector(), Collector()]
            for collector in collectors {
                let channel = connection.openChannel(type: "session", handler: collector)
                await collector.wait { collector.isOpen }
                collector.pump(payload, into: channel)
            }
            for collector in collectors {
                await collector.wait { collector.isClosed }
                expectSame(collector.bytes, payload)
            }
        }
    }

    @Test func `data goes on while keys are exchanged anew`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, on: loop, opens: Self.echo)
            let side = Side(keys)
            var configuration = keys.client
            configuration.engine.rekey.bytesMax = 200_000
            let connection = try await dial(server.listener.address, configuration, side, on: loop)
            await side.wait { side.isReady || side.isClosed }
            let payload = megabytes(2, seed: 5)
            let collector = Collector()
            let channel = connection.openChannel(type: "session", handler: collector)
            await collector.wait { collector.isOpen }
            collector.pump(payload, into: channel)
            await collector.wait { collector.isClosed || side.isClosed }
            #expect(side.error == nil)
            expectSame(collector.bytes, payload)
            #expect(connection.keyExchange?.isRekey == true)
        }
    }

    @Test func `an unknown user is told no, and nothing else`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, on: loop, opens: Self.echo)
            let side = Side(keys)
            let stranger = PrivateKey.generate(randomness: SystemRandomness())
            _ = try await dial(server.listener.address, keys.client(stranger), side, on: loop)
            await side.wait { side.isClosed }
            #expect(side.error?.kind == .accessDenied)
            #expect(!side.isReady)
        }
    }

    @Test func `another host key ends the connection with its reason`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, on: loop, opens: Self.echo)
            let side = Side(keys)
            side.acceptsHostKey = { _ in false }
            _ = try await dial(server.listener.address, keys.client, side, on: loop)
            await side.wait { side.isClosed }
            #expect(side.error?.kind == .accessDenied)
            #expect(side.error?.message.contains("another key") == true)
        }
    }

    @Test func `a refused channel brings its reason`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, on: loop) { $0.refuse(.connectFailed, "the node is down") }
            let side = Side(keys)
            let connection = try await dial(server.listener.address, keys.client, side, on: loop)
            await side.wait { side.isReady || side.isClosed }
            let collector = Collector()
            connection.openChannel(type: "session", handler: collector)
            await collector.wait { collector.refusal != nil }
            #expect(collector.refusal == "the node is down")
        }
    }

    @Test func `global replies come in the order of the requests, whatever the order of the answers`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, on: loop, opens: Self.echo)
            let side = Side(keys)
            let connection = try await dial(server.listener.address, keys.client, side, on: loop)
            await side.wait { side.isReady || side.isClosed }
            let held = Box<GlobalRequest?>(nil)
            server.sides.value.first?.globalRequests = { request in
                if request.name == "first" {
                    held.value = request
                } else {
                    request.reply(success: true, payload: [2])
                    held.value?.reply(success: true, payload: [1])
                }
            }
            let replies = Box<[GlobalReply]>([])
            connection.sendGlobalRequest("first") { replies.value.append($0) }
            connection.sendGlobalRequest("keepalive@openssh.com") { replies.value.append($0) }
            connection.sendGlobalRequest("second") { reply in
                replies.value.append(reply)
                side.changed()
            }
            await side.wait { replies.value.count == 3 }
            #expect(replies.value == [.success(payload: [1]), .failure, .success(payload: [2])])
        }
    }

    @Test(arguments: [
        "session", "direct-tcpip", "forwarded-tcpip", "auth-agent@openssh.com", "x11", "forwarded-streamlocal@openssh.com",
        "teleport-transport",
        "tun@openssh.com",
    ])
    func `a server opens a channel at a client that never asked for one`(type: String) async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, on: loop) { $0.accept(handler: EchoChannel()) }
            let client = TrustingClient()
            let arrived = Observed()
            var connection: SSHConnection?
            SSHDialer.dial([server.listener.address], configuration: keys.client, handler: client, on: loop) { result in
                connection = try? result.get()
                arrived.changed()
            }
            await arrived.wait { connection != nil }
            await client.wait { client.isReady }
            let atServer = try #require(server.sides.value.first)
            await atServer.wait { atServer.connection != nil }
            let collector = Collector()
            _ = atServer.connection?.openChannel(type: type, payload: [0, 0, 0, 0], handler: collector)
            await collector.wait { collector.isOpen || collector.refusal != nil }
            #expect(!collector.isOpen)
            #expect(connection?.isClosed == false)
        }
    }

    @Test func `the end of a connection ends its channels first`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, on: loop, opens: Self.echo)
            let side = Side(keys)
            let connection = try await dial(server.listener.address, keys.client, side, on: loop)
            await side.wait { side.isReady || side.isClosed }
            let open = Collector()
            let channel = connection.openChannel(type: "session", handler: open)
            await open.wait { open.isOpen }
            let opening = Collector()
            connection.openChannel(type: "session", handler: opening)
            let reply = Box<Bool?>(nil)
            channel.request("slow") { reply.value = $0 }
            server.listener.disconnectAll("maintenance")
            await side.wait { side.isClosed }
            #expect(open.isClosed)
            #expect(opening.isOpen || opening.refusal != nil)
            let late = Collector()
            connection.openChannel(type: "session", handler: late)
            await late.wait { late.refusal != nil }
            channel.write([1, 2, 3])
            channel.close()
        }
    }

    @Test func `who never logs in is cut off at the deadline`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            var configuration = keys.server
            configuration.engine.limits.authenticationTimeMax = .milliseconds(20)
            let side = Side(keys)
            let listener = try SSHListener(
                address: SocketAddress(.loopback4, port: 0), on: loop, configuration: { configuration }, makeHandler: { _ in side })
            TCPStream.connect(to: [listener.address], timeout: .seconds(5), on: loop) { _ in }
            await side.wait { side.isClosed }
            #expect(side.error?.chain.contains { $0.contains("authenticationTimeout") } == true)
        }
    }

    @Test func `a peer that falls silent is given up`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, on: loop, opens: Self.echo)
            // In between stands somebody who stops passing on.
            let relay = Relay()
            let front = try TCPListener(address: SocketAddress(.loopback4, port: 0), on: loop) { stream in
                relay.begin(stream, server.listener.address)
            }
            var configuration = keys.client
            configuration.keepAlive = KeepAlive.Options(interval: .milliseconds(10), missesMax: 2)
            let side = Side(keys)
            _ = try await dial(front.address, configuration, side, on: loop)
            await side.wait { side.isReady || side.isClosed }
            #expect(side.error == nil)
            relay.stop()
            await side.wait { side.isClosed }
            #expect(side.error?.message.contains("not answered") == true)
        }
    }
}

/// Passes bytes on, until it is told to stop without a word.
private final class Relay {
    private var streams: [Stream] = []

    private final class Half: StreamHandler {
        let to: Stream
        init(_ to: Stream) { self.to = to }
        func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) { to.write(bytes.span) }
        func streamEnded(_ stream: Stream) { to.shutdown() }
        func streamDrained(_ stream: Stream) {}
        func streamClosed(_ stream: Stream, error: TeleportError?) {}
    }

    func begin(_ stream: Stream, _ address: SocketAddress) {
        TCPStream.connect(to: [address], timeout: .seconds(5), on: stream.loop) { [self] result in
            guard case .success(let other) = result else { return stream.close() }
            stream.handler = Half(other)
            other.handler = Half(stream)
            streams = [stream, other]
            stream.resumeReading()
            other.resumeReading()
        }
    }

    func stop() {
        for stream in streams { stream.pauseReading() }
    }
}

@Suite("SSHListener")
struct SSHListenerTests {
    @Test func `a connection above the limit of its address is closed at once`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, limits: ListenerLimits(perAddress: 1), on: loop) { $0.accept(handler: EchoChannel()) }
            let first = Side(keys)
            let connection = try await dial(server.listener.address, keys.client, first, on: loop)
            await first.wait { first.isReady }
            let second = Side(keys)
            _ = try await dial(server.listener.address, keys.client, second, on: loop)
            await second.wait { second.isClosed }
            #expect(!second.isReady)
            connection.close()
            let served = try #require(server.sides.value.first)
            await served.wait { served.isClosed && server.listener.connectionCount == 0 }
            let third = Side(keys)
            _ = try await dial(server.listener.address, keys.client, third, on: loop)
            await third.wait { third.isReady || third.isClosed }
            #expect(third.isReady)
        }
    }

    @Test func `strangers wait while there are too many of them`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, limits: ListenerLimits(unauthenticated: 1), on: loop) { $0.accept(handler: EchoChannel()) }
            let silent = Box<TCPStream?>(nil)
            let connected = Observed()
            TCPStream.connect(to: [server.listener.address], timeout: .seconds(5), on: loop) { result in
                silent.value = try? result.get()
                connected.changed()
            }
            await connected.wait { silent.value != nil }
            let side = Side(keys)
            _ = try await dial(server.listener.address, keys.client, side, on: loop)
            #expect(server.listener.connectionCount <= 1)
            silent.value?.close()
            await side.wait { side.isReady || side.isClosed }
            #expect(side.isReady)
        }
    }
}

@Suite("SharedListener", .timeLimit(.minutes(1)))
struct SharedListenerTests {
    /// A connection served, as the test hears of it.
    private struct Served: Sendable {
        let loop: String
        /// How many there were with it.
        let count: Int
    }

    @Test func `loops keep the limits of their address together, and whoever is above them waits for a place`() async throws {
        let total = 3
        let clients = 32
        let served = Lock<[Served]>([])
        try await onLoops(2) { group, eventLoop in
            let keys = TestKeys()
            let shared = try SharedListener(
                address: .anyPort, limits: ListenerLimits(total: total), listeners: group.loops.count)
            let listeners = try await group.each { loop in
                let name = loop.eventLoop.name
                return try SSHListener(
                    shared, on: loop, configuration: { keys.server },
                    makeHandler: { _ in
                        served.withLock { $0.append(Served(loop: name, count: shared.connectionCount)) }
                        return Side(keys)
                    })
            }
            var sides: [Side] = []
            var connections: [SSHConnection] = []
            let ready = Observed()
            for _ in 0..<clients {
                let side = Side(keys)
                side.changes = { ready.changed() }
                connections.append(try await dial(shared.address, keys.client, side, on: eventLoop.inside))
                sides.append(side)
            }
            let all = sides
            for left in (1...clients).reversed() {
                // The place of the one that leaves goes to one that waits.
                await ready.wait { all.count { $0.isReady && !$0.isClosed } == min(left, total) }
                let index = try #require(all.firstIndex { $0.isReady && !$0.isClosed })
                connections[index].disconnect(.byApplication, "done")
                await ready.wait { all[index].isClosed }
            }
            #expect(all.allSatisfy { $0.isReady })
            listeners.forEach { $0.close() }
        }
        let all = served.withLock { $0 }
        #expect(all.count == clients)
        #expect(all.allSatisfy { (1...total).contains($0.count) })
        // That all of so many land on one loop does not happen.
        #expect(Set(all.map(\.loop)) == ["main", "loop-1"])
    }

    @Test func `an address counts for all loops together`() async throws {
        let refused = try await onLoops(2) { group, eventLoop in
            let keys = TestKeys()
            let shared = try SharedListener(address: .anyPort, limits: ListenerLimits(perAddress: 5), listeners: group.loops.count)
            let listeners = try await group.each { loop in
                try SSHListener(shared, on: loop, configuration: { keys.server }, makeHandler: { _ in Side(keys) })
            }
            let changes = Observed()
            var sides: [Side] = []
            for _ in 0..<16 {
                let side = Side(keys)
                side.changes = { changes.changed() }
                _ = try await dial(shared.address, keys.client, side, on: eventLoop.inside)
                sides.append(side)
            }
            let all = sides
            await changes.wait { all.allSatisfy { $0.isReady || $0.isClosed } }
            listeners.forEach { $0.close() }
            return all.count { $0.isClosed }
        }
        #expect(refused == 11)
    }

    @Test func `the end of the last connection is told, whatever loop it was on`() async throws {
        try await onLoops(2) { group, eventLoop in
            let keys = TestKeys()
            let loop = eventLoop.inside
            let shared = try SharedListener(address: .anyPort, listeners: group.loops.count)
            let listeners = try await group.each { loop in
                try SSHListener(shared, on: loop, configuration: { keys.server }, makeHandler: { _ in Side(keys) })
            }
            for _ in 0..<8 {
                let side = Side(keys)
                _ = try await dial(shared.address, keys.client, side, on: loop)
                await side.wait { side.isReady }
            }
            listeners.forEach { $0.disconnectAll("the end") }
            await withCheckedContinuation { continuation in shared.whenIdle(on: loop) { continuation.resume() } }
            #expect(shared.connectionCount == 0)
        }
    }
}

@Suite("KeepAlive")
struct KeepAliveTests {
    @Test func `a probe follows silence and the end follows unanswered probes`() {
        var keepAlive = KeepAlive(KeepAlive.Options(interval: .seconds(1), missesMax: 2))
        keepAlive.heard()
        #expect(keepAlive.tick() == .wait)
        #expect(keepAlive.tick() == .probe)
        #expect(keepAlive.tick() == .probe)
        #expect(keepAlive.tick() == .giveUp)
    }

    @Test func `a side that is asked asks only where the other has not, and gives up as soon`() {
        var keepAlive = KeepAlive(KeepAlive.Options(interval: .seconds(1), missesMax: 2, missesUnasked: 1))
        for _ in 0..<2 {
            keepAlive.heard()
            #expect(keepAlive.tick() == .wait)
            #expect(keepAlive.tick() == .wait)
        }
        #expect(keepAlive.tick() == .probe)
        #expect(keepAlive.tick() == .giveUp)
    }

    @Test func `any sign of life begins anew`() {
        var keepAlive = KeepAlive(KeepAlive.Options(interval: .seconds(1), missesMax: 1))
        #expect(keepAlive.tick() == .probe)
        keepAlive.heard()
        #expect(keepAlive.tick() == .wait)
        #expect(keepAlive.tick() == .probe)
        #expect(keepAlive.tick() == .giveUp)
    }
}

/// A client as one that wants nothing but to log in.
private final class TrustingClient: Observed, ConnectionHandler {
    var isReady = false

    func connection(_ connection: SSHConnection, verify hostKey: HostKeyOffer, answer: @escaping (HostKeyAnswer) -> Void) {
        answer(.accept)
    }
    func connectionReady(_ connection: SSHConnection) {
        isReady = true
        changed()
    }
    func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {}
}
