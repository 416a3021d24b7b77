internal import AuthAPI
internal import Backend
internal import Base
internal import ClusterModel
internal import Logging
internal import SSHWire

/// Sites that are listed here and have no auth server of their own.
extension AuthServer {
    /// A site's name stands for nothing else: not for this cluster, not for one that it trusts or is trusted by, not for a host.
    func putSite(_ site: OpenSSHSite, replace: Bool) async throws(TeleportError) {
        try site.check()
        guard site.name != clusterName else { throw .badParameter("\(site.name) is this cluster itself") }
        let isKnown =
            try await store.remoteClusters.find(site.name) != nil || shared.isRoot(site.name) || shared.hasAuthority(of: site.name)
        guard !isKnown else { throw .alreadyExists("\(site.name) is the name of another cluster") }
        if try await store.opensshSites.find(site.name) == nil { try await checkNameIsFree(site.name) }
        var stored = site
        stored.connected = false
        stored.lastHeartbeat = nil
        try await withKeys(of: site.hostAuthority.map { [$0] } ?? []) { () throws(TeleportError) in
            try await put(store.opensshSites, stored.name, stored, replace: replace)
        }
        logger.info("a site of OpenSSH hosts is listed", metadata: ["site": "\(site.name)", "nodes": "\(site.nodes.count)"])
    }

    /// For a cluster that wants to be known here.
    func checkIsNoSite(_ cluster: String) throws(TeleportError) {
        guard !shared.isListedSite(cluster) else {
            throw .alreadyExists("\(cluster) is the name of an openssh_site of this cluster; remove that first")
        }
    }

    /// What tells a right host of these sites from a wrong one, for nodes that the roles let somebody see.
    func knownHosts(visibleTo roles: RoleSet) -> [String] {
        let proxies = Set(
            state.proxies.flatMap { [$0.sshAddr, $0.tunnelAddr, $0.webAddr] }.compactMap { HostPort($0)?.host })
        return state.opensshSites.flatMap { site in
            site.knownHosts(reserved: proxies) { roles.mayList(labels: $0.labels) }.map(\.line)
        }
    }
}
