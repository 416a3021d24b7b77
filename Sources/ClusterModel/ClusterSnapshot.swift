package import Base
package import SSHWire

/// What the auth server tells the other services of the cluster at one moment. It holds nothing secret.
package struct ClusterState: Codable, Equatable, Sendable {
    /// Grows with every change.
    package var revision: Int64
    package var clusterName: String
    package var authorities: [CertificateAuthority]
    package var roles: [Role]
    package var nodes: [Node]
    package var proxies: [ProxyRecord]
    package var authServers: [ProxyRecord]
    package var trustedClusters: [TrustedCluster]
    package var remoteClusters: [RemoteCluster]
    package var reverseTunnels: [ReverseTunnelRecord]
    package var opensshSites: [OpenSSHSite]

    package init(
        revision: Int64 = 0, clusterName: String, authorities: [CertificateAuthority] = [], roles: [Role] = [], nodes: [Node] = [],
        proxies: [ProxyRecord] = [], authServers: [ProxyRecord] = [], trustedClusters: [TrustedCluster] = [],
        remoteClusters: [RemoteCluster] = [], reverseTunnels: [ReverseTunnelRecord] = [], opensshSites: [OpenSSHSite] = []
    ) {
        self.revision = revision
        self.clusterName = clusterName
        self.authorities = authorities
        self.roles = roles
        self.nodes = nodes
        self.proxies = proxies
        self.authServers = authServers
        self.trustedClusters = trustedClusters
        self.remoteClusters = remoteClusters
        self.reverseTunnels = reverseTunnels
        self.opensshSites = opensshSites
    }

    private enum CodingKeys: String, CodingKey {
        case revision
        case clusterName = "cluster_name"
        case authorities, roles, nodes, proxies
        case authServers = "auth_servers"
        case trustedClusters = "trusted_clusters"
        case remoteClusters = "remote_clusters"
        case reverseTunnels = "reverse_tunnels"
        case opensshSites = "openssh_sites"
    }
}

