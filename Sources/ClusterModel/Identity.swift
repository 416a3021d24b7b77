package import Base

/// What a caller of the auth API is, apart from any user's roles.
package enum SystemRole: String, CaseIterable, Codable, Sendable {
    case auth = "Auth"
    case user = "User"
    case web = "Web"
    case node = "Node"
    case proxy = "Proxy"
    case admin = "Admin"
    case provisionToken = "ProvisionToken"
    case signup = "Signup"
}

/// Who an X.509 certificate of ours speaks for: common name, organisations and locality of its subject.
///
/// A host's roles and a user's roles are told apart by the organisational unit, so that a user's role called `Proxy` is worth nothing.
package struct TLSIdentity: Hashable, Sendable {
    package enum Bearer: String, Sendable { case host, user }

    package let bearer: Bearer
    /// The user's name, or the host's UUID.
    package let name: String
    /// System roles of a host; roles of a user.
    package let roles: [String]
    /// Must be the name of the cluster whose authority issued the certificate.
    package let cluster: String

    package init(bearer: Bearer, name: String, roles: [String], cluster: String) {
        self.bearer = bearer
        self.name = name
        self.roles = roles
        self.cluster = cluster
    }

    package var systemRoles: Set<SystemRole> {
        switch bearer {
        case .host: Set(roles.compactMap(SystemRole.init(rawValue:)))
        case .user: roles.contains(Role.adminName) ? [.user, .admin] : [.user]
        }
    }

    /// The host name in the server certificates of a cluster's auth servers, whatever their addresses are.
    package static func authServerName(cluster: String) -> String { "auth.\(cluster)" }
    /// The same for its proxies' HTTPS.
    package static func proxyServerName(cluster: String) -> String { "proxy.\(cluster)" }
}

/// Names in SSH certificates, and what follows from a node's and a cluster's.
package enum CertificateNames {
    package static let authorityExtension = "x-teleport-authority"
    package static let roleExtension = "x-teleport-role"
    package static let rolesExtension = "teleport-roles"
    package static let traitsExtension = "teleport-traits"
    /// Critical option of the credential of a site whose agent is a plain OpenSSH client.
    package static let siteOption = "x-teleport-site"

    /// `UUID.CLUSTER`: the key id of a host certificate and the user name of a tunnel's agent.
    package static func hostKeyID(uuid: String, cluster: String) -> String { "\(uuid).\(cluster)" }

    /// The principals of a host, without its public addresses.
    package static func hostPrincipals(uuid: String, hostname: String, cluster: String) -> [String] {
        [uuid, "\(uuid).\(cluster)", hostname, "\(hostname).\(cluster)"]
    }

    /// The user's roles from the extension's text.
    package static func parseRoles(_ text: String) throws(TeleportError) -> [String] {
        let roles: [String]
        do { roles = try JSONText.decode([String].self, from: text) } catch {
            throw .badParameter("the certificate's \(rolesExtension) is not a list of names", cause: error)
        }
        guard roles.count <= 64, Set(roles).count == roles.count else { throw .badParameter("the certificate's \(rolesExtension) repeats itself") }
        for role in roles { try Names.checkRole(role) }
        return roles
    }
}
