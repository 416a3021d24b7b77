internal import AuthAPI
internal import Backend
internal import Base
internal import ClusterModel
internal import Logging

/// `tctl create`, `get` and `rm`.
extension AuthServer {
    func resources(_ query: ResourceQuery) async throws(TeleportError) -> [Resource] {
        let all: [Resource]
        switch query.kind {
        case .user: all = try await store.users.list().map { .user($0.value) }
        case .role: all = try await store.roles.list().map { .role($0.value) }
        case .token: all = try await store.tokens.list().map { .token($0.value) }
        case .trustedCluster:
            all = state.trustedClusters.map { cluster in
                var shown = cluster.withoutToken
                shown.lastHeartbeat = lastTunnelReport(of: cluster.name)
                shown.connected = shown.lastHeartbeat != nil
                return .trustedCluster(shown)
            }
        case .remoteCluster:
            all = state.remoteClusters.map { cluster in
                let last = lastTunnelReport(of: cluster.name)
                return .remoteCluster(RemoteCluster(name: cluster.name, connected: last != nil, lastHeartbeat: last))
            }
        case .reverseTunnel: all = state.reverseTunnels.map { .reverseTunnel($0) }
        case .opensshSite:
            all = state.opensshSites.map { site in
                var shown = site
                shown.lastHeartbeat = lastTunnelReport(of: site.name)
                shown.connected = shown.lastHeartbeat != nil
                return .opensshSite(shown)
            }
        case .node: all = try await store.nodes.list().map { .node($0.value) }
        case .proxy: all = try await store.proxies.list().map { .proxy($0.value) }
        case .certificateAuthority: all = state.authorities.map { .certificateAuthority($0) }
        }
        guard let name = query.name else { return all }
        let found = all.filter { Self.isNamed($0, name) }
        guard !found.isEmpty else { throw .notFound("\(query.kind.rawValue) \(Names.quoted(name)) is not found") }
        return found
    }

    private static func isNamed(_ resource: Resource, _ name: String) -> Bool {
        switch resource {
        case .node(let node): node.uuid == name || node.hostname == name
        case .certificateAuthority(let authority): authority.name == name || authority.cluster == name || authority.type.rawValue == name
        default: resource.name == name
        }
    }

    func put(_ request: PutRequest) async throws(TeleportError) {
        switch request.resource {
        case .user(let user):
            _ = try await roleSet(user.roles)
            // A user without credentials cannot log in, but an administrator may sign for them.
            try await put(store.users, user.name, user, replace: request.replace)
        case .role(let role):
            try await put(store.roles, role.name, role, replace: request.replace)
        case .token(let token):
            let ttl = token.expires.seconds - now.seconds
            _ = try await createToken(TokenRequest(roles: token.roles, ttlSeconds: ttl, value: token.name))
        case .trustedCluster(let cluster):
            try await joinRoot(cluster, replace: request.replace)
        case .remoteCluster:
            throw .badParameter("a remote cluster makes itself known by joining with a token, or by its cert_authority")
        case .reverseTunnel(let tunnel):
            guard tunnel.cluster != clusterName else { throw .badParameter("a cluster does not dial itself") }
            try checkIsNoSite(tunnel.cluster)
            // A cluster of which only the host authority is known, and that does not dial, may still turn out to be a root.
            guard !shared.isLeaf(tunnel.cluster) || lastTunnelReport(of: tunnel.cluster) == nil else {
                throw .badParameter("\(tunnel.cluster) is a leaf of this cluster: it dials, and is not dialled")
            }
            try await put(store.reverseTunnels, tunnel.name, tunnel, replace: request.replace)
        case .opensshSite(let site): try await putSite(site, replace: request.replace)
        case .node(var node):
            node.cluster = clusterName
            node.expires = nil
            guard !node.addr.isEmpty else { throw .badParameter("a node that is listed by hand needs an addr") }
            try await put(store.nodes, node.uuid, node, replace: request.replace)
        case .proxy:
            throw .badParameter("a proxy makes itself known")
        case .certificateAuthority(let authority):
            try await putForeign(authority, replace: request.replace)
        }
    }

