package import Base
internal import CLibuv
internal import Glibc

/// What happens on a stream. All calls come from the loop, never from within a call into the stream.
package protocol StreamHandler: AnyObject {
    /// - Parameter bytes: the loop's receive buffer, lent for this call; it may be changed in place.
    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>)
    /// The peer sends no more.
    func streamEnded(_ stream: Stream)
    /// There is room again after ``Stream/isWritable`` had become false.
    func streamDrained(_ stream: Stream)
    /// The last call. An error is what the connection died of; none means that this side closed it.
    func streamClosed(_ stream: Stream, error: TeleportError?)
}

/// Bytes in both directions: a socket, a pipe, a terminal.
///
/// Reads land in the loop's one buffer, so an idle stream owns none. A write goes to the kernel at once; what the kernel does not take waits in
/// a queue, and ``isWritable`` asks the writer to stop above the high mark.
@safe
package class Stream: LoopHandle {
    /// Held until the stream has closed.
    package var handler: (any StreamHandler)?
    package fileprivate(set) var peer: SocketAddress?
    package fileprivate(set) var local: SocketAddress?
    package private(set) var isWritable = true
    /// Whether the queue, once empty, is followed by the end of this direction.
    fileprivate var isShuttingDown = false
    private var isShutDown = false
    private var isReading = false
    fileprivate var hasEnded = false
    private var closesWhenFlushed = false
    fileprivate var failure: TeleportError?
    fileprivate var queue = WriteQueue()

    /// Above this the writer is asked to stop; a few round trips' worth on a fast path.
    package static let queuedBytesHigh = 512 << 10
    /// Below this the writer may go on.
    package static let queuedBytesLow = 128 << 10

    /// The descriptor that libuv owns.
    var descriptor: CInt {
        var descriptor: CInt = -1
        unsafe uv_fileno(pointer(uv_handle_t.self), &descriptor)
        return descriptor
    }

    // MARK: Reading

    package func pauseReading() {
        guard isReading else { return }
        isReading = false
        unsafe uv_read_stop(pointer(uv_stream_t.self))
    }

    /// Streams start paused: set the handler, then resume.
    package func resumeReading() {
        guard !isReading, !isClosing, !hasEnded else { return }
        isReading = true
        let code = unsafe uv_read_start(
            pointer(uv_stream_t.self),
            { handle, _, buffer in
                guard let data = unsafe handle?.pointee.data, let buffer = unsafe buffer else { return }
                let loop = unsafe Unmanaged<LoopHandle>.fromOpaque(data).takeUnretainedValue().loop
                unsafe loop.receiveBuffer.withMemoryRebound(to: CChar.self) { memory in
                    unsafe buffer.pointee = uv_buf_init(memory.baseAddress, UInt32(memory.count))
                }
            },
            { handle, count, _ in
                guard let data = unsafe handle?.pointee.data else { return }
                let stream = unsafe Unmanaged<Stream>.fromOpaque(data).takeUnretainedValue()
                stream.loop.measured("read") { stream.received(count) }
            })
        if code < 0 { fail(UVError.error(code, "reading")) }
    }

    fileprivate func received(_ count: Int) {
        switch CInt(count) {
        case 0: break
        case 1...:
            afterRead()
            guard let handler else { return }
            var bytes = unsafe MutableSpan(_unsafeElements: UnsafeMutableBufferPointer(rebasing: loop.receiveBuffer[..<count]))
            handler.stream(self, received: &bytes)
        case UV_EOF.rawValue:
            readRest()
            if !isClosing { ended() }
        case let code where isEndOfFile(code): ended()
        case let code: fail(UVError.error(code, "reading"))
        }
    }

    private func ended() {
        pauseReading()
        hasEnded = true
        handler?.streamEnded(self)
    }

    /// What libuv has left unread at the end.
    func readRest() {}

    /// A code other than end of file that means the same.
    func isEndOfFile(_ code: CInt) -> Bool { false }

    func afterRead() {}

    // MARK: Writing

    package var queuedBytes: Int { queue.count }

    package func write(_ bytes: [UInt8]) {
        write(bytes.span)
    }

    /// Sends the bytes after all that were written before. On a stream that is closing or shut down they are dropped.
    package func write(_ bytes: Span<UInt8>) {
        guard !isClosing, !isShuttingDown, failure == nil, !bytes.isEmpty else { return }
        var sent = 0
        if queue.isEmpty {
            sent = tryWrite(bytes)
            if sent == bytes.count || failure != nil { return }
        }
        queue.append(bytes.extracting(sent...), loop.spareBlocks)
        flush()
        if queue.count > Self.queuedBytesHigh { isWritable = false }
    }

    private func tryWrite(_ bytes: Span<UInt8>) -> Int {
        let code = unsafe bytes.withUnsafeBytes { raw in
            var buffer = unsafe uv_buf_t(
                base: UnsafeMutableRawPointer(mutating: raw.baseAddress)?.assumingMemoryBound(to: CChar.self), len: raw.count)
            return unsafe uv_try_write(pointer(uv_stream_t.self), &buffer, 1)
        }
        if code >= 0 { return Int(code) }
        if code != UV_EAGAIN.rawValue { fail(UVError.error(code, "writing")) }
        return 0
    }

    /// Hands the queue to libuv unless a part of it is there already.
    private func flush() {
        guard !queue.isFlying, !queue.isEmpty else { return }
        let code = unsafe queue.fly { request, buffer in
            var buffer = unsafe buffer
            unsafe request.pointee.data = Unmanaged.passUnretained(self).toOpaque()
            return unsafe uv_write(request, pointer(uv_stream_t.self), &buffer, 1) { request, status in
                guard let data = unsafe request?.pointee.data else { return }
                let stream = unsafe Unmanaged<Stream>.fromOpaque(data).takeUnretainedValue()
                stream.loop.measured("write") { stream.wrote(status) }
            }
        }
        if code < 0 {
            queue.landed(loop.spareBlocks)
            fail(UVError.error(code, "writing"))
        }
    }

    private func wrote(_ status: CInt) {
        queue.landed(loop.spareBlocks)
        if isClosing { return }
        if status < 0 {
            fail(UVError.error(status, "writing"))
            return
        }
        flush()
        if queue.isEmpty { flushed() }
        if !isWritable, !isClosing, queue.count <= Self.queuedBytesLow {
            isWritable = true
            handler?.streamDrained(self)
        }
    }

    // MARK: Ending

    /// Ends this direction after what is queued; the other one goes on.
    package func shutdown() {
        guard !isShuttingDown, !isClosing else { return }
        isShuttingDown = true
        if queue.isEmpty { flushed() }
    }

    /// Closes after what is queued has gone to the kernel.
    package func closeAfterWrites() {
        closesWhenFlushed = true
        isShuttingDown = true
        if queue.isEmpty { close() }
    }

    private func flushed() {
        if closesWhenFlushed {
            close()
        } else if isShuttingDown, !isShutDown {
            isShutDown = true
            endWriting()
        }
    }

    func endWriting() {
        Glibc.shutdown(descriptor, CInt(SHUT_WR))
    }

    /// The handler hears of it when the handle is closed, which is in another turn.
    private func fail(_ error: TeleportError) {
        if failure == nil { failure = error }
        close()
    }

    override func closed() {
        queue.discard(loop.spareBlocks)
        handler?.streamClosed(self, error: failure)
        handler = nil
    }
}

