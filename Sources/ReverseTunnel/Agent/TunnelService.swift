package import ClusterModel
package import SSHNet

/// What an agent dials for, and what it gives to the proxies that it has dialled. Bound to the agent's loop.
package protocol TunnelService: AnyObject {
    /// The clusters to be connected to, each with the tunnel servers that are known beforehand.
    func tunnels(in snapshot: ClusterSnapshot) -> [ReverseTunnelRecord]

    /// Accepts or refuses a channel that a proxy of `cluster` opens.
    ///
    /// - Parameter ended: to be called once, when nothing of what was asked for is left.
    func serve(
        _ destination: TransportDestination, _ request: ChannelOpenRequest, from cluster: String, in snapshot: ClusterSnapshot,
        ended: @escaping () -> Void)
}
