internal import AuthAPI
internal import Backend
internal import Base
internal import ClusterModel
internal import SSHWire

/// The cluster's shared state in memory, kept in step with the store by its events; pure.
///
/// A heartbeat that says nothing new changes no revision, and neither does a tunnel that comes or goes: nobody is woken by them, and nothing is built
/// anew, however many sites there are.
struct SharedState {
    private let clusterName: String
    private let collections: AuthStore
    private(set) var revision: Int64
    private var authorities: [String: CertificateAuthority] = [:]
    private var roles: [String: Role] = [:]
    private var nodes: [String: Node] = [:]
    private var proxies: [String: ProxyRecord] = [:]
    private var authServers: [String: ProxyRecord] = [:]
    /// By the shard of the sites' names, then by the name in the store.
    private var tunnels: [Int: [String: ReportedTunnels]] = [:]
    private var trustedClusters: [String: TrustedCluster] = [:]
    private var remoteClusters: [String: RemoteCluster] = [:]
    private var reverseTunnels: [String: ReverseTunnelRecord] = [:]
    private var opensshSites: [String: OpenSSHSite] = [:]
    /// The authorities that list a key, by their names.
    private var keyOwners: [PublicKey: Set<String>] = [:]

    private struct ReportedTunnels {
        let connected: Set<String>
        let reported: UnixTime
    }

    init(clusterName: String, collections: AuthStore, range: StoreRange) throws(TeleportError) {
        self.clusterName = clusterName
        self.collections = collections
        revision = range.revision.number
        for item in range.items { _ = try apply(put: item) }
    }

    /// - Returns: whether anything is different now.
    mutating func apply(_ event: StoreEvent) throws(TeleportError) -> Bool {
        let changed: Bool
        switch event {
        case .put(let item): changed = try apply(put: item)
        case .delete(let key, _): changed = remove(key)
        }
        if changed { revision = event.revision.number }
        return changed
    }

    func state() -> ClusterState {
        var remotes = remoteClusters
        for cluster in leafNames where remotes[cluster] == nil { remotes[cluster] = RemoteCluster(name: cluster) }
        return ClusterState(
            revision: revision, clusterName: clusterName, authorities: sorted(authorities), roles: sorted(roles), nodes: sorted(nodes),
            proxies: sorted(proxies), authServers: sorted(authServers), trustedClusters: sorted(trustedClusters).map(\.withoutToken),
            remoteClusters: sorted(remotes), reverseTunnels: sorted(reverseTunnels),
            opensshSites: sorted(opensshSites))
    }

    /// When a tunnel of `cluster` was last reported; nil where there is none.
    func lastReport(of cluster: String) -> UnixTime? {
        (tunnels[TunnelReport.shard(of: cluster)] ?? [:]).values.filter { $0.connected.contains(cluster) }.map(\.reported).max()
    }

    // MARK: Who is who

    /// Whether this cluster dials it, or may.
    func isRoot(_ cluster: String) -> Bool {
        cluster != clusterName
            && (trustedClusters[cluster] != nil || reverseTunnels[cluster] != nil
                || authorities[collections.authorityName(.user, cluster)] != nil)
    }

    /// Whether it dials this cluster, or may.
    func isLeaf(_ cluster: String) -> Bool { remoteClusters[cluster] != nil || isLeafByHand(cluster) }

    func isListedSite(_ name: String) -> Bool { opensshSites[name] != nil }

    func authority(_ type: AuthorityKind, of cluster: String) -> CertificateAuthority? {
        authorities[collections.authorityName(type, cluster)]
    }

    func hasAuthority(of cluster: String) -> Bool { AuthorityKind.allCases.contains { authority($0, of: cluster) != nil } }

    /// The authorities that list one of these keys, by name.
    func owners(of keys: [PublicKey]) -> Set<String> { keys.reduce(into: []) { $0.formUnion(keyOwners[$1] ?? []) } }

    /// Clusters whose host authority was put here by hand and that this one does not dial.
    private var leafNames: [String] { authorities.values.map(\.cluster).filter(isLeafByHand) }

    private func isLeafByHand(_ cluster: String) -> Bool {
        cluster != clusterName && authorities[collections.authorityName(.host, cluster)] != nil && !isRoot(cluster)
    }