/// A TCP connection between two loops: its descriptor, and what goes out first on the new one.
package final class MovingStream: Sendable {
    private let descriptor: Lock<CInt?>
    fileprivate let unsent: [UInt8]

    fileprivate init(_ descriptor: CInt, unsent: [UInt8]) {
        self.descriptor = Lock(descriptor)
        self.unsent = unsent
    }

    deinit {
        if let descriptor = descriptor.withLock({ $0 }) { Glibc.close(descriptor) }
    }

    fileprivate func take() -> CInt {
        descriptor.withLock { descriptor in
            guard let taken = descriptor.take() else { preconditionFailure("a stream arrives once") }
            return taken
        }
    }
}

/// A TCP connection.
package final class TCPStream: Stream {
    /// Whether each read is acknowledged at once: our acknowledgement releases a peer that has Nagle's algorithm on during its handshake.
    package var quickAcknowledgements = false {
        didSet { afterRead() }
    }

    private init(on loop: Loop) {
        super.init(UV_TCP, on: loop)
        unsafe uv_tcp_init(loop.uv, pointer(uv_tcp_t.self))
        adopt()
    }

    /// Takes over a connected socket.
    convenience init(descriptor: CInt, on loop: Loop) throws(TeleportError) {
        self.init(on: loop)
        let code = unsafe uv_tcp_open(pointer(uv_tcp_t.self), descriptor)
        if code < 0 {
            Glibc.close(descriptor)
            close()
            throw UVError.error(code, "adopting a socket")
        }
        connected()
    }

    /// Takes over a connection that has left another loop. Paused, as every new stream.
    package convenience init(_ moving: MovingStream, on loop: Loop) throws(TeleportError) {
        try self.init(descriptor: moving.take(), on: loop)
        write(moving.unsent)
    }

    /// Takes the connection off this loop, with what the kernel has not taken of what was written; the handler hears nothing more.
    ///
    /// - Returns: nil where either direction has ended or no descriptor is left; then nothing has changed.
    package func leave() -> MovingStream? {
        guard !isClosing, !isShuttingDown, !hasEnded, failure == nil else { return nil }
        let copy = shim_duplicate_above(descriptor, 0)
        guard copy >= 0 else { return nil }
        pauseReading()
        // Libuv takes what it has written of the part that flies off this count.
        let flyingLeft = unsafe uv_stream_get_write_queue_size(pointer(uv_stream_t.self))
        let unsent = queue.unsent(flyingLeft: flyingLeft)
        handler = nil
        close()
        return MovingStream(copy, unsent: unsent)
    }

    private func connected() {
        // Without this a small answer waits up to 40 ms for an acknowledgement.
        unsafe uv_tcp_nodelay(pointer(uv_tcp_t.self), 1)
        peer = .of(descriptor, .peer)
        local = .of(descriptor, .local)
    }

    override func afterRead() {
        guard quickAcknowledgements else { return }
        var one: CInt = 1
        unsafe setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_QUICKACK, &one, socklen_t(MemoryLayout<CInt>.size))
    }

    /// Tries the addresses in turn until one accepts.
    ///
    /// - Parameter timeout: for each of them.
    /// - Parameter then: never called from within this call, and not after ``StreamConnect/cancel()``.
    @discardableResult
    package static func connect(
        to addresses: [SocketAddress], timeout: Duration, on loop: Loop, then: @escaping (Result<TCPStream, TeleportError>) -> Void
    ) -> StreamConnect {
        let attempt = StreamConnect(on: loop) { result in then(result.map { unsafe unsafeDowncast($0, to: TCPStream.self) }) }
        attempt.start(addresses, timeout: timeout) { address, done throws(TeleportError) in
            let stream = TCPStream(on: loop)
            let request = ConnectRequest { status in
                if status >= 0 { stream.connected() }
                done(status)
            }
            do throws(TeleportError) {
                unsafe try address.withSystemAddress { pointer, _ throws(TeleportError) in
                    let code = unsafe request.submit { memory, callback in
                        unsafe uv_tcp_connect(memory, stream.pointer(uv_tcp_t.self), pointer, callback)
                    }
                    try UVError.check(code, "connecting to \(address)")
                }
            } catch {
                stream.close()
                throw error
            }
            return stream
        }
        return attempt
    }
}

