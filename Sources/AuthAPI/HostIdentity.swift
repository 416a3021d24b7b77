package import Base
package import ClusterModel
internal import EventLoop

/// What a host is: its keys, its certificates and the authorities it knows; one for each role it serves in.
///
/// Kept in `DATA_DIR/identity/ROLE`, mode 0600.
package struct HostIdentity: Codable, Equatable, Sendable {
    package var uuid: String
    package var hostname: String
    package var cluster: String
    package var role: SystemRole
    /// `openssh-key-v1` PEM.
    package var sshPrivateKey: String
    /// `ssh-ed25519-cert-v01@openssh.com AAAA…`
    package var sshCertificate: String
    /// PKCS #8 PEM.
    package var tlsPrivateKey: String
    /// PEM.
    package var tlsCertificate: String
    /// Of this host's cluster.
    package var authorities: [CertificateAuthority]

    package init(
        uuid: String, hostname: String, cluster: String, role: SystemRole, sshPrivateKey: String, sshCertificate: String,
        tlsPrivateKey: String,
        tlsCertificate: String, authorities: [CertificateAuthority]
    ) {
        self.uuid = uuid
        self.hostname = hostname
        self.cluster = cluster
        self.role = role
        self.sshPrivateKey = sshPrivateKey
        self.sshCertificate = sshCertificate
        self.tlsPrivateKey = tlsPrivateKey
        self.tlsCertificate = tlsCertificate
        self.authorities = authorities
    }

    private enum CodingKeys: String, CodingKey {
        case uuid, hostname, cluster, role, authorities
        case sshPrivateKey = "ssh_private_key"
        case sshCertificate = "ssh_certificate"
        case tlsPrivateKey = "tls_private_key"
        case tlsCertificate = "tls_certificate"
    }

    /// PEM of the cluster's TLS authority.
    package var tlsAuthorities: [String] {
        authorities.filter { $0.type == .tls && $0.cluster == cluster }.flatMap(\.tlsCertificates)
    }
}

// MARK: Files, for the worker pool

extension HostIdentity {
    private static let fileBytesMax = 1 << 20

    /// - Parameter directory: `DATA_DIR/identity`.
    /// - Returns: nil where the host has no identity of this role yet.
    package static func load(directory: String, role: SystemRole) throws(TeleportError) -> HostIdentity? {
        let path = path(directory, role)
        guard try FileIO.status(path) != nil else { return nil }
        return try load(path: path)
    }

    /// - Parameter path: an identity's file wherever it is, such as the one given to `tctl --identity`.
    package static func load(path: String) throws(TeleportError) -> HostIdentity {
        let bytes = try FileIO.read(path, max: fileBytesMax)
        do { return try JSONText.decode(HostIdentity.self, from: bytes) } catch {
            throw .badParameter("\(path) is not an identity of ours", cause: error)
        }
    }

    /// Replaces the file at once; it and the directory are the owner's alone.
    package func save(directory: String) throws(TeleportError) {
        try FileIO.createDirectory(directory, mode: 0o700)
        let bytes: [UInt8]
        do { bytes = try JSONText.encodeBytes(self) } catch { throw .badParameter("the identity cannot be written as JSON", cause: error) }
        try FileIO.write(bytes, to: Self.path(directory, role), mode: 0o600)
    }

    private static func path(_ directory: String, _ role: SystemRole) -> String { "\(directory)/\(role.rawValue.lowercased())" }
}
