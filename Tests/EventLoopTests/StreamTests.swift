import Base
import EventLoop
import Testing

@Suite("TCPStream and TCPListener")
struct TCPStreamTests {
    @Test func `bytes go there and back, then both sides end`() async throws {
        let text = try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let listener = try TCPListener(address: .anyPort, on: loop) { stream in
                stream.handler = Echo()
                stream.resumeReading()
            }
            let stream = try await connect(to: listener.address, on: loop)
            #expect(stream.peer == listener.address)
            #expect(stream.local?.ip == .loopback4)
            let recorder = Recorder()
            stream.handler = recorder
            stream.resumeReading()
            stream.write(Array("hello".utf8))
            stream.shutdown()
            await recorder.wait { $0.hasEnded }
            stream.close()
            await recorder.wait { $0.isClosed }
            #expect(recorder.error == nil)
            listener.close()
            return recorder.text
        }
        #expect(text == "hello")
    }

    @Test func `ten megabytes come back whole, with the queue within its bounds`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let listener = try TCPListener(address: .anyPort, on: loop) { stream in
                stream.handler = Echo()
                stream.resumeReading()
            }
            let stream = try await connect(to: listener.address, on: loop)
            let source = Source(bytes: megabytes(10, seed: 1))
            stream.handler = source
            stream.resumeReading()
            source.pump(stream)
            await withCheckedContinuation { continuation in source.done = { continuation.resume() } }
            let isSame = source.received == source.bytes
            #expect(isSame)
            #expect(source.queuedMax <= Stream.queuedBytesHigh + Source.chunk)
        }
    }

    @Test func `a closed port is a connection problem that names the address`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let address = SocketAddress.closedPort
            let box = Box<Result<TCPStream, TeleportError>>()
            await withCheckedContinuation { continuation in
                TCPStream.connect(to: [address], timeout: .seconds(5), on: loop) { result in
                    box.value = result
                    continuation.resume()
                }
            }
            guard case .failure(let error) = box.value else {
                Issue.record("connected")
                return
            }
            #expect(error.kind == .connectionProblem)
            #expect(error.message.contains("\(address)"))
        }
    }

    @Test func `the next address is tried when one refuses`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let listener = try TCPListener(address: .anyPort, on: loop) { $0.close() }
            let result: Result<SocketAddress?, TeleportError> = try await callback { done in
                TCPStream.connect(to: [.closedPort, listener.address], timeout: .seconds(5), on: loop) { done($0.map { $0.peer }) }
            }
            #expect(try result.get() == listener.address)
        }
    }

    @Test func `a port that somebody listens on is refused`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let first = try TCPListener(address: .anyPort, on: loop) { $0.close() }
            let address = first.address
            #expect {
                _ = try TCPListener(address: address, on: loop) { $0.close() }
            } throws: { error in
                "\(error)".contains("\(address)")
            }
        }
    }

    @Test func `an address that loops share is refused to everybody else`() async throws {
        let sockets = try ListeningSockets(on: .anyPort, count: 2)
        for count in [1, 2] {
            #expect {
                _ = try ListeningSockets(on: sockets.address, count: count)
            } throws: { error in
                "\(error)".contains("listening on \(sockets.address): address already in use")
            }
        }
    }

    @Test func `an address that somebody listens on is not shared`() async throws {
        let sockets = try ListeningSockets(on: .anyPort)
        #expect(throws: TeleportError.self) { try ListeningSockets(on: sockets.address, count: 2) }
    }

    /// In a process of its own: what another test starts has every socket of this process until it runs its program.
    @Test func `an address is free again when its sockets are gone`() async {
        await #expect(processExitsWith: .success) {
            var sockets: ListeningSockets? = try ListeningSockets(on: .anyPort, count: 3)
            let address = try #require(sockets?.address)
            sockets = nil
            _ = try ListeningSockets(on: address, count: 3)
            try await onLoop { eventLoop in
                let listener = try TCPListener(address: .anyPort, on: eventLoop.inside) { $0.close() }
                listener.close()
                _ = try TCPListener(address: listener.address, on: eventLoop.inside) { $0.close() }
            }
        }
    }

    @Test func `a paused listener accepts after it has been resumed`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            var accepted = 0
            let listener = try TCPListener(address: .anyPort, on: loop) { stream in
                accepted += 1
                stream.write(Array("hi".utf8))
            }
            listener.pause()
            let recorder = Recorder()
            let stream = try await connect(to: listener.address, on: loop)
            stream.handler = recorder
            stream.resumeReading()
            await withCheckedContinuation { continuation in loop.schedule(after: .milliseconds(5)) { continuation.resume() } }
            #expect(accepted == 0)
            listener.resume()
            await recorder.wait { $0.text == "hi" }
            #expect(accepted == 1)
        }
    }

    @Test func `a write to a peer that has gone ends the stream with an error`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let listener = try TCPListener(address: .anyPort, on: loop) { $0.close() }
            let stream = try await connect(to: listener.address, on: loop)
            let recorder = Recorder()
            stream.handler = recorder
            stream.resumeReading()
            await recorder.wait { $0.hasEnded }
            for _ in 0..<10 where !recorder.isClosed {
                stream.write([UInt8](repeating: 0, count: 100_000))
                await withCheckedContinuation { continuation in loop.schedule(after: .milliseconds(2)) { continuation.resume() } }
            }
            await recorder.wait { $0.isClosed }
            #expect(recorder.error?.kind == .connectionProblem)
        }
    }

    @Test func `a stopped loop closes what is open`() async throws {
        let isClosed = Lock(false)
        let eventLoop = EventLoop(name: "main")
        eventLoop.post { eventLoop in
            let loop = eventLoop.inside
            do {
                let listener = try TCPListener(address: .anyPort, on: loop) { _ in }
                TCPStream.connect(to: [listener.address], timeout: .seconds(5), on: loop) { result in
                    guard case .success(let stream) = result else { return }
                    stream.handler = OnClose { isClosed.withLock { $0 = true } }
                    eventLoop.stop()
                    _ = listener
                }
            } catch {
                eventLoop.stop()
            }
        }
        eventLoop.run()
        #expect(isClosed.withLock { $0 })
    }
}

