package import Base
internal import EventLoop
package import SSHWire

/// A channel as the transport of an inner connection: SSH inside of SSH, end to end through a proxy.
///
/// The peer may speak as soon as a channel is open, so this has to be its handler from the first.
package final class ChannelTransport: SSHTransport, ChannelHandler {
    package var user: (any SSHTransportUser)?
    package let peer: SocketAddress?
    private var channel: SSHChannel?
    private var isPaused = true
    private var hasEnded = false
    private var isClosed = false
    /// Came while reading was paused; the peer's window bounds it.
    private var held: [UInt8] = []

    /// Empty between two deliveries; kept for its memory.
    private var scratch: [UInt8] = []
    /// Written before the channel was open: what a connection says first.
    private var early: [UInt8] = []
    private let subsystem: String?
    /// What the peer says on stderr instead of carrying bytes.
    private var diagnostics: [UInt8] = []

    private static let diagnosticsBytesMax = 4 << 10

    /// Takes over a channel within the callback that opened or accepted it.
    package init(_ channel: SSHChannel, peer: SocketAddress? = nil) {
        self.channel = channel
        self.peer = peer
        subsystem = nil
        channel.handler = self
    }

    /// Accepts a channel that the peer opens for the purpose.
    package init(accepting request: ChannelOpenRequest, peer: SocketAddress?) {
        self.peer = peer
        subsystem = nil
        channel = request.accept(handler: self)
    }

    /// Opens a channel of `connection` for the purpose; where the peer refuses it, its words are the error of the inner connection.
    package init(opening type: String, payload: [UInt8], on connection: SSHConnection, peer: SocketAddress? = nil) {
        self.peer = peer
        subsystem = nil
        channel = connection.openChannel(type: type, payload: payload, handler: self)
    }

    /// Starts a subsystem of `connection` for the purpose, without waiting where that can be; where it fails, the peer's words, on stderr too, are
    /// the error of the inner connection.
    package init(subsystem: String, on connection: SSHConnection, peer: SocketAddress? = nil) {
        self.peer = peer
        self.subsystem = subsystem
        channel = connection.openSession(handler: self)
    }

    package var queuedBytes: Int { isWritable ? 0 : 1 }
    package var isWritable: Bool { channel?.isWritable ?? false }

    package func write(_ bytes: Span<UInt8>) {
        if let channel, channel.state != .opening { channel.write(bytes) } else { early.append(copying: bytes) }
    }

    package func shutdown() { channel?.sendEOF() }
    package func close() { channel?.close() }
    package func pauseReading() { isPaused = true }

    package func resumeReading() {
        guard isPaused else { return }
        isPaused = false
        channel?.connection.loop.atEndOfTurn { [self] in deliver() }
    }

    package func channelOpened(_ channel: SSHChannel) {
        if let subsystem {
            let request = SessionRequest.subsystem(name: subsystem)
            channel.request(request.type, payload: request.payload()) { [self] success in
                if !success { closed(.connectionProblem("the subsystem \(subsystem) was refused")) }
            }
        }
        channel.write(early)
        early = []
        user?.transportDrained()
    }

    package func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        closed(.connectionProblem(message))
    }

    package func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        if isPaused || !held.isEmpty {
            held.append(copying: data)
        } else {
            // The inner engine opens its packets in place, and these bytes are lent for reading only.
            var copy: [UInt8] = []
            swap(&copy, &scratch)
            copy.append(copying: data)
            deliver(&copy)
            copy.removeAll(keepingCapacity: true)
            swap(&copy, &scratch)
        }
    }

    package func channel(_ channel: SSHChannel, receivedExtended data: Span<UInt8>, type: UInt32) {
        if diagnostics.count < Self.diagnosticsBytesMax { diagnostics.append(copying: data) }
        channel.consumed(data.count)
    }

    private func deliver() {
        guard !isPaused, !isClosed else { return }
        if !held.isEmpty {
            var bytes = held
            held = []
            deliver(&bytes)
        }
        if hasEnded, !isPaused { user?.transportEnded() }
    }

    private func deliver(_ bytes: inout [UInt8]) {
        var span = bytes.mutableSpan
        user?.transportReceived(&span)
        channel?.consumed(bytes.count)
    }

    package func channelEOF(_ channel: SSHChannel) {
        guard diagnostics.isEmpty else { return closed(nil) }
        hasEnded = true
        if !isPaused { user?.transportEnded() }
    }

    package func channelWritable(_ channel: SSHChannel) {
        user?.transportDrained()
    }

    package func channelClosed(_ channel: SSHChannel) {
        closed(nil)
    }

    private func closed(_ error: TeleportError?) {
        isClosed = true
        let user = user
        self.user = nil
        user?.transportClosed(diagnostics.isEmpty ? error : .connectionProblem(String(decoding: diagnostics, as: UTF8.self)))
    }
}
