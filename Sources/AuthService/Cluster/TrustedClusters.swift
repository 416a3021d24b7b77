package import AuthAPI
internal import Backend
package import Base
internal import ClusterModel
internal import Logging
internal import SSHWire

/// How a leaf reaches a root's proxy to be trusted: HTTPS in production, the root itself in tests.
package protocol TrustTransport: Sendable {
    /// - Parameter pin: `sha256:HEX` of the root's TLS authority, or empty.
    func exchange(_ request: TrustRequest, proxy: HostPort, pin: String) async throws(TeleportError) -> TrustResponse
}

extension AuthServer {
    // MARK: Leaf

    /// Joins a root cluster: spends the token there and keeps the root's authorities here, all or nothing.
    func joinRoot(_ cluster: TrustedCluster, replace: Bool) async throws(TeleportError) {
        guard cluster.name != clusterName else { throw .badParameter("a cluster cannot trust itself") }
        try checkIsNoSite(cluster.name)
        try cluster.roleMap.check()
        let known = try await store.trustedClusters.find(cluster.name)
        guard known == nil || replace else { throw .alreadyExists("trusted cluster \(cluster.name) already exists") }
        let userName = store.authorityName(.user, cluster.name)
        var writes = [try store.trustedClusters.putting(cluster.name, cluster.withoutToken)]
        if known != nil, cluster.token.isEmpty, var authority = try await store.authorities.find(userName)?.value {
            // The trust stands already: its switch, role map and address may change.
            authority.roleMap = cluster.roleMap
            writes.append(try store.authorities.putting(userName, authority))
            if !cluster.tunnelAddr.isEmpty {
                writes.append(
                    try store.reverseTunnels.putting(
                        cluster.name, ReverseTunnelRecord(cluster: cluster.name, dialAddrs: [cluster.tunnelAddr])))
            }
            _ = try await store.store.commit(writes)
        } else {
            let root = try await exchangeWithRoot(cluster)
            writes += root.writes
            try await withKeys(of: root.authorities) { () throws(TeleportError) in _ = try await store.store.commit(writes) }
        }
        logger.info("trusts a root cluster", metadata: ["cluster": "\(cluster.name)", "enabled": "\(cluster.enabled)"])
    }

    private func exchangeWithRoot(
        _ cluster: TrustedCluster
    ) async throws(TeleportError) -> (authorities: [CertificateAuthority], writes: [StoreWrite]) {
        guard !cluster.token.isEmpty else { throw .badParameter("a new trusted cluster needs the token that its root made") }
        guard let proxy = HostPort(cluster.webProxyAddr) else { throw .badParameter("web_proxy_addr is not HOST:PORT") }
        guard let own = ownAuthorities.first(where: { $0.type == .host }) else {
            throw TeleportError(.systemError, "this cluster has no host authority")
        }
        if cluster.caPin.isEmpty {
            logger.warning(
                "the root's proxy is not verified: the trusted cluster names no ca_pin", metadata: ["cluster": "\(cluster.name)"])
        }
        let request = TrustRequest(token: cluster.token, cluster: clusterName, hostAuthority: own)
        let answer = try await trustTransport.exchange(request, proxy: proxy, pin: cluster.caPin)
        guard answer.cluster == cluster.name else {
            throw .badParameter("the cluster at \(proxy) is called \(Names.quoted(answer.cluster)), not \(cluster.name)")
        }
        var user = answer.userAuthority
        var host = answer.hostAuthority
        for (authority, type) in [(user, AuthorityKind.user), (host, AuthorityKind.host)] {
            guard authority.type == type, authority.cluster == cluster.name else {
                throw .accessDenied("cluster \(cluster.name) answered with an authority of another name or kind")
            }
            try authority.check()
        }
        user.roleMap = cluster.roleMap
        host.roleMap = RoleMap([])
        let dialAddrs = cluster.tunnelAddr.isEmpty ? answer.tunnelAddrs : [cluster.tunnelAddr]
        guard (1...32).contains(dialAddrs.count) else { throw .badParameter("name the tunnel_addr: the root says none") }
        for addr in dialAddrs { try Names.checkAddress(addr) }
        let writes = [
            try store.authorities.putting(store.authorityName(.user, cluster.name), user),
            try store.authorities.putting(store.authorityName(.host, cluster.name), host),
            try store.reverseTunnels.putting(cluster.name, ReverseTunnelRecord(cluster: cluster.name, dialAddrs: dialAddrs)),
        ]
        return ([user, host], writes)
    }

    /// Ends the trust in a root: its users, its tunnel and the record go together.
    func leaveRoot(_ name: String) async throws(TeleportError) {
        _ = try await store.trustedClusters.get(name)
        _ = try await store.store.commit([
            try store.trustedClusters.deleting(name),
            .deleteIfPresent(try store.authorities.key(store.authorityName(.user, name))),
            .deleteIfPresent(try store.authorities.key(store.authorityName(.host, name))),
            .deleteIfPresent(try store.reverseTunnels.key(name)),
        ])
        logger.info("trusts a root cluster no longer", metadata: ["cluster": "\(name)"])
    }