    /// The authority of another cluster, exchanged as a file.
    private func putForeign(_ authority: CertificateAuthority, replace: Bool) async throws(TeleportError) {
        guard authority.cluster != clusterName else { throw .badParameter("this cluster's own authorities are not made from a file") }
        try checkIsNoSite(authority.cluster)
        guard authority.type != .tls else { throw .badParameter("the TLS authority of another cluster is not trusted for anything") }
        try await withKeys(of: [authority]) { () throws(TeleportError) in
            if authority.type == .user, try await store.remoteClusters.find(authority.cluster) != nil {
                throw .accessDenied("\(authority.cluster) is a leaf of this cluster: its users are not trusted here")
            }
            try await put(store.authorities, store.authorityName(authority.type, authority.cluster), authority, replace: replace)
        }
        logger.info("trusts another cluster's authority", metadata: ["authority": "\(authority.name)"])
    }

    func put<Value: Codable & Sendable>(
        _ collection: TypedCollection<Value>, _ name: String, _ value: Value, replace: Bool
    ) async throws(TeleportError) {
        if replace {
            try await collection.put(name, value)
        } else {
            try await collection.create(name, value)
        }
    }

    func delete(_ name: ResourceName) async throws(TeleportError) {
        switch name.kind {
        case .user:
            _ = try await resources(ResourceQuery(kind: .user, name: name.name))
            _ = try await store.store.commit([
                try store.users.deleting(name.name), .deleteIfPresent(try store.credentials.key(name.name)),
            ])
        case .role:
            guard !Role.defaults.contains(where: { $0.name == name.name }) else { throw .badParameter("role \(name.name) is built in") }
            _ = try await resources(ResourceQuery(kind: .role, name: name.name))
            try await store.roles.delete(name.name)
        case .token:
            // By its value, or by the name under which it is listed.
            let digest = Self.digest(name.name)
            let listed = try await store.tokens.list().map(\.name)
            guard
                let found = listed.first(where: { $0 == digest || name.name.utf8.count >= Self.tokenNameLength && $0.hasPrefix(name.name) })
            else {
                throw .notFound("this token is not found")
            }
            try await store.tokens.delete(found)
        case .trustedCluster: try await leaveRoot(name.name)
        case .remoteCluster: try await removeLeaf(name.name)
        case .reverseTunnel: try await store.reverseTunnels.delete(name.name)
        case .opensshSite: try await store.opensshSites.delete(name.name)
        case .node:
            let found = try await resources(ResourceQuery(kind: .node, name: name.name))
            guard found.count == 1, let node = found.first else {
                throw .badParameter("more than one node is called \(name.name): use a UUID")
            }
            try await store.nodes.delete(node.name)
        case .proxy: try await store.proxies.delete(name.name)
        case .certificateAuthority:
            let parts = name.name.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, let type = AuthorityKind(rawValue: parts[0]) else {
                throw .badParameter("name the authority as user/CLUSTER or host/CLUSTER")
            }
            guard parts[1] != clusterName else { throw .badParameter("this cluster's own authorities cannot be removed") }
            try await store.authorities.delete(store.authorityName(type, parts[1]))
        }
        logger.info("removed a resource", metadata: ["kind": "\(name.kind.rawValue)"])
    }

    func status() async throws(TeleportError) -> StatusResponse {
        StatusResponse(
            cluster: clusterName, version: settings.version, caPin: caPin, authorities: state.authorities,
            users: try await store.users.list().count, nodes: state.nodes.count, proxies: state.proxies.count,
            authServers: state.authServers.count, remoteClusters: state.remoteClusters.count, trustedClusters: state.trustedClusters.count)
    }
}
