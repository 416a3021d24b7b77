import Base
import EventLoop
import Testing

@Suite("LoopGroup", .timeLimit(.minutes(1)))
struct LoopGroupTests {
    @Test func `there is a loop for each core`() {
        #expect(LoopGroup().loops.count == LoopGroup.coreCount)
    }

    @Test func `each loop has its own value, and every one is reached`() async throws {
        try await onLoops(3) { group, _ in
            let names = Lock<[String]>([])
            let places = try await group.each { Place(on: $0) }
            await withCheckedContinuation { continuation in
                places.forEach { place in
                    place.loop.eventLoop.assertIsolated()
                    let all = names.withLock { names in
                        names.append(place.loop.eventLoop.name)
                        return names.count
                    }
                    if all == 3 { continuation.resume() }
                }
            }
            #expect(names.withLock { $0.sorted() } == ["loop-1", "loop-2", "main"])
        }
    }

    @Test func `an error of one loop is the caller's`() async throws {
        try await onLoops(2) { group, _ in
            _ = await #expect(throws: TeleportError.self) {
                _ = try await group.each { loop in
                    if loop.eventLoop.name != "main" { throw TeleportError.notFound("nothing") }
                    return Place(on: loop)
                }
            }
        }
    }

    @Test func `connections to one address land on every loop, and come back from there`() async throws {
        try await onLoops(2) { group, eventLoop in
            let loop = eventLoop.inside
            let sockets = try ListeningSockets(on: .anyPort, count: 2)
            let listeners = try await group.each { loop in
                let greeting = Array(loop.eventLoop.name.utf8)
                return try TCPListener(sockets, on: loop) { stream in
                    stream.write(greeting)
                    stream.closeAfterWrites()
                }
            }
            var seen: Set<String> = []
            // That all of so many land on one loop does not happen: the odds are 1 in 2^255.
            for _ in 0..<256 where seen.count < 2 {
                let recorder = Recorder()
                let stream = try await connect(to: sockets.address, on: loop)
                stream.handler = recorder
                stream.resumeReading()
                await recorder.wait { $0.hasEnded }
                stream.close()
                seen.insert(recorder.text)
            }
            #expect(seen == ["main", "loop-1"])
            listeners.forEach { $0.close() }
        }
    }

    @Test func `a stream moves to another loop with what its peer has not taken, and goes on there`() async throws {
        try await onLoops(2) { group, eventLoop in
            let loop = eventLoop.inside
            let bytes = megabytes(16, seed: 5)
            let end = Array("and from the other loop".utf8)
            let accepted = Box<TCPStream>()
            let listener = try TCPListener(address: .anyPort, on: loop) { accepted.value = $0 }
            let client = try await connect(to: listener.address, on: loop)
            let recorder = Recorder()
            client.handler = recorder
            while accepted.value == nil {
                await withCheckedContinuation { continuation in loop.schedule(after: .milliseconds(1)) { continuation.resume() } }
            }
            let stream = try #require(accepted.value)
            stream.write(bytes)
            // Some of what waits is on its way when the stream leaves.
            client.resumeReading()
            await recorder.wait { $0.bytes.count > 6 << 20 }
            client.pauseReading()
            #expect(stream.queuedBytes > 0)
            let moving = try #require(stream.leave())
            group.loops[1].post { other in
                guard let stream = try? TCPStream(moving, on: other.inside) else { return }
                stream.write(end)
                stream.closeAfterWrites()
            }
            client.resumeReading()
            await recorder.wait { $0.hasEnded }
            let isSame = recorder.bytes == bytes + end
            #expect(isSame, "\(recorder.bytes.count) of \(bytes.count + end.count) bytes")
            #expect(stream.isClosing && stream.leave() == nil)
            client.close()
            listener.close()
        }
    }

    @Test func `the group ends with its first loop, and what is open on the others is closed`() async throws {
        let closed = Lock(false)
        try await onLoops(2) { group, _ in
            let sockets = try ListeningSockets(on: .anyPort)
            let holders = try await group.each { Holder(to: sockets.address, on: $0) { closed.withLock { $0 = true } } }
            await withCheckedContinuation { continuation in
                holders.forEach { holder in
                    if holder.loop.eventLoop.name != "main" { holder.connected = { continuation.resume() } }
                }
            }
            #expect(!closed.withLock { $0 })
        }
        #expect(closed.withLock { $0 })
    }
}

/// Something that lives on a loop.
private final class Place {
    let loop: Loop

    init(on loop: Loop) {
        self.loop = loop
    }
}

/// A connection that is kept until its loop ends.
private final class Holder {
    let loop: Loop
    private let recorder = Recorder()
    private var stream: TCPStream?
    var connected: (() -> Void)? {
        didSet { if stream != nil { connected?() } }
    }

    init(to address: SocketAddress, on loop: Loop, closed: @escaping () -> Void) {
        self.loop = loop
        recorder.changed = { [recorder] in if recorder.isClosed { closed() } }
        TCPStream.connect(to: [address], timeout: .seconds(5), on: loop) { [self] result in
            guard case .success(let stream) = result else { return }
            stream.handler = recorder
            stream.resumeReading()
            self.stream = stream
            connected?()
        }
    }
}
