package import Base
package import ClusterModel

/// Where a wish leads.
package enum Route: Equatable, Sendable {
    /// A node of this cluster, dialled from here.
    case node(Node, address: String)
    /// A node of this cluster that holds a tunnel of its own.
    case tunnel(Node)
    /// A node of another site: its own agent finds it among what is registered there.
    case site(String, host: String, port: UInt16)
}

/// From a wish to a route, by what is registered and nothing else.
///
/// An address that a user gives is only ever compared with the registered ones; what is dialled is always the registered address.
package enum Router {
    /// OpenSSH puts 22 where the user named no port; for a registered name it means the node's own, as 0 does.
    package static let openSSHPort: UInt16 = 22

    /// - Parameter sites: whether a name is a remote site's that may be reached from here.
    package static func route(
        to target: RouteTarget, in snapshot: ClusterSnapshot, isSite: (String) -> Bool
    ) throws(TeleportError) -> Route {
        if let site = target.site {
            if site == snapshot.clusterName { return try local(host: target.host, port: target.port, in: snapshot) }
            guard isSite(site) else { throw unknown(site: site) }
            return .site(site, host: target.host, port: target.port)
        }
        if let (host, site) = suffixed(target.host, snapshot: snapshot, isSite: isSite) {
            if site == snapshot.clusterName { return try local(host: host, port: target.port, in: snapshot) }
            return .site(site, host: host, port: target.port)
        }
        return try local(host: target.host, port: target.port, in: snapshot)
    }

    /// The registered node that `host` names, and the address to dial.
    ///
    /// - Throws: `notFound` where nothing is registered under that name and port, `badParameter` where several nodes bear the name.
    package static func local(host: String, port: UInt16, in snapshot: ClusterSnapshot) throws(TeleportError) -> Route {
        let node = try registered(host: host, port: port, in: snapshot)
        return node.addr.isEmpty ? .tunnel(node) : .node(node, address: node.addr)
    }

    private static func registered(host: String, port: UInt16, in snapshot: ClusterSnapshot) throws(TeleportError) -> Node {
        do {
            return try snapshot.node(host: host, port: port)
        } catch  where error.kind == .notFound && port == openSSHPort {
            return try snapshot.node(host: host, port: 0)
        }
    }

    /// A site's name at the end counts unless a node is registered under the whole name.
    private static func suffixed(
        _ host: String, snapshot: ClusterSnapshot, isSite: (String) -> Bool
    ) -> (host: String, site: String)? {
        if snapshot.isNode(host) { return nil }
        return Names.splitSite(host) { $0 == snapshot.clusterName || isSite($0) }
    }

    package static func unknown(site: String) -> TeleportError {
        .notFound("site \(site) is not known to this cluster; `tsh clusters` lists those that are")
    }
}
