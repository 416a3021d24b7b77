internal import Base
package import EventLoop
internal import SSHNet
internal import SSHWire

/// The user's own agent, the one that `SSH_AUTH_SOCK` names: it is given our certificate, so that plain `ssh` has it too.
package enum LocalAgent {
    /// The agent forgets the key when the certificate expires.
    package static func add(_ identity: ClientIdentity, path: String, _ loop: isolated EventLoop) async throws {
        let lifetime = max(1, identity.expires.seconds - loop.inside.wallTime.seconds)
        try await send(.add(identity.agentIdentity(lifetime: UInt32(clamping: lifetime))), path: path, loop)
    }

    package static func remove(_ identity: ClientIdentity, path: String, _ loop: isolated EventLoop) async throws {
        try await send(.remove(key: identity.certificate.blob), path: path, loop)
    }

    private static func send(_ request: AgentRequest, path: String, _ loop: isolated EventLoop) async throws {
        let inside = loop.inside
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            AgentClient.connect(path: path, on: inside) { result in
                switch result {
                case .failure(let error): continuation.resume(throwing: error)
                case .success(let agent):
                    agent.send(request) { answer in
                        withExtendedLifetime(agent) {
                            switch answer {
                            case .success(.success): continuation.resume()
                            case .success: continuation.resume(throwing: TeleportError.accessDenied("the agent refused"))
                            case .failure(let error): continuation.resume(throwing: error)
                            }
                        }
                    }
                }
            }
        }
    }
}

extension ClientIdentity {
    /// - Parameter lifetime: seconds.
    func agentIdentity(lifetime: UInt32? = nil) -> AgentIdentity {
        AgentIdentity(key: key, certificate: certificate, comment: "teleport:\(user)@\(cluster)", lifetime: lifetime)
    }
}
