package import Base

/// A node that announced itself, or that an administrator listed: the only things that users can be connected to.
package struct Node: ResourceBody {
    package static let kind = ResourceKind.node

    package var uuid: String
    /// The host's own name. Two nodes may bear the same one: then only the UUID tells them apart.
    package var hostname: String
    /// `HOST:PORT` where it takes SSH connections; empty for a node that is reached through a tunnel of its own.
    package var addr: String
    package var labels: Labels
    package var cluster: String
    package var version: String
    /// When the announcement ends; nil for a node that an administrator listed.
    package var expires: UnixTime?

    /// The name under which it is stored.
    package var name: String { uuid }

    package init(
        uuid: String, hostname: String, addr: String, labels: Labels = [:], cluster: String, version: String = "", expires: UnixTime? = nil
    ) {
        self.uuid = uuid
        self.hostname = hostname
        self.addr = addr
        self.labels = labels
        self.cluster = cluster
        self.version = version
        self.expires = expires
    }

    private enum SpecKeys: String, CodingKey, CaseIterable { case hostname, addr, labels, cluster, version, expires }

    package init(from decoder: any Decoder) throws {
        let (name, spec) = try decoder.resource(Self.kind, keys: SpecKeys.self)
        uuid = name
        hostname = try spec.decodeIfPresent(String.self, forKey: .hostname) ?? name
        addr = try spec.decodeIfPresent(String.self, forKey: .addr) ?? ""
        labels = try spec.decodeIfPresent(Labels.self, forKey: .labels) ?? [:]
        cluster = try spec.decodeIfPresent(String.self, forKey: .cluster) ?? ""
        version = try spec.decodeIfPresent(String.self, forKey: .version) ?? ""
        expires = try spec.decodeIfPresent(UnixTime.self, forKey: .expires)
        try check()
    }

    package func encode(to encoder: any Encoder) throws {
        var spec = try encoder.resource(Self.kind, name: name, keys: SpecKeys.self)
        try spec.encode(hostname, forKey: .hostname)
        try spec.encode(addr, forKey: .addr)
        if !labels.isEmpty { try spec.encode(labels, forKey: .labels) }
        if !cluster.isEmpty { try spec.encode(cluster, forKey: .cluster) }
        if !version.isEmpty { try spec.encode(version, forKey: .version) }
        try spec.encodeIfPresent(expires, forKey: .expires)
    }

    package func check() throws(TeleportError) {
        try Names.checkNode(uuid)
        try Names.checkNode(hostname)
        if !addr.isEmpty { try Names.checkAddress(addr) }
        if !cluster.isEmpty { try Names.checkCluster(cluster) }
        guard version.utf8.count <= 64 else { throw .badParameter("the version of node \(hostname) is too long") }
        try checkLabels(labels)
    }
}

/// A proxy or an auth server that announced itself.
package struct ProxyRecord: ResourceBody {
    package static let kind = ResourceKind.proxy

    package var uuid: String
    package var hostname: String
    /// `HOST:PORT` for users' SSH (3023), agents (3024) and HTTPS (3080); empty where it serves none.
    package var sshAddr: String
    package var tunnelAddr: String
    package var webAddr: String
    package var expires: UnixTime?

    package var name: String { uuid }

    package init(uuid: String, hostname: String, sshAddr: String, tunnelAddr: String, webAddr: String, expires: UnixTime? = nil) {
        self.uuid = uuid
        self.hostname = hostname
        self.sshAddr = sshAddr
        self.tunnelAddr = tunnelAddr
        self.webAddr = webAddr
        self.expires = expires
    }

    private enum SpecKeys: String, CodingKey, CaseIterable {
        case hostname
        case sshAddr = "ssh_addr"
        case tunnelAddr = "tunnel_addr"
        case webAddr = "web_addr"
        case expires
    }

    package init(from decoder: any Decoder) throws {
        let (name, spec) = try decoder.resource(Self.kind, keys: SpecKeys.self)
        uuid = name
        hostname = try spec.decode(String.self, forKey: .hostname)
        sshAddr = try spec.decodeIfPresent(String.self, forKey: .sshAddr) ?? ""
        tunnelAddr = try spec.decodeIfPresent(String.self, forKey: .tunnelAddr) ?? ""
        webAddr = try spec.decodeIfPresent(String.self, forKey: .webAddr) ?? ""
        expires = try spec.decodeIfPresent(UnixTime.self, forKey: .expires)
        try Names.checkNode(uuid)
        try Names.checkNode(hostname)
        for addr in [sshAddr, tunnelAddr, webAddr] where !addr.isEmpty { try Names.checkAddress(addr) }
    }

    package func encode(to encoder: any Encoder) throws {
        var spec = try encoder.resource(Self.kind, name: name, keys: SpecKeys.self)
        try spec.encode(hostname, forKey: .hostname)
        try spec.encode(sshAddr, forKey: .sshAddr)
        try spec.encode(tunnelAddr, forKey: .tunnelAddr)
        try spec.encode(webAddr, forKey: .webAddr)
        try spec.encodeIfPresent(expires, forKey: .expires)
    }
}
