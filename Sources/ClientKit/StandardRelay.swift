internal import Base
internal import EventLoop
internal import SSHNet
internal import SSHWire

/// Joins a channel that is being opened to this process's stdin and stdout, as a ProxyCommand does. Bound to its loop.
final class StandardRelay: ChannelHandler {
    private let input: InputReader
    private let output: OutputWriter
    private var then: ((Result<Void, TeleportError>) -> Void)?
    private var inputHasEnded = false

    init(on loop: Loop, then: @escaping (Result<Void, TeleportError>) -> Void) {
        self.then = then
        input = InputReader(descriptor: 0, on: loop)
        output = OutputWriter(OutputWriter.descriptor(1), on: loop)
        output.failed = { [weak self] error in self?.finish(error.kind == .connectionProblem ? .success(()) : .failure(error)) }
    }

    func channelOpened(_ channel: SSHChannel) { read(channel) }
    func channelWritable(_ channel: SSHChannel) { read(channel) }

    private func read(_ channel: SSHChannel) {
        guard !inputHasEnded, channel.isWritable else { return }
        input.read { [self] bytes in
            guard let bytes else {
                inputHasEnded = true
                return channel.sendEOF()
            }
            channel.write(bytes)
            read(channel)
        }
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        output.write(data, from: channel)
    }

    /// Whoever reads our stdout is told at once, while our stdin may go on.
    func channelEOF(_ channel: SSHChannel) {
        output.whenEmpty { _ = FileDescriptor(1) }
    }

    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        let why = ProxyText.message(Array(message.utf8)) ?? "no reason was given"
        finish(.failure(TeleportError(reason == .connectFailed ? .connectionProblem : .accessDenied, "no way there: \(why)")))
    }

    func channelClosed(_ channel: SSHChannel) {
        output.whenEmpty { [self] in finish(.success(())) }
    }

    private func finish(_ result: Result<Void, TeleportError>) {
        let then = then
        self.then = nil
        then?(result)
    }
}
