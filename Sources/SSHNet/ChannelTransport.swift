package import Base
internal import EventLoop

/// A channel as the transport of an inner connection: SSH inside of SSH, end to end through a proxy.
///
/// Give it to ``SSHConnection`` only when the channel is open.
package final class ChannelTransport: SSHTransport, ChannelHandler {
    package var user: (any SSHTransportUser)?
    package let peer: SocketAddress?
    private let channel: SSHChannel
    private var isPaused = true
    private var hasEnded = false
    private var isClosed = false
    /// Came while reading was paused; the peer's window bounds it.
    private var held: [UInt8] = []

    /// Takes the channel over from its present handler.
    package init(_ channel: SSHChannel, peer: SocketAddress? = nil) {
        self.channel = channel
        self.peer = peer
        channel.handler = self
    }

    package var queuedBytes: Int { channel.isWritable ? 0 : 1 }
    package var isWritable: Bool { channel.isWritable }
    package func write(_ bytes: Span<UInt8>) { channel.write(bytes) }
    package func shutdown() { channel.sendEOF() }
    package func close() { channel.close() }
    package func pauseReading() { isPaused = true }

    package func resumeReading() {
        guard isPaused else { return }
        isPaused = false
        channel.connection.loop.atEndOfTurn { [self] in deliver() }
    }

    package func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        if isPaused || !held.isEmpty {
            held.append(copying: data)
        } else {
            // The inner engine opens its packets in place, and these bytes are lent for reading only.
            var copy = Array(copying: data)
            deliver(&copy)
        }
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
        channel.consumed(bytes.count)
    }

    package func channelEOF(_ channel: SSHChannel) {
        hasEnded = true
        if !isPaused { user?.transportEnded() }
    }

    package func channelWritable(_ channel: SSHChannel) {
        user?.transportDrained()
    }

    package func channelClosed(_ channel: SSHChannel) {
        isClosed = true
        let user = user
        self.user = nil
        user?.transportClosed(nil)
    }
}
