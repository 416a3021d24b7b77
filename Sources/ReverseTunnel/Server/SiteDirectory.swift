package import Base
package import EventLoop

/// The sites whose agents are connected to this proxy, on whatever loop.
///
/// The registries of all loops write here when an agent comes or goes; each change is told to every one of them, which keeps a ``SiteMap`` of its own
/// and reads it without a lock. What a change costs does not depend on how many sites there are.
package final class SiteDirectory: Sendable {
    /// A site runs a handful of agents; more are a fault or an attack.
    package static let tunnelsPerSiteMax = 64

    private let state = Lock(State())

    private struct State: ~Copyable {
        var map = SiteMap()
        var lastNumber: UInt64 = 0
        var followers: [@Sendable (SiteChange) -> Void] = []
    }

    package init() {}

    package func isConnected(_ cluster: String) -> Bool { state.withLock { $0.map.isConnected(cluster) } }

    /// - Parameter body: is told every change from now on, on the loop that made it and in the order in which that loop made them.
    /// - Returns: what makes a map of what is there already; to be applied before any change that `body` is told.
    package func follow(_ body: @escaping @Sendable (SiteChange) -> Void) -> [SiteChange] {
        state.withLock { state in
            state.followers.append(body)
            return state.map.changes
        }
    }

    /// - Parameter known: how many sites there are, connected or not.
    package func add(to metrics: inout Metrics, known: Int) {
        let (sites, tunnels) = state.withLock { ($0.map.siteCount, $0.map.tunnelCount) }
        metrics.add(.sitesKnown, known)
        metrics.add(.sitesConnected, sites)
        metrics.add(.tunnels, tunnels)
    }

    // MARK: For the registries

    /// - Returns: the new tunnel's place, and those that it takes the place of.
    package func add(
        _ cluster: String, agent: String, in registry: LoopBound<Weak<SiteRegistry>>
    ) throws(TeleportError) -> (place: TunnelPlace, replaced: [TunnelPlace]) {
        let (place, replaced, followers) = try state.withLock { (state) throws(TeleportError) in
            let present = state.map.tunnels(to: cluster)
            let replaced = present.filter { $0.agent == agent }
            guard present.count - replaced.count < Self.tunnelsPerSiteMax else {
                throw .limitExceeded("site \(cluster) has \(present.count) tunnels already")
            }
            state.lastNumber += 1
            let place = TunnelPlace(number: state.lastNumber, agent: agent, registry: registry)
            state.map.apply(SiteChange(cluster: cluster, event: .came(place)))
            return (place, replaced, state.followers)
        }
        for follower in followers { follower(SiteChange(cluster: cluster, event: .came(place))) }
        return (place, replaced)
    }

    package func remove(_ number: UInt64, of cluster: String) {
        let change = SiteChange(cluster: cluster, event: .left(number))
        let followers = state.withLock { state in
            state.map.apply(change)
            return state.followers
        }
        for follower in followers { follower(change) }
    }
}

extension Metric {
    fileprivate static let sitesKnown = Metric(.gauge, "teleport_proxy_sites_known", "Sites that this cluster trusts or lists.")
    fileprivate static let sitesConnected = Metric(.gauge, "teleport_proxy_sites_connected", "Sites with a tunnel to this proxy.")
    fileprivate static let tunnels = Metric(.gauge, "teleport_proxy_tunnels", "Tunnels of all sites to this proxy.")
}