/// A ``ClusterState`` with its indexes: built once, then shared and read by every loop without a lock.
package final class ClusterSnapshot: Sendable {
    package let state: ClusterState
    package let roles: [String: Role]
    /// Own user authority first, then those of enabled root clusters. Never a leaf's.
    package let userAuthorities: TrustedAuthorities
    /// Own host authority first, then roots' (for their tunnel servers) and leaves' (for their agents and nodes).
    package let hostAuthorities: TrustedAuthorities
    /// Clusters that this one dials.
    package let rootClusters: Set<String>
    /// Clusters that dial this one.
    package let leafClusters: Set<String>
    /// PEM of this cluster's TLS authority.
    package let tlsAuthorities: [String]
    /// Sites whose agent is a plain OpenSSH client, each as the cluster that it stands for: its nodes are those listed, its roles this cluster's.
    package let opensshSites: [String: ClusterSnapshot]

    private let roleMaps: [String: RoleMap]
    private let nodesByUUID: [String: Node]
    private let nodesByHostname: [String: [Node]]
    private let nodesByHost: [String: [Node]]

    package init(_ state: ClusterState) {
        self.state = state
        let own = state.clusterName
        roles = Dictionary(state.roles.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })

        let disabled = Set(state.trustedClusters.filter { !$0.enabled }.map(\.name))
        let foreign = state.authorities.filter { $0.cluster != own && !disabled.contains($0.cluster) }
        var roots = Set(foreign.filter { $0.type == .user }.map(\.cluster))
        roots.formUnion(state.reverseTunnels.map(\.cluster))
        roots.formUnion(state.trustedClusters.map(\.name))
        roots.subtract(disabled)
        roots.subtract(state.remoteClusters.map(\.name))
        roots.remove(own)
        rootClusters = roots
        leafClusters = Set(foreign.filter { $0.type == .host }.map(\.cluster)).subtracting(roots)

        let ownAuthorities = state.authorities.filter { $0.cluster == own }
        let users = ownAuthorities.filter { $0.type == .user } + foreign.filter { $0.type == .user && roots.contains($0.cluster) }
        let hosts = (ownAuthorities + foreign).filter { $0.type == .host }
        userAuthorities = TrustedAuthorities(
            users.flatMap { authority in authority.keys.map { TrustedAuthority(key: $0, use: .user, cluster: authority.cluster) } })
        hostAuthorities = TrustedAuthorities(
            hosts.flatMap { authority in authority.keys.map { TrustedAuthority(key: $0, use: .host, cluster: authority.cluster) } })
        roleMaps = Dictionary(users.map { ($0.cluster, $0.roleMap) }, uniquingKeysWith: { first, _ in first })
        tlsAuthorities = ownAuthorities.filter { $0.type == .tls }.flatMap(\.tlsCertificates)

        // A name that also is another cluster's is that cluster's.
        let taken = Set(state.authorities.map(\.cluster)).union(roots).union(disabled).union(state.remoteClusters.map(\.name)).union([own])
        opensshSites = Dictionary(
            state.opensshSites.filter { !taken.contains($0.name) }.map { site in
                (site.name, ClusterSnapshot(ClusterState(clusterName: site.name, roles: state.roles, nodes: site.registeredNodes)))
            }, uniquingKeysWith: { first, _ in first })

        nodesByUUID = Dictionary(state.nodes.map { ($0.uuid, $0) }, uniquingKeysWith: { first, _ in first })
        nodesByHostname = Dictionary(grouping: state.nodes, by: { $0.hostname.lowercased() })
        nodesByHost = Dictionary(grouping: state.nodes, by: { HostPort($0.addr)?.host.lowercased() ?? "" })
    }

    package var clusterName: String { state.clusterName }
    package var revision: Int64 { state.revision }

    /// Everything that can be reached behind a tunnel to this cluster, in order.
    package var siteNames: [String] { leafClusters.union(opensshSites.keys).sorted() }

    package func isSite(_ name: String) -> Bool { leafClusters.contains(name) || opensshSites[name] != nil }

    /// Where this cluster's agents dial: the tunnels of enabled root clusters.
    package var reverseTunnels: [ReverseTunnelRecord] {
        state.reverseTunnels.filter { rootClusters.contains($0.cluster) }
    }

    // MARK: Users

    /// Whom a certificate speaks for here. It must have been judged before, and `cluster` is that of the authority which signed it.
    ///
    /// - Throws: where its roles are worth nothing here, or it names another cluster.
    package func identity(of certificate: Certificate, signedBy cluster: String) throws(TeleportError) -> AccessIdentity {
        guard certificate.kind == .user else { throw .accessDenied("a host certificate is nobody's") }
        if certificate.extensions.contains(CertificateExtension.authority),
            certificate.extensions[CertificateExtension.authority] != cluster
        {
            throw .accessDenied("the certificate names a cluster other than its authority's, \(cluster)")
        }
        try Names.checkUser(certificate.keyID)
        var claimed: [String] = []
        if certificate.extensions.contains(CertificateExtension.roles) {
            claimed = try CertificateRequest.parseRoles(certificate.extensions[CertificateExtension.roles] ?? "")
        }
        return AccessIdentity(
            cluster: cluster, name: certificate.keyID, roles: try localRoles(claimed, of: certificate.keyID, from: cluster),
            logins: certificate.validPrincipals)
    }

    /// What roles of a user of `cluster` are worth here: those of this cluster themselves, those of a root what the map gives.
    package func localRoles(_ claimed: [String], of user: String, from cluster: String) throws(TeleportError) -> [String] {
        if cluster == clusterName {
            guard !claimed.isEmpty else { throw .accessDenied("the certificate of \(user) has no roles") }
            return claimed
        }
        guard let roleMap = roleMaps[cluster] else { throw .accessDenied("cluster \(cluster) is not trusted for users") }
        let local = roleMap.map(claimed)
        guard !local.isEmpty else { throw .accessDenied("no role of \(user) of cluster \(cluster) is mapped to a role of \(clusterName)") }
        return local
    }

    /// Whether `identity` may be `login` on a node with these labels.
    package func decide(_ identity: AccessIdentity, login: String, labels: Labels) -> AccessDecision {
        do {
            return try RoleSet(names: identity.roles, known: roles).decide(login: login, own: identity.logins, labels: labels)
        } catch {
            return .denied(reason: error.message)
        }
    }

    /// The nodes that `identity` may log in to in some way.
    package func visibleNodes(to identity: AccessIdentity) -> [Node] {
        guard let roles = try? RoleSet(names: identity.roles, known: roles) else { return [] }
        return state.nodes.filter { roles.mayList(labels: $0.labels) }
    }

    // MARK: Nodes

    package func node(uuid: String) -> Node? { nodesByUUID[uuid] }

    /// The one node that `host` names: a UUID, a host name (`db1` or `db1.CLUSTER`, in any case) or the host of its address.
    ///
    /// - Parameter port: 0 for any that the node has.
    /// - Throws: `NotFound`; `BadParameter` naming both UUIDs where more than one fits.
    package func node(host: String, port: UInt16 = 0) throws(TeleportError) -> Node {
        let found = nodes(named: host)
        guard !found.isEmpty else { throw .notFound("no node \(Names.quoted(host)) in cluster \(clusterName)") }
        let fitting = port == 0 ? found : found.filter { $0.addr.isEmpty || HostPort($0.addr)?.port == port }
        guard let node = fitting.first else {
            let ports = found.map(\.addr).sorted().joined(separator: ", ")
            throw .notFound("node \(Names.quoted(host)) of cluster \(clusterName) has no port \(port); it listens on \(ports)")
        }
        guard fitting.count == 1 else {
            let uuids = fitting.map(\.uuid).sorted().joined(separator: " and ")
            throw .badParameter(
                "\(fitting.count) nodes of cluster \(clusterName) bear the name \(Names.quoted(host)): use a UUID: \(uuids)")
        }
        return node
    }

    /// Whether ``node(host:port:)`` finds one on any port.
    package func isNode(_ host: String) -> Bool { nodes(named: host).count == 1 }

    private func nodes(named host: String) -> [Node] {
        let wanted = host.lowercased()
        let bare = wanted.hasSuffix(".\(clusterName)") ? String(wanted.dropLast(clusterName.utf8.count + 1)) : wanted
        for name in bare == wanted ? [wanted] : [wanted, bare] {
            if let node = nodesByUUID[name] { return [node] }
            if let found = nodesByHostname[name] ?? (name.isEmpty ? nil : nodesByHost[name]) { return found }
        }
        return []
    }

    /// Every node with all of these labels.
    package func nodes(matching selector: LabelSelector) -> [Node] {
        state.nodes.filter { selector.matches($0.labels) }
    }
}
