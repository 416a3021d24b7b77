package import Base

/// The sites whose agents are connected to this proxy, by cluster name.
///
/// Bound to its loop. A site may hold several tunnels, one for each of its agents; the newest carries new channels.
package final class SiteRegistry {
    /// A site runs a handful of agents; more are a fault or an attack.
    package static let tunnelsPerSiteMax = 64

    private var sites: [String: [TunnelConnection]] = [:]
    /// Told whenever the set of connected sites changes.
    package var onChange: (() -> Void)?

    package init() {}

    /// Names of the sites that can be reached, in order.
    package var connected: [String] { sites.keys.sorted() }

    package func isConnected(_ cluster: String) -> Bool { sites[cluster] != nil }

    package var tunnelCount: Int { sites.values.reduce(0) { $0 + $1.count } }

    /// The tunnel for a new channel.
    package func tunnel(to cluster: String) throws(TeleportError) -> TunnelConnection {
        guard let tunnel = sites[cluster]?.last else {
            throw .connectionProblem("site \(cluster) is not connected: none of its agents holds a tunnel to this proxy")
        }
        return tunnel
    }

    /// Takes in an agent that has proven who it is. An older connection of the same agent ends: it is what the agent left behind.
    func add(_ tunnel: TunnelConnection) throws(TeleportError) {
        let cluster = tunnel.cluster
        var tunnels = sites[cluster] ?? []
        let replaced = tunnels.filter { $0.agent == tunnel.agent }
        tunnels.removeAll { $0.agent == tunnel.agent }
        guard tunnels.count < Self.tunnelsPerSiteMax else {
            throw .limitExceeded("site \(cluster) has \(tunnels.count) tunnels already")
        }
        tunnels.append(tunnel)
        sites[cluster] = tunnels
        for old in replaced { old.end("a newer connection of the same agent took its place") }
        onChange?()
    }

    func remove(_ tunnel: TunnelConnection) {
        guard var tunnels = sites[tunnel.cluster], let index = tunnels.firstIndex(where: { $0 === tunnel }) else { return }
        tunnels.remove(at: index)
        sites[tunnel.cluster] = tunnels.isEmpty ? nil : tunnels
        onChange?()
    }

    /// Ends every tunnel that `mayStay` does not vouch for: trust was removed, or an authority has changed.
    func end(where mustGo: (TunnelConnection) -> Bool, because reason: String) {
        for tunnel in sites.values.joined().filter(mustGo) { tunnel.end(reason) }
    }

    /// Every tunnel, for what all agents must be told.
    func forEach(_ body: (TunnelConnection) -> Void) {
        for tunnel in sites.values.joined() { body(tunnel) }
    }
}
