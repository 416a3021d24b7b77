import AuthAPI
import Base
import ClusterModel
import Config
import Crypto
import EventLoop
import Logging
import NodeService
import ReverseTunnel
import SSHEngine
import SSHNet
import SSHWire

/// This host's identity in one role, decoded once, and replaced as a whole when it is renewed. Thread-safe.
final class HostCredentials: Sendable {
    private struct State {
        var identity: HostIdentity
        var hostKey: HostKey
    }

    private let state: Lock<State>

    init(_ identity: HostIdentity) throws(TeleportError) {
        state = Lock(State(identity: identity, hostKey: try Self.decode(identity)))
    }

    var identity: HostIdentity { state.withLock { $0.identity } }
    var hostKey: HostKey { state.withLock { $0.hostKey } }

    func replace(_ identity: HostIdentity) throws(TeleportError) {
        let renewed = State(identity: identity, hostKey: try Self.decode(identity))
        state.withLock { $0 = renewed }
    }

    /// The agent's side of a tunnel: the host certificate, and its key id as the user name.
    var agentCredential: AgentCredential {
        let hostKey = hostKey
        guard let certificate = hostKey.certificate else { preconditionFailure("an identity has a certificate") }
        return AgentCredential(
            user: certificate.keyID, credential: UserCredential(identity: .certificate(certificate), signer: .key(hostKey.key)))
    }

    private static func decode(_ identity: HostIdentity) throws(TeleportError) -> HostKey {
        do throws(KeyError) {
            return HostKey(
                key: try PrivateKeyFile(text: identity.sshPrivateKey).key, certificate: try Certificate(text: identity.sshCertificate))
        } catch {
            throw .badParameter("this host's \(identity.role.rawValue) identity cannot be read: \(error.explanation)", cause: error)
        }
    }
}

/// Calls to the auth server with the newest identity of this host.
final class RenewableTransport: AuthTransport {
    private let current: Lock<any AuthTransport>
    private let make: @Sendable (HostIdentity) -> AuthClient

    /// - Parameter make: how this host reaches the auth server, with an identity of its own.
    init(_ identity: HostIdentity, make: @escaping @Sendable (HostIdentity) -> AuthClient) {
        self.make = make
        current = Lock(make(identity).transport)
    }

    func renew(_ identity: HostIdentity) {
        let renewed = make(identity).transport
        current.withLock { $0 = renewed }
    }

    func post(_ path: String, body: [UInt8], timeout: Duration) async throws(TeleportError) -> [UInt8] {
        let transport = current.withLock { $0 }
        return try await transport.post(path, body: body, timeout: timeout)
    }
}

extension Config.Limits {
    /// For a listener of SSH.
    var listener: ListenerLimits {
        ListenerLimits(total: maxConnections, perAddress: maxPerAddress, unauthenticated: maxUnauthenticated)
    }
}
