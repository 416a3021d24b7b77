package import Base
package import EventLoop
internal import Limits
internal import SSHEngine

/// A connection between two loops: its engine, its socket, and the one channel that was being opened or joined on it.
///
///     loop A: SSHConnection.leave ─▶ ConnectionMove ─posted─▶ loop B: arrive
///
/// What had been read is with the engine, what had not waits in the kernel; what had not been sent goes along. So no byte is lost, doubled or
/// overtaken. It crosses threads once, and whoever holds it owns all that is in it.
package final class ConnectionMove: @unchecked Sendable {
    package let peer: SocketAddress?
    let local: SocketAddress?
    let held: HeldEngine
    let keepAlive: KeepAlive?
    let hostKeys: HostKeyUpdate?
    let keyExchange: KeyExchangeSummary?
    private let subject: Subject
    private let stream: MovingStream

    fileprivate enum Subject {
        case request(ChannelOpenOffer)
        case channel(SSHChannel.Moving)
    }

    /// What is to go on where the connection has arrived.
    package enum Arrival {
        case request(ChannelOpenRequest)
        /// Has no handler.
        case channel(SSHChannel)
    }

    fileprivate init(_ connection: SSHConnection, _ stream: MovingStream, _ subject: Subject) {
        peer = connection.peer
        local = connection.local
        held = connection.held
        keepAlive = connection.keepAlive
        hostKeys = connection.hostKeys
        keyExchange = connection.keyExchange
        self.subject = subject
        self.stream = stream
    }

    /// Goes on with the connection on `loop`, among those of `listener` there.
    package func arrive(
        on loop: Loop, at listener: SSHListener, handler: any ConnectionHandler
    ) throws(TeleportError) -> Arrival {
        let stream: TCPStream
        do throws(TeleportError) {
            stream = try TCPStream(self.stream, on: loop)
        } catch {
            listener.lost(peer)
            throw error
        }
        let connection = SSHConnection(self, stream, handler, loop)
        listener.adopt(connection)
        switch subject {
        case .request(let offer): return .request(connection.reopen(offer))
        case .channel(let channel): return .channel(connection.reopen(channel))
        }
    }
}

extension SSHConnection {
    /// Takes the connection off its loop while the peer waits for the answer to `request`. For the end of a turn.
    ///
    /// - Returns: nil where something else goes on as well, or nothing can be moved; then nothing has changed. Otherwise this object is at its end, and
    ///   nobody is told.
    package func leave(with request: ChannelOpenRequest) -> ConnectionMove? {
        guard unansweredOpens == 1, channels.isEmpty, let offer = request.unanswered else { return nil }
        return leave(.request(offer))
    }

    /// The same while `channel` is the only one.
    package func leave(with channel: SSHChannel) -> ConnectionMove? {
        guard unansweredOpens == 0, channels.count == 1, channels.values.first === channel, let moving = channel.moving else { return nil }
        return leave(.channel(moving))
    }

    private func leave(_ subject: ConnectionMove.Subject) -> ConnectionMove? {
        guard isQuiet, let stream = (transport as? StreamTransport)?.leave() else { return nil }
        left()
        return ConnectionMove(self, stream, subject)
    }
}
