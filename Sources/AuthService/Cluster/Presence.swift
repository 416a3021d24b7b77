internal import AuthAPI
internal import Backend
package import Base
internal import ClusterModel

extension AuthServer {
    /// Keeps a node's announcement. UUID and name are those of its certificate.
    func heartbeat(_ node: Node, from caller: Caller) async throws(TeleportError) {
        var node = node
        try node.check()
        try await checkHost(uuid: node.uuid, hostname: node.hostname, caller)
        node.cluster = clusterName
        try Self.checkReach(node.addr, peer: caller.peer)
        node.addr = try Self.reachable(node.addr, peer: caller.peer)
        node.expires = now + Self.presenceTTL
        try await store.nodes.put(node.uuid, node, ttl: Self.presenceTTL)
    }

    func heartbeat(_ proxy: ProxyRecord, from caller: Caller) async throws(TeleportError) {
        try await checkHost(uuid: proxy.uuid, hostname: proxy.hostname, caller)
        let record = ProxyRecord(
            uuid: proxy.uuid, hostname: proxy.hostname, sshAddr: try Self.reachable(proxy.sshAddr, peer: caller.peer),
            tunnelAddr: try Self.reachable(proxy.tunnelAddr, peer: caller.peer),
            webAddr: try Self.reachable(proxy.webAddr, peer: caller.peer),
            expires: now + Self.presenceTTL)
        try await store.proxies.put(proxy.uuid, record, ttl: Self.presenceTTL)
    }

    /// Announces this auth server itself.
    package func announce(uuid: String, hostname: String) async throws(TeleportError) {
        let record = ProxyRecord(uuid: uuid, hostname: hostname, sshAddr: "", tunnelAddr: "", webAddr: "", expires: now + Self.presenceTTL)
        try await store.authServers.put(uuid, record, ttl: Self.presenceTTL)
    }

    func reportTunnels(_ report: TunnelReport, from caller: Caller) async throws(TeleportError) {
        guard let uuid = caller.identity?.name else { throw .accessDenied("a client certificate is needed") }
        var writes: [StoreWrite] = []
        for shard in report.shards {
            guard (0..<TunnelReport.shardCount).contains(shard.number) else { throw .badParameter("there is no shard \(shard.number)") }
            let connected = Set(shard.connected.filter { TunnelReport.shard(of: $0) == shard.number && isKnown($0) }).sorted()
            writes.append(
                try store.tunnels.putting(
                    TunnelPresence.name(uuid, shard: shard.number),
                    TunnelPresence(shard: shard.number, connected: connected, reported: now), ttl: Self.presenceTTL))
        }
        if !writes.isEmpty { _ = try await store.store.commit(writes) }
    }

    private func checkHost(uuid: String, hostname: String, _ caller: Caller) async throws(TeleportError) {
        guard caller.identity?.name == uuid else { throw .accessDenied("a host announces itself alone") }
        guard try await store.hosts.get(uuid).value.hostname == hostname else {
            throw .accessDenied("host \(uuid) did not join under the name \(Names.quoted(hostname))")
        }
    }

    /// Proxies dial what nodes announce: an address that means another machine to each who dials it, or the metadata service of a cloud, is
    /// taken only from a node that is there itself.
    private static func checkReach(_ addr: String, peer: String) throws(TeleportError) {
        guard let host = HostPort(addr)?.host.lowercased() else { return }
        let from = IPAddress(peer)
        let isLoopback = IPAddress(host)?.isLoopback ?? (host == "localhost" || host.hasSuffix(".localhost"))
        guard !isLoopback || from?.isLoopback == true else {
            throw .accessDenied("a node on another machine cannot be reached at \(addr): give it a public_addr")
        }
        guard IPAddress(host)?.isLinkLocal != true || from?.isLinkLocal == true else {
            throw .accessDenied("a node cannot be reached at the link-local address \(addr)")
        }
    }

    /// The address with the peer's own host where it names every address of the host.
    private static func reachable(_ addr: String, peer: String) throws(TeleportError) -> String {
        guard !addr.isEmpty else { return "" }
        guard let parsed = HostPort(addr) else { throw .badParameter("address \(Names.quoted(addr)) is not HOST:PORT") }
        guard parsed.host == "0.0.0.0" || parsed.host == "::" else { return addr }
        guard let address = IPAddress(peer) else { throw .badParameter("an announcement needs an address of its own, not \(addr)") }
        return "\(HostPort(host: "\(address)", port: parsed.port))"
    }
}