@Suite("PipeStream and UnixListener")
struct PipeStreamTests {
    @Test func `a unix socket carries bytes and its path goes with the listener`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let path = "/tmp/event-loop-tests-\(loop.now.nanoseconds).sock"
            let listener = try UnixListener(path: path, on: loop) { stream in
                stream.handler = Echo()
                stream.resumeReading()
            }
            #expect(try FileIO.status(path)?.mode == 0o600)
            let box = Box<PipeStream>()
            await withCheckedContinuation { continuation in
                PipeStream.connect(path: path, timeout: .seconds(5), on: loop) { result in
                    box.value = try? result.get()
                    continuation.resume()
                }
            }
            let stream = try #require(box.value)
            let recorder = Recorder()
            stream.handler = recorder
            stream.resumeReading()
            stream.write(Array("over a path".utf8))
            stream.shutdown()
            await recorder.wait { $0.hasEnded }
            #expect(recorder.text == "over a path")
            listener.close()
            #expect(try FileIO.status(path) == nil)
        }
    }
}

/// Holds what a callback brought, for the code of the same loop.
final class Box<Value> {
    var value: Value?
}

func connect(to address: SocketAddress, on loop: Loop, isolation: isolated (any Actor)? = #isolation) async throws -> TCPStream {
    let box = Box<Result<TCPStream, TeleportError>>()
    await withCheckedContinuation { continuation in
        TCPStream.connect(to: [address], timeout: .seconds(5), on: loop) { result in
            box.value = result
            continuation.resume()
        }
    }
    guard let result = box.value else { throw TeleportError.notFound("no result") }
    return try result.get()
}

/// Writes as the stream has room, and gathers what comes back.
private final class Source: StreamHandler {
    static let chunk = 64 << 10
    let bytes: [UInt8]
    var sent = 0
    var received: [UInt8] = []
    var queuedMax = 0
    var done: (() -> Void)?

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    func pump(_ stream: Stream) {
        while sent < bytes.count, stream.isWritable {
            stream.write(Array(bytes[sent..<min(sent + Self.chunk, bytes.count)]))
            sent = min(sent + Self.chunk, bytes.count)
            queuedMax = max(queuedMax, stream.queuedBytes)
        }
        if sent == bytes.count { stream.shutdown() }
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) { received += Array(copying: bytes.span) }
    func streamDrained(_ stream: Stream) { pump(stream) }
    func streamEnded(_ stream: Stream) { stream.close() }
    func streamClosed(_ stream: Stream, error: TeleportError?) { done?() }
}

private final class OnClose: StreamHandler {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {}
    func streamEnded(_ stream: Stream) {}
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) { body() }
}
