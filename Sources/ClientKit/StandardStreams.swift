internal import Base
internal import EventLoop
internal import SSHNet

/// Reads a descriptor of any kind, one chunk at a time, on the worker pool.
final class InputReader {
    private let descriptor: Int32
    private let loop: Loop
    private var isReading = false

    /// A pipe holds 64 KiB; more at once is for files.
    private static let chunkBytes = 256 << 10

    init(descriptor: Int32, on loop: Loop) {
        self.descriptor = descriptor
        self.loop = loop
    }

    /// - Parameter then: is given the next bytes, or nil at the end; nothing happens while a read is under way.
    func read(then: @escaping ([UInt8]?) -> Void) {
        guard !isReading else { return }
        isReading = true
        let descriptor = descriptor
        loop.work({ try FileIO.readSome(descriptor, name: "stdin", max: Self.chunkBytes) }) { [self] result in
            isReading = false
            switch result {
            case .success(let bytes): then(bytes)
            case .failure: then(nil)
            }
        }
    }
}

/// Writes what channels bring, in order, on the worker pool: what comes while a write is under way goes out with the next.
///
/// A channel gets its window back for what was written. Two buffers change places and keep their memory, so that a long stream asks for none; the
/// window bounds them.
package final class OutputWriter {
    package typealias Sink = @Sendable ([UInt8]) throws -> Void

    private let sink: Sink
    private let loop: Loop
    private var waiting: [UInt8] = []
    /// What is being written; the loop keeps off it meanwhile.
    private let flying = Lock<[UInt8]>([])
    private var isWriting = false
    private var emptied: [() -> Void] = []
    /// Is told of the first write that failed; nothing is written after it.
    var failed: ((TeleportError) -> Void)?
    private var hasFailed = false

    init(_ sink: @escaping Sink, on loop: Loop) {
        self.sink = sink
        self.loop = loop
    }

    /// The sink of a descriptor.
    package static func descriptor(_ descriptor: Int32) -> Sink {
        { try FileIO.write($0, descriptor: descriptor) }
    }

    /// - Parameter channel: where the bytes are from; always the same.
    func write(_ bytes: Span<UInt8>, from channel: SSHChannel) {
        guard !hasFailed else { return channel.consumed(bytes.count) }
        waiting.append(copying: bytes)
        next(channel)
    }

    func whenEmpty(_ body: @escaping () -> Void) {
        if isWriting { emptied.append(body) } else { body() }
    }

    private func next(_ channel: SSHChannel) {
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
            channel.consumed(count)
            if case .failure(let error) = result {
                hasFailed = true
                channel.consumed(waiting.count)
                waiting = []
                failed?(error as? TeleportError ?? .connectionProblem("writing the output failed", cause: error))
            }
            next(channel)
            guard !isWriting else { return }
            let bodies = emptied
            emptied = []
            for body in bodies { body() }
        }
    }
}
