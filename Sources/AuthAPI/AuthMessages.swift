package import Base
package import ClusterModel

package struct Empty: Codable, Equatable, Sendable {
    package init() {}
}

package struct PingResponse: Codable, Equatable, Sendable {
    package var cluster: String
    package var version: String

    package init(cluster: String, version: String) {
        self.cluster = cluster
        self.version = version
    }
}

/// What a stranger needs before it can check anything: to be compared with a pin.
package struct TLSAuthorityResponse: Codable, Equatable, Sendable {
    package var cluster: String
    /// PEM.
    package var certificates: [String]

    package init(cluster: String, certificates: [String]) {
        self.cluster = cluster
        self.certificates = certificates
    }
}

// MARK: Hosts

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

// MARK: Presence and snapshots

package struct SnapshotRequest: Codable, Sendable {
    /// The revision the caller has; 0 for none.
    package var after: Int64
    /// How long the server may wait for a newer one.
    package var waitSeconds: Int

    package init(after: Int64, waitSeconds: Int) {
        self.after = after
        self.waitSeconds = waitSeconds
    }

    private enum CodingKeys: String, CodingKey {
        case after
        case waitSeconds = "wait_seconds"
    }
}

/// nil: nothing newer came in the time.
package struct SnapshotResponse: Codable, Equatable, Sendable {
    package var state: ClusterState?

    package init(state: ClusterState?) {
        self.state = state
    }
}

/// Which leaf clusters hold a tunnel to the proxy that says so, and to which root clusters it holds one itself.
///
/// Names are dealt out to shards, and a report says all of the shards that it names and nothing of the others: so what a site's coming or going costs
/// does not grow with their number, and a report that is lost or said twice does no harm.
package struct TunnelReport: Codable, Equatable, Sendable {
    package struct Shard: Codable, Equatable, Sendable {
        package var number: Int
        package var connected: [String]

        package init(number: Int, connected: [String]) {
            self.number = number
            self.connected = connected
        }
    }

    /// A hundred thousand sites make some 400 names a shard.
    package static let shardCount = 256
    /// So much of it fits into a request and into a transaction of the store.
    package static let shardsMax = 64
    package static let namesMax = 512

    package var shards: [Shard]

    package init(shards: [Shard]) {
        self.shards = shards
    }

    /// FNV-1a of the name: the same in every process.
    package static func shard(of cluster: String) -> Int {
        let hash = cluster.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return Int((hash ^ hash >> 32) % UInt64(shardCount))
    }
}

package struct NodesResponse: Codable, Equatable, Sendable {
    package var nodes: [Node]

    package init(nodes: [Node]) {
        self.nodes = nodes
    }
}

// MARK: Users

package struct LoginRequest: Codable, Sendable {
    package var user: String
    package var password: String
    package var code: String
    /// The public key to certify: `ssh-ed25519 AAAA…`.
    package var publicKey: String
    /// SubjectPublicKeyInfo DER of a P-256 key in base 64, where an X.509 certificate is wanted too.
    package var tlsPublicKey: String?
    package var ttlSeconds: Int64

    package init(user: String, password: String, code: String, publicKey: String, tlsPublicKey: String? = nil, ttlSeconds: Int64) {
        self.user = user
        self.password = password
        self.code = code
        self.publicKey = publicKey
        self.tlsPublicKey = tlsPublicKey
        self.ttlSeconds = ttlSeconds
    }

    private enum CodingKeys: String, CodingKey {
        case user, password, code
        case publicKey = "public_key"
        case tlsPublicKey = "tls_public_key"
        case ttlSeconds = "ttl_seconds"
    }
}

package struct UserCertificates: Codable, Equatable, Sendable {
    package var user: String
    package var cluster: String
    /// `ssh-ed25519-cert-v01@openssh.com AAAA…`
    package var sshCertificate: String
    /// PEM.
    package var tlsCertificate: String?
    package var logins: [String]
    package var roles: [String]
    package var expires: UnixTime
    /// Host authorities of this cluster and its leaves, and this cluster's TLS authority.
    package var authorities: [CertificateAuthority]
    /// Lines of `known_hosts` for hosts of OpenSSH sites that have no certificate of these authorities.
    package var knownHosts: [String]

    package init(
        user: String, cluster: String, sshCertificate: String, tlsCertificate: String?, logins: [String], roles: [String],
        expires: UnixTime,
        authorities: [CertificateAuthority], knownHosts: [String]
    ) {
        self.user = user
        self.cluster = cluster
        self.sshCertificate = sshCertificate
        self.tlsCertificate = tlsCertificate
        self.logins = logins
        self.roles = roles
        self.expires = expires
        self.authorities = authorities
        self.knownHosts = knownHosts
    }

    private enum CodingKeys: String, CodingKey {
        case user, cluster, logins, roles, expires, authorities
        case knownHosts = "known_hosts"
        case sshCertificate = "ssh_certificate"
        case tlsCertificate = "tls_certificate"
    }
}

package typealias LoginResponse = UserCertificates

package struct InviteRequest: Codable, Sendable {
    package var user: User
    package var ttlSeconds: Int64
    /// Whether the user exists and is to choose a new password and second factor.
    package var reset: Bool

    package init(user: User, ttlSeconds: Int64, reset: Bool = false) {
        self.user = user
        self.ttlSeconds = ttlSeconds
        self.reset = reset
    }

    private enum CodingKeys: String, CodingKey {
        case user, reset
        case ttlSeconds = "ttl_seconds"
    }
}

package struct InviteResponse: Codable, Sendable {
    package var token: String
    /// `https://PROXY:3080/web/newuser/TOKEN`
    package var url: String
    package var expires: UnixTime

    package init(token: String, url: String, expires: UnixTime) {
        self.token = token
        self.url = url
        self.expires = expires
    }
}

package struct SignupToken: Codable, Sendable {
    package var token: String

    package init(token: String) {
        self.token = token
    }
}

/// Given once for a token.
package struct SignupDescription: Codable, Equatable, Sendable {
    package var user: String
    package var cluster: String
    /// `otpauth://totp/…`, for the QR code.
    package var otpURI: String
    /// The same secret in base 32, to be typed.
    package var otpSecret: String

    package init(user: String, cluster: String, otpURI: String, otpSecret: String) {
        self.user = user
        self.cluster = cluster
        self.otpURI = otpURI
        self.otpSecret = otpSecret
    }

    private enum CodingKeys: String, CodingKey {
        case user, cluster
        case otpURI = "otp_uri"
        case otpSecret = "otp_secret"
    }
}

package struct SignupRequest: Codable, Sendable {
    package var token: String
    package var password: String
    package var code: String

    package init(token: String, password: String, code: String) {
        self.token = token
        self.password = password
        self.code = code
    }
}

// MARK: Trust

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

// MARK: Administration

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
