package import Base

/// What roles of another cluster are worth in this one. What is not listed is worth nothing, even under a name that exists here.
///
/// A remote name is compared whole and as it is: no patterns. `*` alone stands for every remote role, and never gives `admin`:
/// that needs a line that names the remote role.
package struct RoleMap: Codable, Hashable, Sendable {
    package struct Mapping: Codable, Hashable, Sendable {
        package var remote: String
        package var local: [String]

        package init(remote: String, local: [String]) {
            self.remote = remote
            self.local = local
        }

        private enum CodingKeys: String, CodingKey, CaseIterable { case remote, local }

        package init(from decoder: any Decoder) throws {
            let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
            remote = try container.decode(String.self, forKey: .remote)
            local = try container.decode([String].self, forKey: .local)
        }
    }

    package let mappings: [Mapping]

    package init(_ mappings: [Mapping]) {
        self.mappings = mappings
    }

    package init(from decoder: any Decoder) throws {
        mappings = try decoder.singleValueContainer().decode([Mapping].self)
        try check()
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(mappings)
    }

    /// The local roles, each once, in the order of the map.
    package func map(_ remoteRoles: [String]) -> [String] {
        var local: [String] = []
        for mapping in mappings where mapping.remote == "*" ? !remoteRoles.isEmpty : remoteRoles.contains(mapping.remote) {
            for role in mapping.local where !local.contains(role) { local.append(role) }
        }
        return local
    }

    package func check() throws(TeleportError) {
        guard mappings.count <= 64 else { throw .limitExceeded("a role_map has at most 64 lines") }
        for mapping in mappings {
            if mapping.remote == "*" {
                guard !mapping.local.contains(Role.adminName) else {
                    throw .badParameter("role_map: '*' may not give \(Role.adminName); name the remote role")
                }
            } else {
                try Names.checkRole(mapping.remote)
            }
            guard !mapping.local.isEmpty, mapping.local.count <= 64 else {
                throw .badParameter("role_map: \(Names.quoted(mapping.remote)) needs 1 to 64 local roles")
            }
            for role in mapping.local { try Names.checkRole(role) }
        }
    }
}

/// On a leaf: the root cluster that it joins. Its name is the root's.
package struct TrustedCluster: ResourceBody {
    package static let kind = ResourceKind.trustedCluster

    package var name: String
    package var enabled: Bool
    /// Spent when the trust is made; never shown again.
    package var token: String
    /// The root's proxy: `HOST:3080`.
    package var webProxyAddr: String
    /// Where to dial: `HOST:3024`. Empty: what the root's proxy says of itself.
    package var tunnelAddr: String
    package var roleMap: RoleMap
    /// `sha256:HEX` of the root's TLS authority: without it the first contact is not verified.
    package var caPin: String
    /// Whether a proxy of ours holds a tunnel to it, and when one last said so: what the auth server adds when it is asked.
    package var connected = false
    package var lastHeartbeat: UnixTime?

    package init(
        name: String, enabled: Bool = true, token: String = "", webProxyAddr: String, tunnelAddr: String = "", roleMap: RoleMap,
        caPin: String = ""
    ) {
        self.name = name
        self.enabled = enabled
        self.token = token
        self.webProxyAddr = webProxyAddr
        self.tunnelAddr = tunnelAddr
        self.roleMap = roleMap
        self.caPin = caPin
    }

    /// As it may be shown and cached.
    package var withoutToken: TrustedCluster {
        var copy = self
        copy.token = ""
        return copy
    }

    private enum SpecKeys: String, CodingKey, CaseIterable {
        case enabled, token
        case webProxyAddr = "web_proxy_addr"
        case tunnelAddr = "tunnel_addr"
        case roleMap = "role_map"
        case caPin = "ca_pin"
        case connected
        case lastHeartbeat = "last_heartbeat"
    }

    package init(from decoder: any Decoder) throws {
        let (name, spec) = try decoder.resource(Self.kind, keys: SpecKeys.self)
        self.name = name
        enabled = try spec.decodeIfPresent(Bool.self, forKey: .enabled) ?? true
        token = try spec.decodeIfPresent(String.self, forKey: .token) ?? ""
        webProxyAddr = try spec.decode(String.self, forKey: .webProxyAddr)
        tunnelAddr = try spec.decodeIfPresent(String.self, forKey: .tunnelAddr) ?? ""
        roleMap = try spec.decodeIfPresent(RoleMap.self, forKey: .roleMap) ?? RoleMap([])
        caPin = try spec.decodeIfPresent(String.self, forKey: .caPin) ?? ""
        connected = try spec.decodeIfPresent(Bool.self, forKey: .connected) ?? false
        lastHeartbeat = try spec.decodeIfPresent(UnixTime.self, forKey: .lastHeartbeat)
        try Names.checkCluster(name)
        try Names.checkAddress(webProxyAddr)
        if !tunnelAddr.isEmpty { try Names.checkAddress(tunnelAddr) }
        guard token.utf8.count <= 256 else { throw TeleportError.badParameter("the token is too long") }
    }

    package func encode(to encoder: any Encoder) throws {
        var spec = try encoder.resource(Self.kind, name: name, keys: SpecKeys.self)
        try spec.encode(enabled, forKey: .enabled)
        if !token.isEmpty { try spec.encode(token, forKey: .token) }
        try spec.encode(webProxyAddr, forKey: .webProxyAddr)
        if !tunnelAddr.isEmpty { try spec.encode(tunnelAddr, forKey: .tunnelAddr) }
        try spec.encode(roleMap, forKey: .roleMap)
        if !caPin.isEmpty { try spec.encode(caPin, forKey: .caPin) }
        if connected { try spec.encode(connected, forKey: .connected) }
        try spec.encodeIfPresent(lastHeartbeat, forKey: .lastHeartbeat)
    }
}

