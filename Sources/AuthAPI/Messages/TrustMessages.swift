package import ClusterModel

/// A leaf asks to be trusted.
package struct TrustRequest: Codable, Sendable {
    package var token: String
    package var cluster: String
    /// The leaf's host authority.
    package var hostAuthority: CertificateAuthority

    package init(token: String, cluster: String, hostAuthority: CertificateAuthority) {
        self.token = token
        self.cluster = cluster
        self.hostAuthority = hostAuthority
    }

    private enum CodingKeys: String, CodingKey {
        case token, cluster
        case hostAuthority = "host_authority"
    }
}

package struct TrustResponse: Codable, Equatable, Sendable {
    /// The root's name, which must be that of the leaf's `trusted_cluster`.
    package var cluster: String
    package var userAuthority: CertificateAuthority
    package var hostAuthority: CertificateAuthority
    /// `HOST:3024` of its proxies.
    package var tunnelAddrs: [String]

    package init(cluster: String, userAuthority: CertificateAuthority, hostAuthority: CertificateAuthority, tunnelAddrs: [String]) {
        self.cluster = cluster
        self.userAuthority = userAuthority
        self.hostAuthority = hostAuthority
        self.tunnelAddrs = tunnelAddrs
    }

    private enum CodingKeys: String, CodingKey {
        case cluster
        case userAuthority = "user_authority"
        case hostAuthority = "host_authority"
        case tunnelAddrs = "tunnel_addrs"
    }
}
