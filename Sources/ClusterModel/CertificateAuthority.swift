package import Base
package import SSHWire

/// What an authority signs.
package enum AuthorityKind: String, CaseIterable, Codable, Sendable {
    /// SSH user certificates.
    case user
    /// SSH host certificates.
    case host
    /// X.509 for the auth API and the web.
    case tls
}

/// The public half of an authority: of this cluster, or of another one that is trusted for what its kind says and for its name alone.
package struct CertificateAuthority: ResourceBody {
    package static let kind = ResourceKind.certificateAuthority

    package var type: AuthorityKind
    package var cluster: String
    /// `ssh-ed25519 AAAA…` lines, newest first; for user and host authorities.
    package var publicKeys: [String]
    /// PEM, newest first; for TLS authorities.
    package var tlsCertificates: [String]
    /// For the user authority of a root cluster: what its roles are worth here.
    package var roleMap: RoleMap

    package var name: String { "\(type.rawValue)/\(cluster)" }

    package init(
        type: AuthorityKind, cluster: String, publicKeys: [String] = [], tlsCertificates: [String] = [], roleMap: RoleMap = RoleMap([])
    ) {
        self.type = type
        self.cluster = cluster
        self.publicKeys = publicKeys
        self.tlsCertificates = tlsCertificates
        self.roleMap = roleMap
    }

    /// The keys of ``publicKeys``, to be compared whole; ``check()`` has read them all.
    package var keys: [PublicKey] {
        publicKeys.compactMap { try? PublicKey(text: $0) }
    }

    private enum SpecKeys: String, CodingKey, CaseIterable {
        case type
        case cluster = "cluster_name"
        case publicKeys = "public_keys"
        case tlsCertificates = "tls_certificates"
        case roleMap = "role_map"
    }

    package init(from decoder: any Decoder) throws {
        let (name, spec) = try decoder.resource(Self.kind, keys: SpecKeys.self)
        type = try spec.decode(AuthorityKind.self, forKey: .type)
        cluster = try spec.decode(String.self, forKey: .cluster)
        publicKeys = try spec.decodeIfPresent([String].self, forKey: .publicKeys) ?? []
        tlsCertificates = try spec.decodeIfPresent([String].self, forKey: .tlsCertificates) ?? []
        roleMap = try spec.decodeIfPresent(RoleMap.self, forKey: .roleMap) ?? RoleMap([])
        guard name == self.name || name == cluster else {
            throw TeleportError.badParameter("authority \(Names.quoted(name)) must be named \(self.name) or \(cluster)")
        }
        try check()
    }

    package func encode(to encoder: any Encoder) throws {
        var spec = try encoder.resource(Self.kind, name: name, keys: SpecKeys.self)
        try spec.encode(type, forKey: .type)
        try spec.encode(cluster, forKey: .cluster)
        if !publicKeys.isEmpty { try spec.encode(publicKeys, forKey: .publicKeys) }
        if !tlsCertificates.isEmpty { try spec.encode(tlsCertificates, forKey: .tlsCertificates) }
        if !roleMap.mappings.isEmpty { try spec.encode(roleMap, forKey: .roleMap) }
    }

    /// Ed25519 and ECDSA keys only; what is listed must be whole, and there must be something.
    package func check() throws(TeleportError) {
        try Names.checkCluster(cluster)
        guard publicKeys.count + tlsCertificates.count <= 16 else { throw .limitExceeded("authority \(name) lists more than 16 keys") }
        guard publicKeys.isEmpty == (type == .tls), tlsCertificates.isEmpty == (type != .tls) else {
            throw .badParameter("authority \(name) needs \(type == .tls ? "tls_certificates" : "public_keys"), and nothing else")
        }
        guard roleMap.mappings.isEmpty || type == .user else { throw .badParameter("only a user authority has a role_map") }
        for line in publicKeys {
            let key: PublicKey
            do { key = try PublicKey(text: line) } catch {
                throw .badParameter("authority \(name) has a key that cannot be read", cause: error)
            }
            guard Self.keyTypes.contains(key.type) else { throw .badParameter("authority \(name) has a key of type \(key.type.rawValue)") }
        }
    }

    /// What may sign certificates here.
    package static let keyTypes: Set<KeyType> = [.ed25519, .ecdsaP256, .ecdsaP384, .ecdsaP521]
}

/// The private half of an authority. Only the auth server holds one, and only its own host's administrator can read it.
package struct AuthoritySecrets: Codable, Sendable, Equatable {
    package var type: AuthorityKind
    package var cluster: String
    /// `openssh-key-v1` PEM for user and host, PKCS #8 PEM for TLS; in the order of the public halves.
    package var privateKeys: [String]

    package init(type: AuthorityKind, cluster: String, privateKeys: [String]) {
        self.type = type
        self.cluster = cluster
        self.privateKeys = privateKeys
    }
}
