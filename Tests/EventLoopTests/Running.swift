import Base
import EventLoop
import Testing

/// Runs `body` on a fresh loop of its own thread, and stops the loop afterwards.
func onLoop<T: Sendable>(
    _ body: @escaping @Sendable (isolated EventLoop) async throws -> T
) async throws -> T {
    let eventLoop = EventLoop(name: "test")
    eventLoop.start()
    defer { eventLoop.stop() }
    return try await withCheckedThrowingContinuation { continuation in
        eventLoop.spawn { eventLoop in
            do {
                continuation.resume(returning: try await body(eventLoop))
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}

/// Runs `body` on the first loop of a fresh group, and returns when the group has ended.
func onLoops<T: Sendable>(
    _ count: Int, _ body: @escaping @Sendable (LoopGroup, isolated EventLoop) async throws -> T
) async throws -> T {
    let group = LoopGroup(count: count)
    let result = Lock<Result<T, any Error>>(.failure(CancellationError()))
    group.main.spawn { eventLoop in
        do {
            let value = try await body(group, eventLoop)
            result.withLock { $0 = .success(value) }
        } catch {
            result.withLock { $0 = .failure(error) }
        }
        eventLoop.stop()
    }
    try await onLoop { eventLoop in try await eventLoop.work { group.run() } }
    return try result.withLock { $0 }.get()
}

/// Waits for a callback of the loop.
func callback<T: Sendable>(
    isolation: isolated (any Actor)? = #isolation, _ body: (@escaping (T) -> Void) throws -> Void
) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        do {
            try body { continuation.resume(returning: $0) }
        } catch {
            continuation.resume(throwing: error)
        }
    }
}

/// Gathers what a stream brings.
final class Recorder: StreamHandler {
    var bytes: [UInt8] = []
    var hasEnded = false
    var isDrained = false
    var isClosed = false
    var error: TeleportError?
    /// Is called after each event.
    var changed: (() -> Void)?

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        self.bytes += Array(copying: bytes.span)
        changed?()
    }
    func streamEnded(_ stream: Stream) {
        hasEnded = true
        changed?()
    }
    func streamDrained(_ stream: Stream) {
        isDrained = true
        changed?()
    }
    func streamClosed(_ stream: Stream, error: TeleportError?) {
        isClosed = true
        self.error = error
        changed?()
    }

    /// For things other than streams that end.
    func end() {
        hasEnded = true
        changed?()
    }

    /// Waits until `condition` holds.
    func wait(isolation: isolated (any Actor)? = #isolation, until condition: @escaping (Recorder) -> Bool) async {
        await withCheckedContinuation { continuation in
            if condition(self) { return continuation.resume() }
            changed = { [unowned self] in
                guard condition(self) else { return }
                changed = nil
                continuation.resume()
            }
        }
    }

    var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// Sends back what comes, and ends when the peer ends.
final class Echo: StreamHandler {
    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        stream.write(bytes.span)
        if !stream.isWritable { stream.pauseReading() }
    }
    func streamEnded(_ stream: Stream) { stream.closeAfterWrites() }
    func streamDrained(_ stream: Stream) { stream.resumeReading() }
    func streamClosed(_ stream: Stream, error: TeleportError?) {}
}

extension SocketAddress {
    /// A port of the kernel's choice, at a loopback address of the caller's own: once given back, it is not the next test's.
    static var anyPort: SocketAddress { own(port: 0) }

    /// Where nobody listens. A listener that was closed would not do: a process that was started before may have its socket yet.
    static var closedPort: SocketAddress { own(port: 1) }

    private static func own(port: UInt16) -> SocketAddress { SocketAddress(.v4(.random(in: 0x7f01_0000...0x7ffe_ffff)), port: port) }
}

/// Bytes without a period below a megabyte, made quickly also in a debug build.
func megabytes(_ count: Int, seed: UInt64) -> [UInt8] {
    let block = SeededRandomness(seed: seed).bytes(4096)
    var bytes: [UInt8] = []
    for number in 0..<count * 256 {
        bytes += block
        bytes[bytes.count - 1] = UInt8(truncatingIfNeeded: number)
        bytes[bytes.count - 2] = UInt8(truncatingIfNeeded: number >> 8)
    }
    return bytes
}