    // MARK: Events

    private func sorted<Value>(_ values: [String: Value]) -> [Value] {
        values.sorted { $0.key < $1.key }.map(\.value)
    }

    private mutating func apply(put item: StoreItem) throws(TeleportError) -> Bool {
        let name = item.key.name
        func isIn<Value>(_ collection: TypedCollection<Value>) -> Bool { collection.prefix.isPrefix(of: item.key) }
        if isIn(collections.nodes) {
            var node = try collections.nodes.decode(item).value
            node.expires = nil
            return Self.set(&nodes, name, node)
        }
        if isIn(collections.proxies) {
            var proxy = try collections.proxies.decode(item).value
            proxy.expires = nil
            return Self.set(&proxies, name, proxy)
        }
        if isIn(collections.authServers) {
            var server = try collections.authServers.decode(item).value
            server.expires = nil
            return Self.set(&authServers, name, server)
        }
        if isIn(collections.tunnels) {
            let presence = try collections.tunnels.decode(item).value
            tunnels[presence.shard, default: [:]][name] = ReportedTunnels(
                connected: Set(presence.connected), reported: presence.reported)
            return false
        }
        if isIn(collections.authorities) {
            let authority = try collections.authorities.decode(item).value
            own(authority, instead: authorities[name])
            return Self.set(&authorities, name, authority)
        }
        if isIn(collections.roles) { return Self.set(&roles, name, try collections.roles.decode(item).value) }
        if isIn(collections.trustedClusters) { return Self.set(&trustedClusters, name, try collections.trustedClusters.decode(item).value) }
        if isIn(collections.remoteClusters) { return Self.set(&remoteClusters, name, try collections.remoteClusters.decode(item).value) }
        if isIn(collections.reverseTunnels) { return Self.set(&reverseTunnels, name, try collections.reverseTunnels.decode(item).value) }
        if isIn(collections.opensshSites) {
            let site = try collections.opensshSites.decode(item).value
            own(site.hostAuthority, instead: opensshSites[name]?.hostAuthority)
            return Self.set(&opensshSites, name, site)
        }
        return false
    }

    private mutating func remove(_ key: StoreKey) -> Bool {
        let name = key.name
        if collections.nodes.prefix.isPrefix(of: key) { return nodes.removeValue(forKey: name) != nil }
        if collections.proxies.prefix.isPrefix(of: key) { return proxies.removeValue(forKey: name) != nil }
        if collections.authServers.prefix.isPrefix(of: key) { return authServers.removeValue(forKey: name) != nil }
        if collections.tunnels.prefix.isPrefix(of: key) {
            if let shard = TunnelPresence.shard(ofName: name) { tunnels[shard]?[name] = nil }
            return false
        }
        if collections.authorities.prefix.isPrefix(of: key) {
            own(nil, instead: authorities[name])
            return authorities.removeValue(forKey: name) != nil
        }
        if collections.roles.prefix.isPrefix(of: key) { return roles.removeValue(forKey: name) != nil }
        if collections.trustedClusters.prefix.isPrefix(of: key) { return trustedClusters.removeValue(forKey: name) != nil }
        if collections.remoteClusters.prefix.isPrefix(of: key) { return remoteClusters.removeValue(forKey: name) != nil }
        if collections.reverseTunnels.prefix.isPrefix(of: key) { return reverseTunnels.removeValue(forKey: name) != nil }
        if collections.opensshSites.prefix.isPrefix(of: key) {
            own(nil, instead: opensshSites[name]?.hostAuthority)
            return opensshSites.removeValue(forKey: name) != nil
        }
        return false
    }

    private mutating func own(_ authority: CertificateAuthority?, instead old: CertificateAuthority?) {
        if let old {
            for key in old.keys {
                keyOwners[key]?.remove(old.name)
                if keyOwners[key]?.isEmpty == true { keyOwners[key] = nil }
            }
        }
        if let authority { for key in authority.keys { keyOwners[key, default: []].insert(authority.name) } }
    }

    private static func set<Value: Equatable>(_ values: inout [String: Value], _ name: String, _ value: Value) -> Bool {
        values.updateValue(value, forKey: name) != value
    }
}
