/// How far a channel has closed in each direction (RFC 4254 §5.3).
///
///     open ──EOF──▶ half closed ──EOF──▶ drained ──CLOSE both ways──▶ closed
struct ChannelClosing: Equatable, Sendable {
    enum State: Equatable, Sendable {
        case open
        case localEOF
        case remoteEOF
        case drained
        /// We have sent CLOSE and wait for the peer's.
        case localClose(peerSentEOF: Bool)
        case closed
    }

    private(set) var state: State = .open

    enum CloseAction: Equatable, Sendable { case sendClose, none }
    enum Fault: Error, Equatable { case afterEOF, afterClose }

    /// Whether we may send data, EOF or requests.
    var maySendData: Bool {
        switch state {
        case .open, .remoteEOF: true
        case .localEOF, .drained, .localClose, .closed: false
        }
    }

    /// Requests and replies may follow an EOF, not a CLOSE.
    var maySend: Bool {
        switch state {
        case .open, .localEOF, .remoteEOF, .drained: true
        case .localClose, .closed: false
        }
    }

    var isClosed: Bool { state == .closed }

    /// We send `SSH_MSG_CHANNEL_EOF`.
    mutating func sendEOF() {
        switch state {
        case .open: state = .localEOF
        case .remoteEOF: state = .drained
        case .localEOF, .drained, .localClose, .closed: preconditionFailure("EOF after EOF or CLOSE")
        }
    }

    /// We send `SSH_MSG_CHANNEL_CLOSE`.
    mutating func sendClose() {
        switch state {
        case .open, .localEOF: state = .localClose(peerSentEOF: false)
        case .remoteEOF, .drained: state = .localClose(peerSentEOF: true)
        case .localClose, .closed: preconditionFailure("CLOSE after CLOSE")
        }
    }

    /// The peer sent data.
    func receiveData() throws(Fault) {
        switch state {
        case .open, .localEOF, .localClose(peerSentEOF: false): return
        case .remoteEOF, .drained, .localClose(peerSentEOF: true): throw .afterEOF
        case .closed: throw .afterClose
        }
    }

    /// The peer sent `SSH_MSG_CHANNEL_EOF`.
    mutating func receiveEOF() throws(Fault) {
        switch state {
        case .open: state = .remoteEOF
        case .localEOF: state = .drained
        case .localClose(peerSentEOF: false): state = .localClose(peerSentEOF: true)
        case .remoteEOF, .drained, .localClose(peerSentEOF: true): throw .afterEOF
        case .closed: throw .afterClose
        }
    }

    /// The peer sent `SSH_MSG_CHANNEL_CLOSE`.
    mutating func receiveClose() throws(Fault) -> CloseAction {
        switch state {
        case .open, .localEOF, .remoteEOF, .drained:
            state = .closed
            return .sendClose
        case .localClose:
            state = .closed
            return .none
        case .closed:
            throw .afterClose
        }
    }
}
