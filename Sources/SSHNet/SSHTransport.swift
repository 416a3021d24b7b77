package import Base
internal import EventLoop

/// What carries a connection's bytes: a stream, or a channel of another connection.
package protocol SSHTransport: AnyObject {
    var user: (any SSHTransportUser)? { get set }
    var peer: SocketAddress? { get }
    /// Bytes that the other side has not taken yet.
    var queuedBytes: Int { get }
    var isWritable: Bool { get }
    func write(_ bytes: Span<UInt8>)
    func pauseReading()
    /// A transport starts paused.
    func resumeReading()
    /// No more is written; what is queued goes out first.
    func shutdown()
    /// At once; what is queued is lost.
    func close()
}

/// Who sits on a transport.
package protocol SSHTransportUser: AnyObject {
    func transportReceived(_ bytes: inout MutableSpan<UInt8>)
    func transportEnded()
    func transportDrained()
    /// The last call.
    func transportClosed(_ error: TeleportError?)
}

/// A TCP connection or unix socket as a transport.
final class StreamTransport: SSHTransport, StreamHandler {
    var user: (any SSHTransportUser)?
    private let stream: Stream

    init(_ stream: Stream) {
        self.stream = stream
        stream.handler = self
    }

    /// Takes the stream off its loop; nobody hears of it here any more.
    func leave() -> MovingStream? {
        guard let moving = (stream as? TCPStream)?.leave() else { return nil }
        user = nil
        return moving
    }

    var peer: SocketAddress? { stream.peer }
    var queuedBytes: Int { stream.queuedBytes }
    var isWritable: Bool { stream.isWritable }
    func write(_ bytes: Span<UInt8>) { stream.write(bytes) }
    func pauseReading() { stream.pauseReading() }
    func resumeReading() { stream.resumeReading() }
    func shutdown() { stream.shutdown() }
    func close() { stream.close() }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) { user?.transportReceived(&bytes) }
    func streamEnded(_ stream: Stream) { user?.transportEnded() }
    func streamDrained(_ stream: Stream) { user?.transportDrained() }

    func streamClosed(_ stream: Stream, error: TeleportError?) {
        let user = user
        self.user = nil
        user?.transportClosed(error)
    }
}
