package import Base
package import ClusterModel
package import EventLoop

/// The tunnels of one loop, and the way to those of the others.
///
/// Bound to its loop. A site may hold several tunnels, one for each of its agents; the newest carries new channels, whatever loop it is on.
package final class SiteRegistry {
    private let directory: SiteDirectory
    private let loop: Loop
    /// What the directory has said.
    private var map = SiteMap()
    private var tunnels: [UInt64: TunnelConnection] = [:]
    /// This registry, as the others know it.
    private lazy var home = LoopBound(Weak(self), on: loop)

    /// The tunnel for a new channel.
    package enum Tunnel {
        case here(TunnelConnection)
        case elsewhere(TunnelPlace)
    }

    package init(_ directory: SiteDirectory, on loop: Loop) {
        self.directory = directory
        self.loop = loop
        let home = home
        let present = directory.follow { change in
            home.eventLoop.post { loop in home.value(on: loop)?.object?.map.apply(change) }
        }
        for change in present { map.apply(change) }
    }

    /// Names of the sites that can be reached, in order.
    package var connected: [String] { map.connected }

    package func isConnected(_ cluster: String) -> Bool { map.isConnected(cluster) }

    package var tunnelCount: Int { map.tunnelCount }

    package func tunnel(to cluster: String) throws(TeleportError) -> Tunnel {
        guard let place = map.tunnels(to: cluster).last else {
            throw .connectionProblem("site \(cluster) is not connected: none of its agents holds a tunnel to this proxy")
        }
        guard place.registry === home else { return .elsewhere(place) }
        return .here(try tunnel(at: place))
    }

    /// Of nodes that dial in by themselves: the tunnel of one.
    package func tunnel(to node: Node) throws(TeleportError) -> Tunnel {
        guard isConnected(node.uuid) else {
            throw .connectionProblem("node \(node.hostname) is not connected: it holds no tunnel to this proxy")
        }
        return try tunnel(to: node.uuid)
    }

    /// - Parameter place: of this loop.
    func tunnel(at place: TunnelPlace) throws(TeleportError) -> TunnelConnection {
        guard let tunnel = tunnels[place.number] else { throw .connectionProblem("the tunnel has just ended") }
        return tunnel
    }

    /// Takes in an agent that has proven who it is. An older connection of the same agent ends: it is what the agent left behind.
    func add(_ tunnel: TunnelConnection) throws(TeleportError) {
        let (place, replaced) = try directory.add(tunnel.destination, agent: tunnel.agent, in: home)
        tunnel.number = place.number
        tunnels[place.number] = tunnel
        for old in replaced {
            old.registry.eventLoop.post { loop in
                guard let registry = old.registry.value(on: loop)?.object else { return }
                registry.tunnels[old.number]?.end("a newer connection of the same agent took its place")
            }
        }
    }

    func remove(_ tunnel: TunnelConnection) {
        guard let number = tunnel.number, tunnels.removeValue(forKey: number) != nil else { return }
        directory.remove(number, of: tunnel.destination)
    }

    /// Ends every tunnel of this loop that `mustGo` names: trust was removed, or an authority has changed.
    func end(where mustGo: (TunnelConnection) -> Bool, because reason: String) {
        for tunnel in tunnels.values.filter(mustGo) { tunnel.end(reason) }
    }

    /// Every tunnel of this loop, for what all agents must be told.
    func forEach(_ body: (TunnelConnection) -> Void) {
        for tunnel in tunnels.values { body(tunnel) }
    }
}
