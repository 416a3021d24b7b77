package import Base
package import Crypto

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

/// Who an X.509 certificate of ours speaks for.
///
/// Common name: the user's name or the host's UUID. Organisations: roles. Organisational units: the cluster, then `host` or `user`,
/// so that a user's role called `Proxy` is worth nothing.
package struct TLSIdentity: Hashable, Sendable {
    package enum Bearer: String, Sendable { case host, user }

    package let bearer: Bearer
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

    /// What the subject says; whether it is to be believed is decided by the chain, before.
    package init(subjectOf certificate: X509Certificate) throws(TeleportError) {
        let units = certificate.organizationalUnits
        guard units.count == 2, let bearer = Bearer(rawValue: units[1]) else {
            throw .accessDenied("the certificate's subject is not one of ours")
        }
        try Names.checkCluster(units[0])
        try Names.checkUser(certificate.commonName)
        self.init(bearer: bearer, name: certificate.commonName, roles: certificate.organizations, cluster: units[0])
    }

    /// - Parameter uses: `server` for auth servers and proxies alone: whoever has it can speak as one.
    package func template(
        dnsNames: [String] = [], ipAddresses: [String] = [], notAfter: UnixTime, uses: Set<CertificateUse>, now: UnixTime
    ) -> CertificateTemplate {
        CertificateTemplate(
            commonName: name, organizations: roles, organizationalUnits: [cluster, bearer.rawValue], dnsNames: dnsNames,
            ipAddresses: ipAddresses, notBefore: now + (.zero - CertificateRequest.clockSkew), notAfter: notAfter, uses: uses)
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
