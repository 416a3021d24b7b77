package import Base
package import EventLoop
internal import SSHNet

/// Who takes what stdin brings.
protocol InputUser: AnyObject {
    /// - Parameter bytes: lent for this call.
    func inputReceived(_ bytes: Span<UInt8>)
    func inputEnded()
}

/// Reads a descriptor of any kind. Bound to its loop; paused at first, and not touched before it is resumed.
///
/// A pipe or a terminal is opened anew and read on the loop; the rest, which would block it or is not ours to change, on the worker pool.
final class InputReader: StreamHandler {
    weak var user: (any InputUser)?
    private let descriptor: Int32
    private let loop: Loop
    private var way: Way?
    private var isPaused = true
    private var isReading = false
    private var hasEnded = false

    private enum Way {
        case stream(PipeStream)
        case pool
        /// The null device.
        case nothing
    }

    /// A pipe holds 64 KiB; more at once is for files.
    private static let chunkBytes = 256 << 10

    init(descriptor: Int32, on loop: Loop) {
        self.descriptor = descriptor
        self.loop = loop
    }

    func resume() {
        guard !hasEnded else { return }
        isPaused = false
        switch way ?? open() {
        case .stream(let stream): stream.resumeReading()
        case .pool: readChunk()
        case .nothing: loop.atEndOfTurn { [self] in end() }
        }
    }

    func pause() {
        isPaused = true
        if case .stream(let stream)? = way { stream.pauseReading() }
    }

    /// Nothing more is heard of it.
    func close() {
        hasEnded = true
        if case .stream(let stream)? = way { stream.close() }
    }

    private func open() -> Way {
        let way: Way
        if FileIO.isNullDevice(descriptor) {
            way = .nothing
        } else if let stream = PipeStream.opened(anew: descriptor, for: .reading, on: loop) {
            stream.handler = self
            way = .stream(stream)
        } else {
            way = .pool
        }
        self.way = way
        return way
    }

    private func end() {
        guard !hasEnded else { return }
        close()
        user?.inputEnded()
    }

    private func readChunk() {
        guard !isReading, !isPaused, !hasEnded else { return }
        isReading = true
        let descriptor = descriptor
        loop.work({ try FileIO.readSome(descriptor, name: "stdin", max: Self.chunkBytes) }) { [self] result in
            isReading = false
            guard case .success(let bytes?) = result else { return end() }
            guard !hasEnded else { return }
            user?.inputReceived(bytes.span)
            readChunk()
        }
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) { user?.inputReceived(bytes.span) }
    func streamEnded(_ stream: Stream) { end() }
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) { end() }
}

/// Writes what a channel brings to a descriptor of any kind, in order. Bound to its loop.
///
/// A pipe or a terminal is opened anew and written from where the bytes were decrypted; the rest is written on the worker pool, where what comes
/// while a write is under way goes out with the next. A channel gets its window back for what was written, or has little before it.
package final class OutputWriter: StreamHandler {
    package typealias Sink = @Sendable ([UInt8]) throws -> Void

    private enum Way {
        case stream(PipeStream)
        case pool(Sink)
        /// The null device.
        case nothing
    }

    private let way: Way
    private let loop: Loop
    /// Is told of the first write that failed; nothing is written after it.
    var failed: ((TeleportError) -> Void)?
    private var hasFailed = false
    private var whenWritten: [() -> Void] = []

    /// On the stream: what it has not taken yet, above its mark, and the channel that waits for that.
    private var withheld: (channel: SSHChannel, count: Int)?
    private var isClosed = false

    /// On the pool: two buffers that change places and keep their memory, so that a long stream asks for none; the window bounds them.
    private var waiting: [UInt8] = []
    /// What is being written; the loop keeps off it meanwhile.
    private let flying = Lock<[UInt8]>([])
    private var isWriting = false

    package init(descriptor: Int32, on loop: Loop) {
        self.loop = loop
        if FileIO.isNullDevice(descriptor) {
            way = .nothing
        } else if let stream = PipeStream.opened(anew: descriptor, for: .writing, on: loop) {
            way = .stream(stream)
            stream.handler = self
        } else {
            way = .pool { try FileIO.write($0, descriptor: descriptor) }
        }
    }

    package init(_ sink: @escaping Sink, on loop: Loop) {
        way = .pool(sink)
        self.loop = loop
    }

    /// - Parameter channel: where the bytes are from; always the same.
    func write(_ bytes: Span<UInt8>, from channel: SSHChannel) {
        if hasFailed { return channel.consumed(bytes.count) }
        switch way {
        case .nothing: channel.consumed(bytes.count)
        case .stream(let stream):
            stream.write(bytes)
            if stream.isWritable { channel.consumed(bytes.count) } else { withheld = (channel, (withheld?.count ?? 0) + bytes.count) }
        case .pool(let sink):
            waiting.append(copying: bytes)
            writeNext(sink, channel)
        }
    }

    /// Nothing more is written.
    ///
    /// - Parameter then: is called when all was.
    func end(_ then: @escaping () -> Void) {
        switch way {
        case .stream(let stream) where !isClosed:
            whenWritten.append(then)
            stream.closeAfterWrites()
        case .pool where isWriting: whenWritten.append(then)
        default: then()
        }
    }

    private func ended() {
        let bodies = whenWritten
        whenWritten = []
        for body in bodies { body() }
    }

    private func fail(_ error: TeleportError) {
        hasFailed = true
        failed?(error)
    }

    // MARK: The stream

    package func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {}
    package func streamEnded(_ stream: Stream) {}
    package func streamDrained(_ stream: Stream) { release() }

    package func streamClosed(_ stream: Stream, error: TeleportError?) {
        isClosed = true
        if let error { fail(error) }
        release()
        ended()
    }

    private func release() {
        guard let (channel, count) = withheld else { return }
        withheld = nil
        channel.consumed(count)
    }

    // MARK: The pool

    private func writeNext(_ sink: @escaping Sink, _ channel: SSHChannel) {
        guard !isWriting, !waiting.isEmpty else { return }
        isWriting = true
        let count = waiting.count
        flying.withLock { flying in swap(&flying, &waiting) }
        let flying = flying
        let write: @Sendable () throws -> Void = {
            try flying.withLock { bytes in
                defer { bytes.removeAll(keepingCapacity: true) }
                try sink(bytes)
            }
        }
        loop.work(write) { [self] result in
            isWriting = false
            channel.consumed(count)
            if case .failure(let error) = result {
                channel.consumed(waiting.count)
                waiting = []
                fail(error as? TeleportError ?? .connectionProblem("writing the output failed", cause: error))
            }
            writeNext(sink, channel)
            if !isWriting { ended() }
        }
    }
}
