internal import Backend
internal import Base
internal import ClusterModel

/// The cluster's shared state in memory, kept in step with the store by its events; pure.
///
/// A heartbeat that says nothing new changes no revision, so nobody is woken by it.
struct SharedState {
    private let clusterName: String
    private let collections: AuthStore
    private(set) var revision: Int64
    private var authorities: [String: CertificateAuthority] = [:]
    private var roles: [String: Role] = [:]
    private var nodes: [String: Node] = [:]
    private var proxies: [String: ProxyRecord] = [:]
    private var authServers: [String: ProxyRecord] = [:]
    private var tunnels: [String: TunnelPresence] = [:]
    private var trustedClusters: [String: TrustedCluster] = [:]
    private var remoteClusters: [String: RemoteCluster] = [:]
    private var reverseTunnels: [String: ReverseTunnelRecord] = [:]
    private var opensshSites: [String: OpenSSHSite] = [:]

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
        var connected: Set<String> = []
        for presence in tunnels.values { connected.formUnion(presence.connected) }
        var remotes = remoteClusters
        for cluster in leafNames where remotes[cluster] == nil { remotes[cluster] = RemoteCluster(name: cluster) }
        return ClusterState(
            revision: revision, clusterName: clusterName, authorities: sorted(authorities), roles: sorted(roles), nodes: sorted(nodes),
            proxies: sorted(proxies), authServers: sorted(authServers), trustedClusters: sorted(trustedClusters).map(\.withoutToken),
            remoteClusters: sorted(remotes).map { RemoteCluster(name: $0.name, connected: connected.contains($0.name)) },
            reverseTunnels: sorted(reverseTunnels), opensshSites: sorted(opensshSites))
    }

    /// When a tunnel of `cluster` was last reported.
    func lastReport(of cluster: String) -> UnixTime? {
        tunnels.values.filter { $0.connected.contains(cluster) }.map(\.reported).max()
    }

    /// Clusters whose host authority was put here by hand and that this one does not dial.
    private var leafNames: [String] {
        let foreign = authorities.values.filter { $0.cluster != clusterName }
        let roots = Set(foreign.filter { $0.type == .user }.map(\.cluster)).union(trustedClusters.keys).union(reverseTunnels.keys)
        return foreign.filter { $0.type == .host && !roots.contains($0.cluster) }.map(\.cluster)
    }

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
            defer { tunnels[name] = presence }
            return tunnels[name]?.connected != presence.connected
        }
        if isIn(collections.authorities) { return Self.set(&authorities, name, try collections.authorities.decode(item).value) }
        if isIn(collections.roles) { return Self.set(&roles, name, try collections.roles.decode(item).value) }
        if isIn(collections.trustedClusters) { return Self.set(&trustedClusters, name, try collections.trustedClusters.decode(item).value) }
        if isIn(collections.remoteClusters) { return Self.set(&remoteClusters, name, try collections.remoteClusters.decode(item).value) }
        if isIn(collections.reverseTunnels) { return Self.set(&reverseTunnels, name, try collections.reverseTunnels.decode(item).value) }
        if isIn(collections.opensshSites) { return Self.set(&opensshSites, name, try collections.opensshSites.decode(item).value) }
        return false
    }

    private mutating func remove(_ key: StoreKey) -> Bool {
        let name = key.name
        if collections.nodes.prefix.isPrefix(of: key) { return nodes.removeValue(forKey: name) != nil }
        if collections.proxies.prefix.isPrefix(of: key) { return proxies.removeValue(forKey: name) != nil }
        if collections.authServers.prefix.isPrefix(of: key) { return authServers.removeValue(forKey: name) != nil }
        if collections.tunnels.prefix.isPrefix(of: key) { return tunnels.removeValue(forKey: name)?.connected.isEmpty == false }
        if collections.authorities.prefix.isPrefix(of: key) { return authorities.removeValue(forKey: name) != nil }
        if collections.roles.prefix.isPrefix(of: key) { return roles.removeValue(forKey: name) != nil }
        if collections.trustedClusters.prefix.isPrefix(of: key) { return trustedClusters.removeValue(forKey: name) != nil }
        if collections.remoteClusters.prefix.isPrefix(of: key) { return remoteClusters.removeValue(forKey: name) != nil }
        if collections.reverseTunnels.prefix.isPrefix(of: key) { return reverseTunnels.removeValue(forKey: name) != nil }
        if collections.opensshSites.prefix.isPrefix(of: key) { return opensshSites.removeValue(forKey: name) != nil }
        return false
    }

    private static func set<Value: Equatable>(_ values: inout [String: Value], _ name: String, _ value: Value) -> Bool {
        values.updateValue(value, forKey: name) != value
    }
}
