package import Base
package import ClusterModel
internal import Crypto
internal import SSHWire

/// Keys that a host makes for itself before it asks for certificates. One SSH key serves the host in all its roles.
package struct HostKeyPairs: Sendable {
    private let ssh: PrivateKey
    private let tls: ECDSA.PrivateKey
    private let randomness: any Randomness

    /// - Parameter existing: an identity of this host in another role, whose SSH key is used again.
    package init(existing: HostIdentity? = nil, randomness: any Randomness) throws(TeleportError) {
        self.randomness = randomness
        tls = ECDSA.PrivateKey.generate(.nistp256, randomness: randomness)
        guard let existing else {
            ssh = PrivateKey.generate(randomness: randomness)
            return
        }
        do { ssh = try PrivateKeyFile(text: existing.sshPrivateKey).key } catch {
            throw .badParameter("the SSH key of this host's identity cannot be read", cause: error)
        }
    }

    package var publicKeys: HostKeys {
        HostKeys(sshPublicKey: ssh.publicKey.text(), tlsPublicKey: Base64.encode(tls.publicKey.der))
    }

    package func identity(uuid: String, hostname: String, role: SystemRole, certificates: HostCertificates) -> HostIdentity {
        HostIdentity(
            uuid: uuid, hostname: hostname, cluster: certificates.cluster, role: role,
            sshPrivateKey: PrivateKeyFile(key: ssh).text(randomness: randomness), sshCertificate: certificates.sshCertificate,
            tlsPrivateKey: PrivateKeyPEM.ecdsa(tls).pem, tlsCertificate: certificates.tlsCertificate, authorities: certificates.authorities)
    }
}

extension AuthClient {
    /// Joins the cluster with a token, in one role.
    ///
    /// - Parameter existing: this host's identity in another role, if it has one.
    package func join(
        token: String, role: JoinRole, uuid: String, hostname: String, publicAddresses: [String] = [], existing: HostIdentity? = nil,
        randomness: any Randomness
    ) async throws(TeleportError) -> HostIdentity {
        guard let systemRole = role.systemRole else { throw .badParameter("a host cannot join as a \(role.rawValue)") }
        let keys = try HostKeyPairs(existing: existing, randomness: randomness)
        let certificates = try await register(
            RegisterRequest(
                token: token, role: role, uuid: uuid, hostname: hostname, publicAddresses: publicAddresses, keys: keys.publicKeys))
        return keys.identity(uuid: uuid, hostname: hostname, role: systemRole, certificates: certificates)
    }

    /// New certificates for an identity, with the same SSH key and a new TLS key.
    package func renew(
        _ identity: HostIdentity, publicAddresses: [String] = [], randomness: any Randomness
    ) async throws(TeleportError) -> HostIdentity {
        let keys = try HostKeyPairs(existing: identity, randomness: randomness)
        let certificates = try await renewHost(
            RenewRequest(hostname: identity.hostname, publicAddresses: publicAddresses, keys: keys.publicKeys))
        return keys.identity(uuid: identity.uuid, hostname: identity.hostname, role: identity.role, certificates: certificates)
    }
}

extension HostIdentity {
    /// When new certificates are due: at half of the time between the issue and the end of the one that ends first.
    package func renewalTime() throws(TeleportError) -> UnixTime {
        do {
            let ssh = try Certificate(text: sshCertificate)
            let tls = try X509Certificate(pem: tlsCertificate)
            let from = max(Int64(clamping: ssh.validAfter), tls.notBefore.seconds)
            let to = min(Int64(clamping: ssh.validBefore), tls.notAfter.seconds)
            return UnixTime(seconds: from / 2 + to / 2)
        } catch {
            throw .badParameter("the certificates of this host's identity cannot be read", cause: error)
        }
    }
}
