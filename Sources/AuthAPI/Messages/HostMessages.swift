package import ClusterModel

/// The public halves for which a host wants certificates.
package struct HostKeys: Codable, Equatable, Sendable {
    /// `ssh-ed25519 AAAA…`
    package var sshPublicKey: String
    /// SubjectPublicKeyInfo DER of a P-256 key, in base 64.
    package var tlsPublicKey: String

    package init(sshPublicKey: String, tlsPublicKey: String) {
        self.sshPublicKey = sshPublicKey
        self.tlsPublicKey = tlsPublicKey
    }

    private enum CodingKeys: String, CodingKey {
        case sshPublicKey = "ssh_public_key"
        case tlsPublicKey = "tls_public_key"
    }
}

/// A host joins with a token.
package struct RegisterRequest: Codable, Sendable {
    package var token: String
    package var role: JoinRole
    package var uuid: String
    package var hostname: String
    /// Names and addresses beside its own under which it is reached: they become principals and subject alternative names.
    package var publicAddresses: [String]
    package var keys: HostKeys

    package init(token: String, role: JoinRole, uuid: String, hostname: String, publicAddresses: [String] = [], keys: HostKeys) {
        self.token = token
        self.role = role
        self.uuid = uuid
        self.hostname = hostname
        self.publicAddresses = publicAddresses
        self.keys = keys
    }

    private enum CodingKeys: String, CodingKey {
        case token, role, uuid, hostname, keys
        case publicAddresses = "public_addrs"
    }
}

/// A host that has certificates wants new ones: for the same UUID and role, which its own certificate says.
package struct RenewRequest: Codable, Sendable {
    package var hostname: String
    package var publicAddresses: [String]
    package var keys: HostKeys

    package init(hostname: String, publicAddresses: [String] = [], keys: HostKeys) {
        self.hostname = hostname
        self.publicAddresses = publicAddresses
        self.keys = keys
    }

    private enum CodingKeys: String, CodingKey {
        case hostname, keys
        case publicAddresses = "public_addrs"
    }
}

package struct HostCertificates: Codable, Equatable, Sendable {
    package var cluster: String
    /// `ssh-ed25519-cert-v01@openssh.com AAAA…`
    package var sshCertificate: String
    /// PEM.
    package var tlsCertificate: String
    /// Of this cluster: user, host and TLS.
    package var authorities: [CertificateAuthority]

    package init(cluster: String, sshCertificate: String, tlsCertificate: String, authorities: [CertificateAuthority]) {
        self.cluster = cluster
        self.sshCertificate = sshCertificate
        self.tlsCertificate = tlsCertificate
        self.authorities = authorities
    }

    private enum CodingKeys: String, CodingKey {
        case cluster, authorities
        case sshCertificate = "ssh_certificate"
        case tlsCertificate = "tls_certificate"
    }
}