/// On a root: a leaf that has joined. Its host authority was pinned when it did.
package struct RemoteCluster: ResourceBody {
    package static let kind = ResourceKind.remoteCluster

    package var name: String
    /// Whether a proxy of ours holds a tunnel from it, and when one last said so.
    package var connected: Bool
    package var lastHeartbeat: UnixTime?

    package init(name: String, connected: Bool = false, lastHeartbeat: UnixTime? = nil) {
        self.name = name
        self.connected = connected
        self.lastHeartbeat = lastHeartbeat
    }

    private enum SpecKeys: String, CodingKey, CaseIterable {
        case connected
        case lastHeartbeat = "last_heartbeat"
    }

    package init(from decoder: any Decoder) throws {
        let (name, spec) = try decoder.resource(Self.kind, keys: SpecKeys.self)
        self.name = name
        connected = try spec.decodeIfPresent(Bool.self, forKey: .connected) ?? false
        lastHeartbeat = try spec.decodeIfPresent(UnixTime.self, forKey: .lastHeartbeat)
        try Names.checkCluster(name)
    }

    package func encode(to encoder: any Encoder) throws {
        var spec = try encoder.resource(Self.kind, name: name, keys: SpecKeys.self)
        try spec.encode(connected, forKey: .connected)
        try spec.encodeIfPresent(lastHeartbeat, forKey: .lastHeartbeat)
    }
}

/// On a leaf: which root's proxies its agents dial. Its name is the root's.
package struct ReverseTunnelRecord: ResourceBody {
    package static let kind = ResourceKind.reverseTunnel

    package var name: String
    /// `HOST:3024` of each proxy that is known from the start; the rest is discovered through the tunnel.
    package var dialAddrs: [String]

    package var cluster: String { name }

    package init(cluster: String, dialAddrs: [String]) {
        name = cluster
        self.dialAddrs = dialAddrs
    }

    private enum SpecKeys: String, CodingKey, CaseIterable {
        case cluster = "cluster_name"
        case dialAddrs = "dial_addrs"
    }

    package init(from decoder: any Decoder) throws {
        let (name, spec) = try decoder.resource(Self.kind, keys: SpecKeys.self)
        self.name = name
        dialAddrs = try spec.decode([String].self, forKey: .dialAddrs)
        guard try spec.decodeIfPresent(String.self, forKey: .cluster) ?? name == name else {
            throw TeleportError.badParameter("the reverse tunnel \(Names.quoted(name)) must bear the name of the cluster it leads to")
        }
        try Names.checkCluster(name)
        guard (1...32).contains(dialAddrs.count) else { throw TeleportError.badParameter("dial_addrs needs 1 to 32 addresses") }
        for addr in dialAddrs { try Names.checkAddress(addr) }
    }

    package func encode(to encoder: any Encoder) throws {
        var spec = try encoder.resource(Self.kind, name: name, keys: SpecKeys.self)
        try spec.encode(name, forKey: .cluster)
        try spec.encode(dialAddrs, forKey: .dialAddrs)
    }
}
