internal import Base
package import ClusterModel
package import EventLoop
package import SSHNet
internal import SSHWire

/// A whole cluster, to its root clusters: its agent dials on behalf of a proxy only what the cluster has registered.
package final class SiteService: TunnelService {
    private let authServer: String
    private let nodes: SiteRegistry
    private let loop: Loop

    /// A node that takes no connection within this, or says nothing on it, is not reachable.
    private static let nodeTimeout: Duration = .seconds(10)

    /// - Parameters:
    ///   - authServer: `HOST:PORT` of this cluster's auth API, for those who ask for it through a tunnel.
    ///   - nodes: of this cluster, which hold tunnels to this proxy.
    package init(authServer: String, nodes: SiteRegistry, on loop: Loop) {
        self.authServer = authServer
        self.nodes = nodes
        self.loop = loop
    }

    package func tunnels(in snapshot: ClusterSnapshot) -> [ReverseTunnelRecord] { snapshot.reverseTunnels }

    package func serve(
        _ destination: TransportDestination, _ request: ChannelOpenRequest, from cluster: String, in snapshot: ClusterSnapshot,
        ended: @escaping () -> Void
    ) {
        do throws(TeleportError) {
            switch destination.host {
            case TransportDestination.nodeList:
                let roles = try snapshot.localRoles(destination.roles, of: destination.user, from: cluster)
                let identity = AccessIdentity(cluster: cluster, name: destination.user, roles: roles, logins: [])
                NodeListChannel.serve(try NodeList(snapshot, visibleTo: identity).json(), request)
                ended()
            case TransportDestination.authService:
                let what = "the auth server of \(snapshot.clusterName)"
                NodeDialer.dial(authServer, what: what, timeout: Self.nodeTimeout, on: loop) {
                    Self.pass($0.map { .stream($0) }, request, ended)
                }
            default:
                let target = try RouteTarget(host: destination.host, port: destination.port)
                switch try Router.route(to: target, in: snapshot, isSite: { _ in false }) {
                case .node(let node, let address):
                    let what = "node \(node.hostname) at \(address)"
                    NodeDialer.reach(address, what: what, timeout: Self.nodeTimeout, on: loop) { Self.pass($0, request, ended) }
                case .tunnel(let node):
                    try passOn(to: node, for: destination, request, ended)
                case .site:
                    throw .notFound("no such node in \(snapshot.clusterName)")
                }
            }
        } catch {
            request.refuse(error.kind == .connectionProblem ? .connectFailed : .administrativelyProhibited, error.message)
            ended()
        }
    }

    private static func pass(_ result: Result<PipeSide, TeleportError>, _ request: ChannelOpenRequest, _ ended: @escaping () -> Void) {
        switch result {
        case .success(let side): ChannelPipe.accept(request, side, closed: ended)
        case .failure(let error):
            request.refuse(.connectFailed, error.message)
            ended()
        }
    }

    /// From the root's tunnel into that of a node.
    private func passOn(
        to node: Node, for asked: TransportDestination, _ request: ChannelOpenRequest, _ ended: @escaping () -> Void
    ) throws(TeleportError) {
        let destination = TransportDestination(to: node, for: asked.user, from: asked.client)
        switch try nodes.tunnel(to: node) {
        case .here(let tunnel):
            try tunnel.transport(to: destination, timeout: Self.nodeTimeout, handler: PassedOn(request, ended))
        case .elsewhere(let place):
            place.transport(to: destination, timeout: Self.nodeTimeout, on: loop) { Self.pass($0.map { .elsewhere($0) }, request, ended) }
        }
    }
}

/// A channel of a node's tunnel, until it is open.
private final class PassedOn: ChannelHandler {
    private let request: ChannelOpenRequest
    private let ended: () -> Void

    init(_ request: ChannelOpenRequest, _ ended: @escaping () -> Void) {
        self.request = request
        self.ended = ended
    }

    func channelOpened(_ channel: SSHChannel) {
        ChannelPipe.accept(request, .channel(channel), closed: ended)
    }

    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        request.refuse(reason, message)
        ended()
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {}
    func channelClosed(_ channel: SSHChannel) {}
}
