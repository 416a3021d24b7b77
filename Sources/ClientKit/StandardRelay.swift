internal import Base
internal import EventLoop
internal import SSHNet
internal import SSHWire

/// Joins a channel that is being opened to this process's stdin and stdout, as a ProxyCommand does. Bound to its loop.
final class StandardRelay: ChannelHandler, InputUser {
    private let input: InputReader
    private let output: OutputWriter
    private var then: ((Result<Void, TeleportError>) -> Void)?
    private var channel: SSHChannel?

    init(on loop: Loop, then: @escaping (Result<Void, TeleportError>) -> Void) {
        self.then = then
        input = InputReader(descriptor: 0, on: loop)
        output = OutputWriter(descriptor: 1, on: loop)
        output.failed = { [weak self] error in self?.finish(error.kind == .connectionProblem ? .success(()) : .failure(error)) }
    }

    func channelOpened(_ channel: SSHChannel) {
        self.channel = channel
        input.user = self
        input.resume()
    }

    func channelWritable(_ channel: SSHChannel) { input.resume() }

    func inputReceived(_ bytes: Span<UInt8>) {
        guard let channel else { return }
        channel.write(bytes)
        if !channel.isWritable { input.pause() }
    }

    func inputEnded() { channel?.sendEOF() }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        output.write(data, from: channel)
    }

    /// Whoever reads our stdout is told at once, while our stdin may go on.
    func channelEOF(_ channel: SSHChannel) {
        output.end { _ = FileDescriptor(1) }
    }

    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        let why = ProxyText.message(Array(message.utf8)) ?? "no reason was given"
        finish(.failure(TeleportError(reason == .connectFailed ? .connectionProblem : .accessDenied, "no way there: \(why)")))
    }

    func channelClosed(_ channel: SSHChannel) {
        output.end { [self] in finish(.success(())) }
    }

    private func finish(_ result: Result<Void, TeleportError>) {
        let then = then
        self.then = nil
        input.close()
        then?(result)
    }
}