/// A unix socket, a pipe or a terminal.
package final class PipeStream: Stream {
    package enum Kind: Sendable {
        case socket
        /// One direction: its end is the closing of the descriptor.
        case pipe
        /// The master of a pseudo terminal: `EIO` says that nobody has the other side open any more.
        case terminal
    }

    private let kind: Kind

    private init(kind: Kind, on loop: Loop) {
        self.kind = kind
        super.init(UV_NAMED_PIPE, on: loop)
        unsafe uv_pipe_init(loop.uv, pointer(uv_pipe_t.self), 0)
        adopt()
    }

    /// Takes over an open descriptor that can be polled.
    package convenience init(_ descriptor: consuming FileDescriptor, kind: Kind, on loop: Loop) throws(TeleportError) {
        self.init(kind: kind, on: loop)
        let raw = descriptor.release()
        let code = unsafe uv_pipe_open(pointer(uv_pipe_t.self), raw)
        if code < 0 {
            Glibc.close(raw)
            close()
            throw UVError.error(code, "adopting a descriptor")
        }
    }

    /// When a terminal's other side has been closed, libuv takes a read that does not fill the buffer for the last; a terminal gives a few
    /// kilobytes at a time. What is left is bounded by the kernel's own buffer.
    override func readRest() {
        guard kind == .terminal else { return }
        while !isClosing {
            let count = unsafe read(descriptor, loop.receiveBuffer.baseAddress, loop.receiveBuffer.count)
            guard count > 0 else { return }
            received(count)
        }
    }

    override func isEndOfFile(_ code: CInt) -> Bool { kind == .terminal && code == UV_EIO.rawValue }

    override func endWriting() {
        switch kind {
        case .socket: super.endWriting()
        case .pipe: close()
        case .terminal: break
        }
    }

    /// Connects to a unix socket.
    @discardableResult
    package static func connect(
        path: String, timeout: Duration, on loop: Loop, then: @escaping (Result<PipeStream, TeleportError>) -> Void
    ) -> StreamConnect {
        let attempt = StreamConnect(on: loop) { result in then(result.map { unsafe unsafeDowncast($0, to: PipeStream.self) }) }
        attempt.start([.unix(path: path)], timeout: timeout) { address, done throws(TeleportError) in
            // Libuv cuts a long path short instead of refusing it.
            unsafe try address.withSystemAddress { _, _ throws(TeleportError) in }
            let stream = PipeStream(kind: .socket, on: loop)
            let request = ConnectRequest(done)
            let code = unsafe request.submit { memory, callback in
                unsafe uv_pipe_connect(memory, stream.pointer(uv_pipe_t.self), path, callback)
                return 0
            }
            try UVError.check(code, "connecting to \(address)")
            return stream
        }
        return attempt
    }
}
