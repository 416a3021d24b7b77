internal import Backend
internal import Base
internal import ClusterModel

/// Where each kind of thing lies in the store.
struct AuthStore: Sendable {
    let store: any KeyValueStore
    let users: TypedCollection<User>
    let credentials: TypedCollection<UserCredentials>
    let invites: TypedCollection<Invite>
    let roles: TypedCollection<Role>
    /// By the digest of the token's value.
    let tokens: TypedCollection<ProvisionToken>
    /// Public halves, by ``CertificateAuthority/storeName``.
    let authorities: TypedCollection<CertificateAuthority>
    /// Private halves of this cluster's own authorities, by kind.
    let secrets: TypedCollection<AuthoritySecrets>
    let hosts: TypedCollection<HostRecord>
    let nodes: TypedCollection<Node>
    let proxies: TypedCollection<ProxyRecord>
    let authServers: TypedCollection<ProxyRecord>
    /// By the UUID of the proxy that holds the tunnels and the shard of the sites' names.
    let tunnels: TypedCollection<TunnelPresence>
    let trustedClusters: TypedCollection<TrustedCluster>
    let remoteClusters: TypedCollection<RemoteCluster>
    let reverseTunnels: TypedCollection<ReverseTunnelRecord>
    let opensshSites: TypedCollection<OpenSSHSite>
    let cluster: TypedCollection<ClusterRecord>

    /// Everything that snapshots are made of lies under this key, and nothing else.
    static let shared = StoreKey("shared")

    init(_ store: any KeyValueStore) {
        self.store = store
        users = TypedCollection("user", in: store, under: StoreKey("private", "users"))
        credentials = TypedCollection("user", in: store, under: StoreKey("private", "credentials"))
        invites = TypedCollection("sign-up token", in: store, under: StoreKey("private", "invites"), isNameSecret: true)
        tokens = TypedCollection("token", in: store, under: StoreKey("private", "tokens"), isNameSecret: true)
        secrets = TypedCollection("authority", in: store, under: StoreKey("private", "authorities"))
        hosts = TypedCollection("host", in: store, under: StoreKey("private", "hosts"))
        cluster = TypedCollection("cluster", in: store, under: StoreKey("private", "cluster"))
        roles = TypedCollection("role", in: store, under: StoreKey("shared", "roles"))
        authorities = TypedCollection("authority", in: store, under: StoreKey("shared", "authorities"))
        nodes = TypedCollection("node", in: store, under: StoreKey("shared", "nodes"))
        proxies = TypedCollection("proxy", in: store, under: StoreKey("shared", "proxies"))
        authServers = TypedCollection("auth server", in: store, under: StoreKey("shared", "auth_servers"))
        tunnels = TypedCollection("tunnel", in: store, under: StoreKey("shared", "tunnel_shards"))
        trustedClusters = TypedCollection("trusted cluster", in: store, under: StoreKey("shared", "trusted_clusters"))
        remoteClusters = TypedCollection("remote cluster", in: store, under: StoreKey("shared", "remote_clusters"))
        reverseTunnels = TypedCollection("reverse tunnel", in: store, under: StoreKey("shared", "reverse_tunnels"))
        opensshSites = TypedCollection("OpenSSH site", in: store, under: StoreKey("shared", "openssh_sites"))
    }

    func authorityName(_ type: AuthorityKind, _ cluster: String) -> String { "\(type.rawValue).\(cluster)" }
}

/// The cluster's own name, fixed when it was made.
struct ClusterRecord: Codable, Sendable {
    static let name = "self"
    var clusterName: String
}

/// What a user proves who they are with.
struct UserCredentials: Codable, Sendable {
    var passwordHash: String
    var otpSecret: [UInt8]
    /// The newest step whose code was used.
    var lastStep: Int64?
    /// Failed logins in a row.
    var failures: Int
    var lockedUntil: UnixTime?
}

/// A sign-up that waits for its user; by the digest of its token.
struct Invite: Codable, Sendable {
    var user: User
    /// Whether the user exists and gets new credentials.
    var reset: Bool
    var otpSecret: [UInt8]
    /// Whether the secret has been shown.
    var isDescribed: Bool
    var failures: Int
}

/// A host that has certificates: its UUID is bound to its SSH key, and its other names to it.
struct HostRecord: Codable, Sendable {
    var uuid: String
    var hostname: String
    var publicAddresses: [String]
    var sshPublicKey: String
}

/// What one proxy said last of the tunnels to it, for the sites of one shard.
struct TunnelPresence: Codable, Equatable, Sendable {
    var shard: Int
    var connected: [String]
    var reported: UnixTime

    static func name(_ uuid: String, shard: Int) -> String { "\(uuid).\(shard)" }

    static func shard(ofName name: String) -> Int? { name.split(separator: ".").last.flatMap { Int($0) } }
}
