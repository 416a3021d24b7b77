import Base
import EventLoop
import SSHNet
import SSHWire
import Testing

@Suite("ConnectionMove", .timeLimit(.minutes(2)))
struct ConnectionMoveTests {
    @Test(arguments: [2, 3])
    func `a connection moves from loop to loop while megabytes run both ways, and every byte arrives once and in order`(
        loops: Int
    ) async throws {
        let hops = Lock<[String]>([])
        try await onLoops(loops) { group, eventLoop in
            let keys = TestKeys()
            let shared = try SharedListener(address: .anyPort, listeners: loops)
            let ring = Ring()
            let stations = try await group.each { loop in try Station(shared, keys, ring, hops, on: loop) }
            let payload = megabytes(12, seed: 3)
            let side = Side(keys)
            let connection = try await dial(shared.address, keys.client, side, on: eventLoop.inside)
            await side.wait { side.isReady }
            let collector = Collector()
            let channel = connection.openChannel(type: "session", handler: collector)
            await collector.wait { collector.isOpen }
            collector.pump(payload, into: channel)
            await collector.wait { collector.isClosed }
            expectSame(collector.bytes, payload)
            #expect(shared.connectionCount == 1)
            // It is logged in and at home where it arrived last: new channels are opened there.
            let second = Collector()
            let more = connection.openChannel(type: "session", handler: second)
            await second.wait { second.isOpen }
            second.pump(Array("hello".utf8), into: more)
            await second.wait { second.isClosed }
            #expect(second.bytes == Array("hello".utf8))
            connection.disconnect(.byApplication, "done")
            await withCheckedContinuation { continuation in
                shared.whenIdle(on: eventLoop.inside) { continuation.resume() }
            }
            #expect(shared.connectionCount == 0)
            stations.forEach { $0.close() }
        }
        let all = hops.withLock { $0 }
        // Twelve megabytes are some eight moves; a busy machine brings them in fewer pieces.
        #expect(all.count > loops, "\(all.count) moves")
        #expect(Set(all).count == loops)
    }

    @Test func `a channel open request is answered by the loop that it moved to`() async throws {
        try await onLoops(2) { group, eventLoop in
            let keys = TestKeys()
            let shared = try SharedListener(address: .anyPort, listeners: 2)
            let ring = Ring()
            let stations = try await group.each { loop in
                try Station(shared, keys, ring, Lock([]), on: loop, movesRequests: true)
            }
            let side = Side(keys)
            let connection = try await dial(shared.address, keys.client, side, on: eventLoop.inside)
            await side.wait { side.isReady }
            let collector = Collector()
            connection.openChannel(type: "session", handler: collector)
            await collector.wait { collector.refusal != nil }
            let parts = (collector.refusal ?? "").split(separator: " ")
            #expect(parts.count == 3 && parts.first == "moved" && parts.dropFirst().first != parts.last, "\(parts)")
            stations.forEach { $0.close() }
        }
    }

    @Test func `a connection with a second channel stays where it is`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            var channels: [SSHChannel] = []
            let server = try TestServer(keys, on: loop) { channels.append($0.accept(handler: EchoChannel())) }
            let side = Side(keys)
            let connection = try await dial(server.listener.address, keys.client, side, on: loop)
            await side.wait { side.isReady }
            for _ in 0..<2 {
                let collector = Collector()
                connection.openChannel(type: "session", handler: collector)
                await collector.wait { collector.isOpen }
            }
            let first = try #require(channels.first)
            #expect(first.connection.leave(with: first) == nil)
            #expect(!first.connection.isClosed)
            let third = Collector()
            connection.openChannel(type: "session", handler: third)
            await third.wait { third.isOpen }
            #expect(server.listener.connectionCount == 1)
        }
    }
}

/// The stations of all loops, in a ring.
private final class Ring: Sendable {
    private let stations = Lock<[LoopBound<Weak<Station>>]>([])

    func join(_ station: Station) {
        let bound = LoopBound(Weak(station), on: station.loop)
        stations.withLock { $0.append(bound) }
    }

    func next(after eventLoop: EventLoop) -> LoopBound<Weak<Station>>? {
        stations.withLock { stations in
            guard let index = stations.firstIndex(where: { $0.eventLoop === eventLoop }) else { return nil }
            return stations[(index + 1) % stations.count]
        }
    }
}

/// What serves on one loop, and sends connections on to the next.
private final class Station {
    let loop: Loop
    private let keys: TestKeys
    private let ring: Ring
    private let hops: Lock<[String]>
    private let movesRequests: Bool
    private var listener: SSHListener?

    init(
        _ shared: SharedListener, _ keys: TestKeys, _ ring: Ring, _ hops: Lock<[String]>, on loop: Loop, movesRequests: Bool = false
    ) throws {
        self.loop = loop
        self.keys = keys
        self.ring = ring
        self.hops = hops
        self.movesRequests = movesRequests
        listener = try SSHListener(
            shared, on: loop, configuration: { keys.server }, makeHandler: { [unowned self] _ in side() })
        ring.join(self)
    }

    func close() { listener?.close() }

    private func side() -> Side {
        let side = Side(keys)
        side.opens = { [unowned self] request in
            if movesRequests {
                loop.atEndOfTurn { [self] in send(request) }
            } else {
                request.accept(handler: HoppingEcho(self, withheld: 0))
            }
        }
        return side
    }

    private func send(_ request: ChannelOpenRequest) {
        guard let move = request.connection.leave(with: request) else { return request.refuse(.connectFailed, "stayed") }
        let name = loop.eventLoop.name
        guard let next = ring.next(after: loop.eventLoop) else { return }
        next.eventLoop.post { loop in
            guard let station = next.value(on: loop)?.object, case .request(let request)? = station.arrive(move) else { return }
            request.refuse(.connectFailed, "moved \(name) \(loop.name)")
        }
    }

    fileprivate func send(_ channel: SSHChannel, withheld: Int) -> Bool {
        guard let next = ring.next(after: loop.eventLoop), let move = channel.connection.leave(with: channel) else { return false }
        hops.withLock { $0.append(loop.eventLoop.name) }
        next.eventLoop.post { loop in
            guard let station = next.value(on: loop)?.object, case .channel(let channel)? = station.arrive(move) else { return }
            channel.handler = HoppingEcho(station, withheld: withheld)
        }
        return true
    }

    private func arrive(_ move: ConnectionMove) -> ConnectionMove.Arrival? {
        listener.flatMap { listener in try? move.arrive(on: loop, at: listener, handler: side()) }
    }
}

/// Sends back what comes, and moves on whenever so much has come.
private final class HoppingEcho: ChannelHandler {
    private let station: Station
    private var withheld: Int
    private var stay = 0

    private static let stayMax = 512 << 10

    init(_ station: Station, withheld: Int) {
        self.station = station
        self.withheld = withheld
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        channel.write(data)
        if channel.isWritable { channel.consumed(data.count) } else { withheld += data.count }
        stay += data.count
        guard stay >= Self.stayMax else { return }
        stay = 0
        station.loop.atEndOfTurn { [self] in _ = station.send(channel, withheld: withheld) }
    }

    func channelWritable(_ channel: SSHChannel) {
        let count = withheld
        withheld = 0
        channel.consumed(count)
    }

    func channelEOF(_ channel: SSHChannel) {
        channel.sendEOF()
        channel.close()
    }

    func channelClosed(_ channel: SSHChannel) {}
}