    // MARK: Root

    /// A leaf asks to be let in: its host authority is pinned, its user authority is never heard of.
    func exchangeTrust(_ request: TrustRequest, from caller: Caller) async throws(TeleportError) -> TrustResponse {
        let stored = try await validToken(request.token, for: .trustedCluster, from: caller)
        try Names.checkCluster(request.cluster)
        guard request.cluster != clusterName else { throw .badParameter("a leaf cannot bear the name of its root, \(clusterName)") }
        let host = request.hostAuthority
        guard host.type == .host, host.cluster == request.cluster else {
            throw .badParameter("the authority that was sent is not the host authority of \(request.cluster)")
        }
        try host.check()
        try checkIsNoSite(request.cluster)
        try await checkNameIsFree(request.cluster)
        guard !shared.isRoot(request.cluster) else { throw .badParameter("this cluster is itself a leaf of \(request.cluster)") }
        let name = store.authorityName(.host, request.cluster)
        var writes = [try store.tokens.deleting(stored.name, expected: stored.revision)]
        if let pinned = try await store.authorities.find(name) {
            guard pinned.value.publicKeys == host.publicKeys else {
                throw .alreadyExists("cluster \(request.cluster) has joined with another authority; remove it first")
            }
        } else {
            writes.append(try store.authorities.creating(name, host))
        }
        if try await store.remoteClusters.find(request.cluster) == nil {
            writes.append(try store.remoteClusters.creating(request.cluster, RemoteCluster(name: request.cluster)))
        }
        try await withKeys(of: [host]) { () throws(TeleportError) in
            do throws(TeleportError) {
                _ = try await store.store.commit(writes)
            } catch  where error.kind == .compareFailed || error.kind == .notFound {
                throw .accessDenied("the token was used in the meantime")
            }
        }
        logger.info("a leaf cluster joined", metadata: ["cluster": "\(request.cluster)"])
        guard let user = ownAuthorities.first(where: { $0.type == .user }), let own = ownAuthorities.first(where: { $0.type == .host })
        else {
            throw TeleportError(.systemError, "this cluster has no authorities")
        }
        return TrustResponse(
            cluster: clusterName, userAuthority: user, hostAuthority: own,
            tunnelAddrs: state.proxies.map(\.tunnelAddr).filter { !$0.isEmpty })
    }

    /// The longest cluster name that ends a host's name is whom that host belongs to: a leaf chooses its own name, and must not choose one
    /// that takes hosts away from this cluster or from another leaf.
    func checkNameIsFree(_ leaf: String) async throws(TeleportError) {
        for host in try await store.hosts.list().map(\.value) {
            for name in [host.uuid, host.hostname] + host.publicAddresses
            where Self.belongs(name, to: leaf) || Self.belongs(HostNames.qualified(name, cluster: clusterName), to: leaf) {
                throw .badParameter("a site cannot be called \(leaf): that is the name of a host of \(clusterName)")
            }
        }
        var rest = leaf[...]
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            let other = String(rest)
            guard !shared.isLeaf(other), !shared.isListedSite(other) else {
                throw .badParameter("a site cannot be called \(leaf): that is a name within the site \(other)")
            }
        }
    }

    /// Ends the trust in a leaf.
    func removeLeaf(_ name: String) async throws(TeleportError) {
        let isRecorded = try await store.remoteClusters.find(name) != nil
        let isKnownByHand =
            try await store.authorities.find(store.authorityName(.host, name)) != nil && !shared.isRoot(name) && name != clusterName
        guard isRecorded || isKnownByHand else { throw .notFound("remote cluster \(Names.quoted(name)) is not found") }
        _ = try await store.store.commit([
            .deleteIfPresent(try store.remoteClusters.key(name)),
            .deleteIfPresent(try store.authorities.key(store.authorityName(.host, name))),
        ])
        logger.info("a leaf cluster was removed", metadata: ["cluster": "\(name)"])
    }

    // MARK: Both

    /// Whether a tunnel of this name means anything here.
    func isKnown(_ cluster: String) -> Bool { shared.isLeaf(cluster) || shared.isRoot(cluster) || shared.isListedSite(cluster) }

    /// Runs `write`, which keeps these authorities: no key may speak for two clusters, or for two purposes.
    func withKeys(
        of authorities: [CertificateAuthority], _ write: () async throws(TeleportError) -> Void
    ) async throws(TeleportError) {
        do throws(TeleportError) {
            for authority in authorities {
                if let other = owners(of: authority.keys).subtracting([authority.name]).min() {
                    throw .accessDenied("a key of the \(authority.name) authority is already that of \(other)")
                }
                // For whoever comes before the store's event does.
                for key in authority.keys { writtenKeys[key] = authority.name }
            }
            try await write()
        } catch {
            for authority in authorities {
                for key in authority.keys where writtenKeys[key] == authority.name { writtenKeys[key] = nil }
            }
            throw error
        }
    }

    private func owners(of keys: [PublicKey]) -> Set<String> {
        shared.owners(of: keys).union(keys.compactMap { writtenKeys[$0] })
    }
}
