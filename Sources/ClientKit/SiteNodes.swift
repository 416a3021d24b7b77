package import AuthAPI
package import Base
package import ClusterModel
internal import Crypto
package import EventLoop
internal import SSHWire

/// The nodes of another site, asked by an administrator of this one: through a proxy of the cluster, with a certificate made for the question.
package enum SiteNodes {
    /// The certificate serves for one question.
    private static let certificateSeconds: Int64 = 60

    package static func list(site: String, with client: AuthClient, _ loop: isolated EventLoop) async throws -> [Node] {
        let proxies = try await client.resources(.proxy).compactMap { resource -> String? in
            if case .proxy(let proxy) = resource, !proxy.sshAddr.isEmpty { proxy.sshAddr } else { nil }
        }
        guard let address = proxies.first.flatMap({ HostPort($0) }) else {
            throw TeleportError.connectionProblem("no proxy of this cluster is known, and only a proxy reaches site \(site)")
        }
        let randomness = SystemRandomness()
        let key = PrivateKey.generate(randomness: randomness)
        let signed = try await client.signUser(
            SignUserRequest(user: "tctl", logins: ["tctl"], ttlSeconds: certificateSeconds, publicKey: key.publicKey.text()))
        let identity = try ClientIdentity(
            privateKey: PrivateKeyFile(key: key).text(randomness: randomness), certificate: signed.sshCertificate,
            knownHosts: IdentityFile.lines(signed.authorities), name: "the administrator's certificate")
        let json = try await ProxyQuestion.ask("proxynodes:@\(site)", proxy: address, identity: identity, loop)
        return try NodeList(json: json).nodes
    }
}

/// One question to a proxy on a connection of its own.
package enum ProxyQuestion {
    package static func ask(
        _ subsystem: String, proxy: HostPort, identity: ClientIdentity, _ loop: isolated EventLoop
    ) async throws -> [UInt8] {
        let inside = loop.inside
        return try await withCheckedThrowingContinuation { continuation in
            ProxyClient.connect(to: proxy, identity: identity, randomness: SystemRandomness(), on: inside) { result in
                switch result {
                case .failure(let error): continuation.resume(throwing: error)
                case .success(let client):
                    client.ask(subsystem) { answer in
                        client.close()
                        continuation.resume(with: answer.mapError { $0 as any Error })
                    }
                }
            }
        }
    }
}
