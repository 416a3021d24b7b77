package import Base
package import EventLoop
internal import SSHNet

/// Who takes what stdin brings.
protocol InputUser: AnyObject {
    /// - Parameter bytes: lent for this call.
    func inputReceived(_ bytes: Span<UInt8>)
    func inputEnded()
}

/// How a descriptor of any kind is read or written without making it non-blocking for whoever shares it.
private enum Way {
    /// A pipe or a terminal, opened anew: on the loop.
    case stream(PipeStream)
    /// What would block the loop, or is not ours to open.
    case pool
    /// The null device.
    case nothing

    init(_ descriptor: Int32, for direction: PipeStream.Direction, on loop: Loop) {
        if FileIO.isNullDevice(descriptor) {
            self = .nothing
        } else if let stream = PipeStream.opened(anew: descriptor, for: direction, on: loop) {
            self = .stream(stream)
        } else {
            self = .pool
        }
    }
}

/// Reads a descriptor of any kind. Bound to its loop; paused at first, and not touched before it is resumed.
final class InputReader: StreamHandler {
    weak var user: (any InputUser)?
    private let descriptor: Int32
    private let loop: Loop
    private var way: Way?
    private var isPaused = true
    private var isReading = false
    private var hasEnded = false

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
        let way = Way(descriptor, for: .reading, on: loop)
        if case .stream(let stream) = way { stream.handler = self }
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

/// Where output comes from: it hears how much of it was written, and sends no more than a window ahead of that.
protocol OutputSource: AnyObject {
    func consumed(_ count: Int)
}

extension SSHChannel: OutputSource {}

/// Writes what a channel brings to a descriptor of any kind, in order. Bound to its loop.
///
/// To a stream bytes go from where they were decrypted; on the worker pool what comes while a write is under way goes out with the next. A channel
/// gets its window back for what was written, or has little before it.
package final class OutputWriter: StreamHandler {
    package typealias Sink = @Sendable ([UInt8]) throws -> Void

    private let way: Way
    private let loop: Loop
    /// Of the pool.
    private let sink: Sink
    /// Is told of the first write that failed; nothing is written after it.
    var failed: ((TeleportError) -> Void)?
    private var hasFailed = false
    private var whenWritten: [() -> Void] = []

    /// On the stream: what it has not taken yet, above its mark, and the channel that waits for that.
    private var withheld: (source: any OutputSource, count: Int)?
    private var isClosed = false

    /// On the pool: two buffers that change places and keep their memory, so that a long stream asks for none; the window bounds them.
    private var waiting: [UInt8] = []
    /// What is being written; the loop keeps off it meanwhile.
    private let flying = Lock<[UInt8]>([])
    private var isWriting = false

    package init(descriptor: Int32, on loop: Loop) {
        self.loop = loop
        way = Way(descriptor, for: .writing, on: loop)
        sink = { try FileIO.write($0, descriptor: descriptor) }
        if case .stream(let stream) = way { stream.handler = self }
    }

    package init(_ sink: @escaping Sink, on loop: Loop) {
        way = .pool
        self.sink = sink
        self.loop = loop
    }

    /// - Parameter source: always the same.
    func write(_ bytes: Span<UInt8>, from source: some OutputSource) {
        if hasFailed { return source.consumed(bytes.count) }
        switch way {
        case .nothing: source.consumed(bytes.count)
        case .stream(let stream):
            stream.write(bytes)
            if stream.isWritable { source.consumed(bytes.count) } else { withheld = (source, (withheld?.count ?? 0) + bytes.count) }
        case .pool:
            waiting.append(copying: bytes)
            writeNext(source)
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
        guard let (source, count) = withheld else { return }
        withheld = nil
        source.consumed(count)
    }

    // MARK: The pool

    private func writeNext(_ source: any OutputSource) {
        guard !isWriting, !waiting.isEmpty else { return }
        isWriting = true
        let count = waiting.count
        flying.withLock { flying in swap(&flying, &waiting) }
        let (sink, flying) = (sink, flying)
        let write: @Sendable () throws -> Void = {
            try flying.withLock { bytes in
                defer { bytes.removeAll(keepingCapacity: true) }
                try sink(bytes)
            }
        }
        loop.work(write) { [self] result in
            isWriting = false
            source.consumed(count)
            if case .failure(let error) = result {
                source.consumed(waiting.count)
                waiting = []
                fail(error as? TeleportError ?? .connectionProblem("writing the output failed", cause: error))
            }
            writeNext(source)
            if !isWriting { ended() }
        }
    }
}
