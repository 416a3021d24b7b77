internal import Base
internal import EventLoop
internal import SSHNet
internal import SSHWire

/// This process's stdin and stdout, for one relay and, where that leads nowhere, for the next. Bound to its loop.
final class StandardEnds: InputUser {
    private let input: InputReader
    let output: OutputWriter
    /// Is told how a relay ends whose output cannot be written; that nobody reads it any more is no failure.
    var broken: ((Result<Void, TeleportError>) -> Void)?
    /// Who is told of what stdin says; it is remembered too until somebody has taken it for good.
    weak var user: (any InputUser)?
    private var early: [UInt8] = []
    private var isTaken = false
    private var hasEnded = false

    /// An SSH client says less before it has heard the server.
    private static let earlyBytesMax = 64 << 10

    init(on loop: Loop) {
        input = InputReader(descriptor: 0, on: loop)
        output = OutputWriter(descriptor: 1, on: loop)
        input.user = self
        output.failed = { [weak self] error in self?.broken?(error.kind == .connectionProblem ? .success(()) : .failure(error)) }
    }

    func resume() {
        if !hasEnded, isTaken || early.count < Self.earlyBytesMax { input.resume() }
    }

    func pause() { input.pause() }

    /// - Returns: what stdin has said, and whether it has ended; nothing is remembered from here on.
    func take() -> (early: [UInt8], hasEnded: Bool) {
        isTaken = true
        defer { early = [] }
        return (early, hasEnded)
    }

    /// Whoever reads our stdout is told at once, while our stdin may go on.
    func endOutput() {
        output.end { _ = FileDescriptor(1) }
    }

    func close() { input.close() }

    func inputReceived(_ bytes: Span<UInt8>) {
        if !isTaken {
            early.append(copying: bytes)
            if early.count >= Self.earlyBytesMax { input.pause() }
        }
        user?.inputReceived(bytes)
    }

    func inputEnded() {
        hasEnded = true
        user?.inputEnded()
    }
}

/// Joins a channel that is being opened to this process's stdin and stdout, as a ProxyCommand does. Bound to its loop.
final class StandardRelay: ChannelHandler, InputUser {
    private let ends: StandardEnds
    private var then: ((Result<Void, TeleportError>) -> Void)?
    private var channel: SSHChannel?

    init(_ ends: StandardEnds, then: @escaping (Result<Void, TeleportError>) -> Void) {
        self.ends = ends
        self.then = then
        ends.broken = { [weak self] result in self?.finish(result) }
    }

    func channelOpened(_ channel: SSHChannel) {
        self.channel = channel
        ends.user = self
        let (early, hasEnded) = ends.take()
        if !early.isEmpty { channel.write(early.span) }
        if hasEnded { channel.sendEOF() } else { ends.resume() }
    }

    func channelWritable(_ channel: SSHChannel) { ends.resume() }

    func inputReceived(_ bytes: Span<UInt8>) {
        guard let channel else { return }
        channel.write(bytes)
        if !channel.isWritable { ends.pause() }
    }

    func inputEnded() { channel?.sendEOF() }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        ends.output.write(data, from: channel)
    }

    func channelEOF(_ channel: SSHChannel) { ends.endOutput() }

    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        let why = ProxyText.message(Array(message.utf8)) ?? "no reason was given"
        finish(.failure(TeleportError(reason == .connectFailed ? .connectionProblem : .accessDenied, "no way there: \(why)")))
    }

    func channelClosed(_ channel: SSHChannel) {
        ends.output.end { [self] in finish(.success(())) }
    }

    private func finish(_ result: Result<Void, TeleportError>) {
        let then = then
        self.then = nil
        ends.close()
        then?(result)
    }
}

/// The same over a connection that another process keeps: the way may lead nowhere, as long as nothing has come back.
final class KeptRelay: StreamHandler, InputUser, OutputSource {
    private let stream: PipeStream
    private let ends: StandardEnds
    private var silence: LoopTimer?
    private var unwritten = 0
    private var unanswered: (() -> Void)?
    private var then: ((Result<Void, TeleportError>) -> Void)?

    private static let unwrittenBytesMax = 1 << 20

    /// - Parameter unanswered: comes in place of `then` where nothing has come this way; another relay can have the ends.
    init(
        _ stream: PipeStream, _ ends: StandardEnds, on loop: Loop, unanswered: @escaping () -> Void,
        then: @escaping (Result<Void, TeleportError>) -> Void
    ) {
        self.stream = stream
        self.ends = ends
        self.unanswered = unanswered
        self.then = then
        stream.handler = self
        silence = loop.schedule(after: ControlSocket.silenceMax) { [weak self] in self?.stream.close() }
        ends.broken = { [weak self] result in self?.finish(result) }
        ends.user = self
        ends.resume()
        stream.resumeReading()
    }

    private func finish(_ result: Result<Void, TeleportError>) {
        let then = then
        self.then = nil
        unanswered = nil
        ends.close()
        stream.close()
        then?(result)
    }

    // MARK: Stdin

    func inputReceived(_ bytes: Span<UInt8>) {
        stream.write(bytes)
        if !stream.isWritable { ends.pause() }
    }

    func inputEnded() { stream.shutdown() }
    func streamDrained(_ stream: Stream) { ends.resume() }

    // MARK: Stdout

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        if unanswered != nil {
            unanswered = nil
            silence?.cancel()
            _ = ends.take()
            ends.resume()
        }
        unwritten += bytes.count
        if unwritten >= Self.unwrittenBytesMax { stream.pauseReading() }
        ends.output.write(bytes.span, from: self)
    }

    func consumed(_ count: Int) {
        unwritten -= count
        if unwritten < Self.unwrittenBytesMax { stream.resumeReading() }
    }

    func streamEnded(_ stream: Stream) {
        if unanswered == nil { ends.endOutput() } else { stream.close() }
    }

    func streamClosed(_ stream: Stream, error: TeleportError?) {
        guard let unanswered else { return ends.output.end { [self] in finish(.success(())) } }
        self.unanswered = nil
        then = nil
        silence?.cancel()
        ends.user = nil
        ends.pause()
        unanswered()
    }
}
