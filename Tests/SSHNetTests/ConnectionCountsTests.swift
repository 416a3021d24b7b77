import Base
import Crypto
import EventLoop
import MetricsReader
import SSHEngine
import SSHNet
import SSHWire
import Testing

@Suite("What a listener counts", .timeLimit(.minutes(2)))
struct ConnectionCountsTests {
    private static func figures(_ listener: SSHListener) throws -> MetricsReading {
        var metrics = Metrics()
        listener.add(to: &metrics, as: "test")
        return try MetricsReading(metrics.text)
    }

    @Test func `logins with their time, channels, bytes and rekeys`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, on: loop) { $0.accept(handler: EchoChannel()) }
            let side = Side(keys)
            var configuration = keys.client
            configuration.engine.rekey.bytesMax = 200_000
            let connection = try await dial(server.listener.address, configuration, side, on: loop)
            await side.wait { side.isReady || side.isClosed }
            let payload = megabytes(1, seed: 5)
            for _ in 0..<2 {
                let collector = Collector()
                let channel = connection.openChannel(type: "session", handler: collector)
                await collector.wait { collector.isOpen }
                collector.pump(payload, into: channel)
                await collector.wait { collector.isClosed || side.isClosed }
            }
            let idle = Collector()
            connection.openChannel(type: "session", handler: idle)
            await idle.wait { idle.isOpen }
            let figures = try Self.figures(server.listener)
            let label = ["listener": "test"]
            #expect(figures.value("teleport_ssh_connections", label) == 1)
            #expect(figures.value("teleport_ssh_channels", label) == 1)
            #expect(figures.value("teleport_ssh_channels_opened_total", label) == 3)
            #expect(figures.value("teleport_ssh_handshakes_total", ["listener": "test", "result": "ok"]) == 1)
            #expect(figures.sum("teleport_ssh_handshakes_total") == 1)
            #expect(figures.value("teleport_ssh_handshake_seconds_count", label) == 1)
            #expect(try #require(figures.value("teleport_ssh_handshake_seconds_sum", label)) > 0)
            #expect(try #require(figures.value("teleport_ssh_rekeys_total", label)) >= 1)
            for name in ["teleport_ssh_received_bytes_total", "teleport_ssh_sent_bytes_total"] {
                let bytes = try #require(figures.value(name, label))
                #expect(bytes > 0x1p21 && bytes < 0x1p21 * 1.2, "\(name)")
            }
        }
    }

    enum Peer: String, CaseIterable, Sendable {
        /// Each is named as it is counted.
        case left, timeout, refused, `protocol`, algorithms
    }

    @Test(arguments: Peer.allCases)
    func `why a connection came to no login`(peer: Peer) async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            var configuration = keys.server
            if peer == .timeout { configuration.engine.limits.authenticationTimeMax = .milliseconds(20) }
            let served = Side(keys)
            let listener = try SSHListener(
                address: SocketAddress(.loopback4, port: 0), on: loop, configuration: { configuration }, makeHandler: { _ in served })
            switch peer {
            case .refused:
                let stranger = PrivateKey.generate(randomness: SystemRandomness())
                _ = try await dial(listener.address, keys.client(stranger), Side(keys), on: loop)
            case .algorithms:
                var other = keys.client
                other.engine.algorithms.keyExchange = ["diffie-hellman-group1-sha1"]
                _ = try await dial(listener.address, other, Side(keys), on: loop)
            case .left, .timeout, .protocol:
                TCPStream.connect(to: [listener.address], timeout: .seconds(5), on: loop) { result in
                    guard case .success(let stream) = result else { return }
                    if peer == .left { stream.close() }
                    if peer == .protocol { stream.write(Array("SSH-1.5-old\r\n".utf8).span) }
                }
            }
            await served.wait { served.isClosed }
            let figures = try Self.figures(listener)
            #expect(figures.value("teleport_ssh_handshakes_total", ["listener": "test", "result": peer.rawValue]) == 1, "\(figures)")
            #expect(figures.sum("teleport_ssh_handshakes_total") == 1)
            #expect(figures.value("teleport_ssh_handshake_seconds_count", ["listener": "test"]) == 0)
            let refused = figures.value("teleport_ssh_keys_refused_total", ["listener": "test", "reason": "no_certificate"])
            #expect(try #require(refused) >= (peer == .refused ? 1 : 0))
        }
    }

    @Test func `connections above the limit of their address`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, limits: ListenerLimits(perAddress: 1), on: loop) { $0.accept(handler: EchoChannel()) }
            let first = Side(keys)
            _ = try await dial(server.listener.address, keys.client, first, on: loop)
            await first.wait { first.isReady }
            let second = Side(keys)
            _ = try await dial(server.listener.address, keys.client, second, on: loop)
            await second.wait { second.isClosed }
            let figures = try Self.figures(server.listener)
            #expect(figures.value("teleport_ssh_connections_refused_total", ["listener": "test"]) == 1)
            #expect(figures.value("teleport_ssh_connections", ["listener": "test"]) == 1)
        }
    }
}
