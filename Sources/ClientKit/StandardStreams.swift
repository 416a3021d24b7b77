internal import Base
internal import EventLoop

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

/// Writes in order, on the worker pool: what comes while a write is under way goes out with the next.
package final class OutputWriter {
    package typealias Sink = @Sendable ([UInt8]) throws -> Void

    private let sink: Sink
    private let loop: Loop
    private var waiting: [UInt8] = []
    private var done: [() -> Void] = []
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

    func write(_ bytes: [UInt8], done: @escaping () -> Void) {
        guard !hasFailed else { return done() }
        if waiting.isEmpty { waiting = bytes } else { waiting += bytes }
        self.done.append(done)
        next()
    }

    func whenEmpty(_ body: @escaping () -> Void) {
        if isWriting { emptied.append(body) } else { body() }
    }

    private func next() {
        guard !isWriting, !waiting.isEmpty else { return }
        isWriting = true
        let bytes = waiting
        let finished = done
        waiting = []
        done = []
        let sink = sink
        loop.work({ try sink(bytes) }) { [self] result in
            isWriting = false
            if case .failure(let error) = result {
                hasFailed = true
                waiting = []
                failed?(error as? TeleportError ?? .connectionProblem("writing the output failed", cause: error))
            }
            for body in finished { body() }
            next()
            guard !isWriting else { return }
            let bodies = emptied
            emptied = []
            for body in bodies { body() }
        }
    }
}
