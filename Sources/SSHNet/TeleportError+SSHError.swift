internal import Base
internal import SSHEngine
internal import SSHWire

extension TeleportError {
    /// What the engine died of, with its own text as the cause.
    init(_ error: SSHError) {
        switch error.reason {
        case .disconnectedByPeer(let reason, let message):
            self = .disconnected(reason, message) ?? .connectionProblem("the peer ended the connection")
        case .hostKeyRefused(let reason): self = .accessDenied("the host key was refused: \(reason)", cause: error)
        case .credentialsExhausted, .authenticationAttempts: self = .accessDenied("the user was not let in", cause: error)
        default: self = .connectionProblem("the SSH connection failed: \(error.peerText)", cause: error)
        }
    }

    /// A peer's good-bye; nil where it is the normal end.
    static func disconnected(_ reason: DisconnectReason, _ message: String) -> TeleportError? {
        if reason == .byApplication { return nil }
        return .connectionProblem("the peer ended the connection: \(message)")
    }
}
