package import Base
package import SSHWire

/// On a hub: a site with nothing of ours installed. Its hosts are ordinary `sshd`s, its agent is `ssh -N -R 0`, and what there is in it is what
/// stands here.
package struct OpenSSHSite: ResourceBody {
    package static let kind = ResourceKind.opensshSite

    /// An `sshd` of the site.
    package struct Host: Codable, Hashable, Sendable {
        package var name: String
        /// `HOST:PORT` as the agent reaches it; a name is looked up at the site.
        package var addr: String
        package var labels: Labels
        /// `ssh-ed25519 AAAA…` lines: what it may prove itself with. Empty: by a certificate alone.
        package var hostKeys: [String]

        package init(name: String, addr: String, labels: Labels = [:], hostKeys: [String] = []) {
            self.name = name
            self.addr = addr
            self.labels = labels
            self.hostKeys = hostKeys
        }

        private enum CodingKeys: String, CodingKey, CaseIterable {
            case name, addr, labels
            case hostKeys = "host_keys"
        }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
            name = try container.decode(String.self, forKey: .name)
            addr = try container.decode(String.self, forKey: .addr)
            labels = try container.decodeIfPresent(Labels.self, forKey: .labels) ?? [:]
            hostKeys = try container.decodeIfPresent([String].self, forKey: .hostKeys) ?? []
        }
    }

    package var name: String
    package var nodes: [Host]
    /// Keys of the site's own that sign its host certificates; the hub's own host authority counts in any case, for names that end in the site's.
    package var hostAuthorities: [String]
    /// Whether a proxy of ours holds a tunnel from it, and when one last said so: what the auth server adds when it is asked.
    package var connected = false
    package var lastHeartbeat: UnixTime?

    /// The snapshot that carries them goes to every proxy.
    package static let nodesMax = 1000
    private static let hostKeysMax = 8

    package init(name: String, nodes: [Host] = [], hostAuthorities: [String] = []) {
        self.name = name
        self.nodes = nodes
        self.hostAuthorities = hostAuthorities
    }

    private enum SpecKeys: String, CodingKey, CaseIterable {
        case nodes
        case hostAuthorities = "host_authorities"
        case connected
        case lastHeartbeat = "last_heartbeat"
    }

    package init(from decoder: any Decoder) throws {
        let (name, spec) = try decoder.resource(Self.kind, keys: SpecKeys.self)
        self.name = name
        nodes = try spec.decode([Host].self, forKey: .nodes)
        hostAuthorities = try spec.decodeIfPresent([String].self, forKey: .hostAuthorities) ?? []
        connected = try spec.decodeIfPresent(Bool.self, forKey: .connected) ?? false
        lastHeartbeat = try spec.decodeIfPresent(UnixTime.self, forKey: .lastHeartbeat)
        try check()
    }

    package func encode(to encoder: any Encoder) throws {
        var spec = try encoder.resource(Self.kind, name: name, keys: SpecKeys.self)
        try spec.encode(nodes, forKey: .nodes)
        if !hostAuthorities.isEmpty { try spec.encode(hostAuthorities, forKey: .hostAuthorities) }
        if connected { try spec.encode(connected, forKey: .connected) }
        try spec.encodeIfPresent(lastHeartbeat, forKey: .lastHeartbeat)
    }

    package func check() throws(TeleportError) {
        try Names.checkCluster(name)
        guard nodes.count <= Self.nodesMax else { throw .limitExceeded("site \(name) lists more than \(Self.nodesMax) nodes") }
        var names: Set<String> = []
        var addresses: Set<String> = []
        for node in nodes {
            try Names.checkNode(node.name)
            try Names.checkAddress(node.addr)
            try checkLabels(node.labels)
            guard names.insert(node.name.lowercased()).inserted else {
                throw .badParameter("two nodes of site \(name) are called \(node.name)")
            }
            // Labels decide who may go there: one place has one set of them.
            guard addresses.insert(node.addr.lowercased()).inserted else {
                throw .badParameter("two nodes of site \(name) have the address \(node.addr)")
            }
            guard node.hostKeys.count <= Self.hostKeysMax else {
                throw .limitExceeded("node \(node.name) lists more than \(Self.hostKeysMax) host keys")
            }
            for line in node.hostKeys {
                do { _ = try PublicKey(text: line) } catch {
                    throw .badParameter("node \(node.name) of site \(name) has a host key that cannot be read", cause: error)
                }
            }
        }
        if let hostAuthority { try hostAuthority.check() }
    }

    /// The site's own authority; nil where it has none.
    package var hostAuthority: CertificateAuthority? {
        hostAuthorities.isEmpty ? nil : CertificateAuthority(type: .host, cluster: name, publicKeys: hostAuthorities)
    }

    /// What the site would register if it were a cluster of ours.
    package var registeredNodes: [Node] {
        nodes.map { Node(uuid: $0.name, hostname: $0.name, addr: $0.addr, labels: $0.labels, cluster: name) }
    }

    /// Lines of `known_hosts` for the hosts' own keys and for the site's own authority, which have the site's name as their comment.
    ///
    /// A host is known as `NAME.SITE` and, since that is what people write behind a ProxyCommand, by its bare name and its address.
    ///
    /// - Parameters:
    ///   - reserved: what no host of a site may be taken for: names and addresses of the hub's proxies.
    ///   - isVisible: whether the reader may know of a node.
    package func knownHosts(reserved: Set<String> = [], isVisible: (Host) -> Bool = { _ in true }) -> [KnownHostsLine] {
        var lines: [KnownHostsLine] = []
        for node in nodes where isVisible(node) {
            let address = HostPort(node.addr)?.host ?? ""
            var names: [String] = []
            for host in [node.name, address] where !host.isEmpty && !names.contains(host) {
                names += ["\(host).\(name)", host].filter { !reserved.contains($0) }
            }
            let patterns = names.flatMap { [$0, "[\($0)]:*"] }
            guard !patterns.isEmpty else { continue }
            for key in node.hostKeys.compactMap({ try? PublicKey(text: $0) }) {
                lines.append(KnownHostsLine(marker: nil, patterns: patterns, key: key, comment: "\(node.name).\(name)"))
            }
            for key in hostAuthority?.keys ?? [] {
                lines.append(KnownHostsLine(marker: .certAuthority, patterns: patterns, key: key, comment: name))
            }
        }
        return lines
    }
}
