internal import Base
internal import ClusterModel
internal import EventLoop
internal import Logging
internal import ReverseTunnel
internal import SSHEngine
internal import SSHNet
internal import SSHWire

/// A session channel on the proxy: it carries one of the proxy's own subsystems, and nothing else runs here.
final class ProxySession: ChannelHandler {
    private let user: ProxyConnection
    private var isTaken = false
    private var subsystem: ProxySubsystem?
    /// Sent by the client before its route was there; its window bounds it.
    private var early: [UInt8] = []

    init(_ user: ProxyConnection) {
        self.user = user
    }

    // MARK: Moving to another loop

    /// What the client has asked for, and sent ahead.
    struct Asked: Sendable {
        fileprivate let subsystem: ProxySubsystem
        fileprivate let early: [UInt8]
    }

    var asked: Asked? { subsystem.map { Asked(subsystem: $0, early: early) } }

    /// With a channel whose subsystem was accepted on another loop.
    static func goOn(_ user: ProxyConnection, _ asked: Asked, _ channel: SSHChannel) {
        let session = ProxySession(user)
        session.isTaken = true
        session.early = asked.early
        channel.handler = session
        session.begin(asked.subsystem, channel)
    }

    // MARK: Requests

    func channel(_ channel: SSHChannel, request: ChannelRequest) {
        guard !isTaken, case .subsystem(let name)? = try? SessionRequest(type: request.type, payload: request.payload) else {
            return request.reply(false)
        }
        isTaken = true
        // OpenSSH shows nothing of a refused subsystem but its name: accept it, and where it fails say why on stderr.
        request.reply(true)
        do throws(TeleportError) {
            begin(try ProxySubsystem(parsing: name), channel)
        } catch {
            fail(channel, error)
        }
    }

    private func begin(_ subsystem: ProxySubsystem, _ channel: SSHChannel) {
        self.subsystem = subsystem
        do throws(TeleportError) {
            try serve(subsystem, channel)
        } catch {
            fail(channel, error)
        }
    }

    private func serve(_ subsystem: ProxySubsystem, _ channel: SSHChannel) throws(TeleportError) {
        let server = user.server
        switch subsystem {
        case .dial(let target):
            ProxyRoute(user, for: .session(self, channel)).open(target) { [self] in joined($0, channel) }
        case .sites:
            answer(channel, try SiteList(server.snapshot, isConnected: server.registry.isConnected).json())
        case .nodes(let site):
            let name = site ?? server.snapshot.clusterName
            guard let listed = name == server.snapshot.clusterName ? server.snapshot : server.snapshot.opensshSites[name] else {
                return ProxyRoute(user, for: .session(self, channel)).openService(TransportDestination.nodeList, of: name) { [self] in
                    joined($0, channel)
                }
            }
            guard let identity = user.identity else { throw .accessDenied("nobody is logged in") }
            answer(channel, try NodeList(listed, visibleTo: identity).json())
        case .authService(let site):
            guard site != server.snapshot.clusterName else {
                return NodeDialer.dial(
                    server.authServer, what: "the auth server of \(site)", timeout: ProxyServer.routeTimeout, on: server.loop
                ) {
                    [self] in joined($0.map { .stream($0) }, channel)
                }
            }
            ProxyRoute(user, for: .session(self, channel)).openService(TransportDestination.authService, of: site) { [self] in
                joined($0, channel)
            }
        }
    }

    private func joined(_ result: Result<PipeSide, TeleportError>, _ channel: SSHChannel) {
        switch result {
        case .success(let side): ChannelPipe.join(channel, side, early: early, counting: user.server.relayed)
        case .failure(let error): fail(channel, error)
        }
        early = []
    }

    private func answer(_ channel: SSHChannel, _ bytes: [UInt8]) {
        channel.write(bytes)
        exit(channel, status: 0)
    }

    private func fail(_ channel: SSHChannel, _ error: TeleportError) {
        channel.writeExtended(Array("ERROR: \(error.message)\r\n".utf8).span)
        exit(channel, status: 1)
    }

    private func exit(_ channel: SSHChannel, status: UInt32) {
        channel.sendEOF()
        let end = SessionRequest.exitStatus(status)
        channel.request(end.type, payload: end.payload())
        channel.close()
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        early += Array(copying: data)
    }

    func channelClosed(_ channel: SSHChannel) {}
}
