internal import Base
internal import ClusterModel
internal import EventLoop
internal import Logging
internal import ReverseTunnel
internal import SSHNet
internal import SSHWire

/// The making of one route: from what a user asks to a connection that leads there, to a node of this cluster or through a tunnel. What goes wrong is this user's alone.
final class ProxyRoute: ChannelHandler {
    /// Who waits for the route, and goes along where its user moves to another loop.
    enum Asker {
        case request(ChannelOpenRequest)
        case session(ProxySession, SSHChannel)
    }

    private let user: ProxyConnection
    private let asker: Asker
    private let server: ProxyServer
    private var then: ((Result<PipeSide, TeleportError>) -> Void)?

    init(_ user: ProxyConnection, for asker: Asker) {
        self.user = user
        self.asker = asker
        server = user.server
    }

    func open(_ target: RouteTarget, then: @escaping (Result<PipeSide, TeleportError>) -> Void) {
        self.then = then
        do throws(TeleportError) {
            let snapshot = server.snapshot
            switch try Router.route(to: target, in: snapshot, isSite: snapshot.isSite) {
            case .node(let node, let address):
                let what = "node \(node.hostname) at \(address)"
                log("a route to a node", [("node", node.hostname), ("address", address)])
                NodeDialer.reach(address, what: what, timeout: ProxyServer.routeTimeout, on: server.loop) { [self] in finish($0) }
            case .tunnel(let node):
                log("a route to a node that dials", [("node", node.hostname), ("uuid", node.uuid)])
                try openTransport(
                    through: try server.nodes.tunnel(to: node),
                    to: TransportDestination(to: node, for: user.identity?.name ?? "", from: user.peer.description))
            case .site(let site, let host, let port):
                log("a route to a site", [("site", site), ("host", host)])
                try openTransport(site, host: host, port: port)
            }
        } catch {
            finish(.failure(error))
        }
    }

    /// To something that the site's agent itself offers: its auth API, its list of nodes.
    func openService(_ service: String, of site: String, then: @escaping (Result<PipeSide, TeleportError>) -> Void) {
        self.then = then
        do throws(TeleportError) {
            guard server.snapshot.leafClusters.contains(site) else {
                guard server.snapshot.opensshSites[site] != nil else { throw Router.unknown(site: site) }
                throw .badParameter("site \(site) is listed here and has no auth server of its own")
            }
            try openTransport(site, host: service, port: 0)
        } catch {
            finish(.failure(error))
        }
    }

    private func openTransport(_ site: String, host: String, port: UInt16) throws(TeleportError) {
        let destination = TransportDestination(
            host: host, port: port, user: user.identity?.name ?? "", roles: user.identity?.roles ?? [], client: user.peer.description)
        try openTransport(through: try server.registry.tunnel(to: site), to: destination)
    }

    private func openTransport(through tunnel: SiteRegistry.Tunnel, to destination: TransportDestination) throws(TeleportError) {
        switch tunnel {
        case .here(let tunnel): try tunnel.transport(to: destination, timeout: ProxyServer.routeTimeout, handler: self)
        case .elsewhere(let place):
            // What the peer has sent ahead is taken in before.
            server.loop.atEndOfTurn { [self] in
                if user.move(to: place.eventLoop, for: asker) { then = nil } else { cross(to: place, destination) }
            }
        }
    }

    private func cross(to place: TunnelPlace, _ destination: TransportDestination) {
        place.transport(to: destination, timeout: ProxyServer.routeTimeout, on: server.loop) { [self] result in
            finish(result.map { .elsewhere($0) })
        }
    }

    private func finish(_ result: Result<PipeSide, TeleportError>) {
        guard let then else { return }
        self.then = nil
        switch result {
        case .success: server.finishedRoute(nil)
        case .failure(let error):
            server.finishedRoute(error)
            log("no route", [("error", error.message)])
        }
        then(result)
    }

    private func log(_ message: Logger.Message, _ fields: [(String, String)]) {
        var metadata: Logger.Metadata = ["user": "\(user.identity?.name ?? "")", "peer": "\(user.peer)"]
        for (name, value) in fields { metadata[name] = "\(value)" }
        server.logger.info(message, metadata: metadata)
    }

    // MARK: ChannelHandler: the tunnel's channel, until it is joined

    func channelOpened(_ channel: SSHChannel) {
        guard then != nil else { return channel.close() }
        finish(.success(.channel(channel)))
    }

    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        finish(.failure(.refused(reason, message)))
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        channel.consumed(data.count)
    }

    func channelClosed(_ channel: SSHChannel) {}
}
