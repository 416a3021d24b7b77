package import Base
package import ClusterModel

package struct StatusResponse: Codable, Equatable, Sendable {
    package var cluster: String
    package var version: String
    /// `sha256:HEX` of the TLS authority.
    package var caPin: String
    package var authorities: [CertificateAuthority]
    package var users: Int
    package var nodes: Int
    package var proxies: Int
    package var authServers: Int
    package var remoteClusters: Int
    package var trustedClusters: Int

    package init(
        cluster: String, version: String, caPin: String, authorities: [CertificateAuthority], users: Int, nodes: Int, proxies: Int,
        authServers: Int, remoteClusters: Int, trustedClusters: Int
    ) {
        self.cluster = cluster
        self.version = version
        self.caPin = caPin
        self.authorities = authorities
        self.users = users
        self.nodes = nodes
        self.proxies = proxies
        self.authServers = authServers
        self.remoteClusters = remoteClusters
        self.trustedClusters = trustedClusters
    }

    private enum CodingKeys: String, CodingKey {
        case cluster, version, authorities, users, nodes, proxies
        case caPin = "ca_pin"
        case authServers = "auth_servers"
        case remoteClusters = "remote_clusters"
        case trustedClusters = "trusted_clusters"
    }
}

package struct TokenRequest: Codable, Sendable {
    package var roles: [JoinRole]
    package var ttlSeconds: Int64
    /// nil: the server makes one.
    package var value: String?

    package init(roles: [JoinRole], ttlSeconds: Int64, value: String? = nil) {
        self.roles = roles
        self.ttlSeconds = ttlSeconds
        self.value = value
    }

    private enum CodingKeys: String, CodingKey {
        case roles, value
        case ttlSeconds = "ttl_seconds"
    }
}

package struct TokenResponse: Codable, Sendable {
    package var token: String
    package var expires: UnixTime
    package var caPin: String

    package init(token: String, expires: UnixTime, caPin: String) {
        self.token = token
        self.expires = expires
        self.caPin = caPin
    }

    private enum CodingKeys: String, CodingKey {
        case token, expires
        case caPin = "ca_pin"
    }
}

package struct SignUserRequest: Codable, Sendable {
    package var user: String
    /// Empty: the user's own, who must exist. Given: an administrator's word is enough, and the roles are those of the user or `access`.
    package var logins: [String]
    package var ttlSeconds: Int64
    package var publicKey: String
    package var tlsPublicKey: String?

    package init(user: String, logins: [String] = [], ttlSeconds: Int64, publicKey: String, tlsPublicKey: String? = nil) {
        self.user = user
        self.logins = logins
        self.ttlSeconds = ttlSeconds
        self.publicKey = publicKey
        self.tlsPublicKey = tlsPublicKey
    }

    private enum CodingKeys: String, CodingKey {
        case user, logins
        case ttlSeconds = "ttl_seconds"
        case publicKey = "public_key"
        case tlsPublicKey = "tls_public_key"
    }
}

package struct SignHostRequest: Codable, Sendable {
    /// The host's name, then its aliases.
    package var names: [String]
    package var publicKey: String
    package var ttlSeconds: Int64

    package init(names: [String], publicKey: String, ttlSeconds: Int64) {
        self.names = names
        self.publicKey = publicKey
        self.ttlSeconds = ttlSeconds
    }

    private enum CodingKeys: String, CodingKey {
        case names
        case publicKey = "public_key"
        case ttlSeconds = "ttl_seconds"
    }
}

package struct SignSiteRequest: Codable, Sendable {
    package var site: String
    package var publicKey: String
    package var ttlSeconds: Int64

    package init(site: String, publicKey: String, ttlSeconds: Int64) {
        self.site = site
        self.publicKey = publicKey
        self.ttlSeconds = ttlSeconds
    }

    private enum CodingKeys: String, CodingKey {
        case site
        case publicKey = "public_key"
        case ttlSeconds = "ttl_seconds"
    }
}

package struct SignedCertificate: Codable, Equatable, Sendable {
    /// `ssh-ed25519-cert-v01@openssh.com AAAA…`
    package var certificate: String
    package var authorities: [CertificateAuthority]

    package init(certificate: String, authorities: [CertificateAuthority]) {
        self.certificate = certificate
        self.authorities = authorities
    }
}

package struct ResourceQuery: Codable, Sendable {
    package var kind: ResourceKind
    /// nil: all of the kind.
    package var name: String?

    package init(kind: ResourceKind, name: String? = nil) {
        self.kind = kind
        self.name = name
    }
}

package struct ResourceList: Codable, Equatable, Sendable {
    package var resources: [Resource]

    package init(resources: [Resource]) {
        self.resources = resources
    }
}

package struct PutRequest: Codable, Sendable {
    package var resource: Resource
    /// `tctl create -f`: replaces what exists.
    package var replace: Bool

    package init(resource: Resource, replace: Bool) {
        self.resource = resource
        self.replace = replace
    }
}

package struct ResourceName: Codable, Sendable {
    package var kind: ResourceKind
    package var name: String

    package init(kind: ResourceKind, name: String) {
        self.kind = kind
        self.name = name
    }
}
