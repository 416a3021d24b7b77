internal import Base
internal import ClusterModel
internal import EventLoop
internal import Logging
package import SSHEngine
internal import SSHNet
internal import SSHWire

/// Who an agent is, to the proxy that it dials.
package struct AgentCredential: Sendable {
    /// `UUID.CLUSTER`, the key id of its host certificate.
    package let user: String
    package let credential: UserCredential

    package init(user: String, credential: UserCredential) {
        self.user = user
        self.credential = credential
    }
}

/// One tunnel, from the agent's side: dials a proxy, proves who it is, and serves the channels that the proxy opens.
final class TunnelAgent: ConnectionHandler {
    private let endpoint: TunnelEndpoint
    private let pool: AgentPool
    private let logger: Logger
    private var connection: SSHConnection?
    private var isEnded = false
    /// To which it leads, by the key id of the proxy's certificate, once that has been believed.
    var proxy: String?
    /// Whether another tunnel leads there already.
    var isDouble = false

    init(_ endpoint: TunnelEndpoint, pool: AgentPool, logger: Logger) {
        self.endpoint = endpoint
        self.pool = pool
        self.logger = logger
    }

    func dial() {
        guard let address = HostPort(endpoint.address) else {
            return finish(.badParameter("\(endpoint.address) is no tunnel address: HOST:PORT"))
        }
        SSHDialer.dial(address, configuration: pool.connectionConfiguration(), handler: self, on: pool.loop) { [self] result in
            switch result {
            case .success(let connection):
                if isEnded { connection.close() } else { self.connection = connection }
            case .failure(let error): finish(error)
            }
        }
    }

    /// Ends the tunnel and says nothing more to the pool.
    func stop(_ reason: String) {
        isEnded = true
        connection?.disconnect(.byApplication, reason)
    }

    /// Opens a channel towards the proxy and joins it to `stream`, which is closed where there is no channel.
    func openChannel(to service: String, joining stream: Stream) {
        let destination = TransportDestination(host: service, port: 0, user: "", roles: [], client: "")
        guard let connection, let json = try? destination.json() else { return stream.close() }
        let open = ChannelOpenType.transport(destination: json)
        connection.openChannel(type: open.type, payload: open.payload(), handler: ChannelToProxy(stream, logger))
    }

    private func finish(_ error: TeleportError?) {
        connection = nil
        guard !isEnded else { return }
        isEnded = true
        pool.ended(endpoint, self, error: error)
    }

    // MARK: ConnectionHandler

    func connection(_ connection: SSHConnection, verify hostKey: HostKeyOffer, answer: @escaping (HostKeyAnswer) -> Void) {
        answer(pool.judge(hostKey, of: endpoint, for: self))
    }

    func connectionReady(_ connection: SSHConnection) {
        self.connection = connection
        guard !isEnded else { return connection.close() }
        pool.connected(endpoint, self)
    }

    func connection(_ connection: SSHConnection, opens request: ChannelOpenRequest) {
        do {
            guard case .transport(let json) = try ChannelOpenType(type: request.type, payload: request.payload) else {
                return request.refuse(.unknownChannelType, "this agent takes no such channel")
            }
            pool.serve(try TransportDestination(json: json), request, from: endpoint.cluster)
        } catch {
            request.refuse(.administrativelyProhibited, (error as? TeleportError)?.message ?? "the open message is malformed")
        }
    }

    func connection(_ connection: SSHConnection, globalRequest request: GlobalRequest) {
        guard request.name == ProxyAnnouncement.requestName else { return request.reply(success: false) }
        do throws(TeleportError) {
            pool.discovered(try ProxyAnnouncement(json: request.payload), by: endpoint)
            request.reply(success: true)
        } catch {
            logger.warning("a proxy's announcement was not understood", metadata: ["error": "\(error.message)"])
            request.reply(success: false)
        }
    }

    func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {
        finish(error)
    }
}

/// A channel of an agent's own until it is open: then it is joined to its stream.
private final class ChannelToProxy: ChannelHandler {
    private let stream: Stream
    private let logger: Logger

    init(_ stream: Stream, _ logger: Logger) {
        self.stream = stream
        self.logger = logger
    }

    func channelOpened(_ channel: SSHChannel) {
        ChannelPipe.join(channel, .stream(stream))
    }

    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        logger.warning("the proxy opened no way to the auth server", metadata: ["reason": "\(message)"])
        stream.close()
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {}
    func channelClosed(_ channel: SSHChannel) {}
}
