package import Base
package import ClusterModel
package import SSHNet
internal import SSHWire

/// A single node behind a firewall, to the proxies of its own cluster: what its tunnels lead to is this node and nothing else, and no port is
/// dialled for it.
package final class NodeTunnelService: TunnelService {
    /// Begins SSH in the server's role on a channel that is not accepted yet, for a client who comes from the address.
    ///
    /// The last argument is to be called once, when the client has gone.
    package typealias Accept = (ChannelOpenRequest, SocketAddress, @escaping () -> Void) -> Void

    private let uuid: String
    private let entries: [HostPort]
    private let accept: Accept

    /// - Parameter entries: addresses of the tunnel server by which the node finds its cluster; that tells of the others.
    package init(uuid: String, entries: [HostPort], accept: @escaping Accept) {
        self.uuid = uuid
        self.entries = entries
        self.accept = accept
    }

    package func tunnels(in snapshot: ClusterSnapshot) -> [ReverseTunnelRecord] {
        [ReverseTunnelRecord(cluster: snapshot.clusterName, dialAddrs: entries.map(\.description))]
    }

    package func serve(
        _ destination: TransportDestination, _ request: ChannelOpenRequest, from cluster: String, in snapshot: ClusterSnapshot,
        ended: @escaping () -> Void
    ) {
        guard destination.host == uuid else {
            request.refuse(.administrativelyProhibited, "this tunnel leads to node \(uuid) and nowhere else")
            return ended()
        }
        guard let client = SocketAddress(destination.client), client.ip != nil else {
            request.refuse(.administrativelyProhibited, "the proxy does not say where the client comes from")
            return ended()
        }
        accept(request, client, ended)
    }
}
