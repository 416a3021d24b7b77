package import Base
internal import EventLoop
package import SSHEngine
package import SSHNet
package import SSHWire

/// Our connection to a node, inside of a channel of the connection to the proxy. Bound to its loop.
package final class NodeClient: ConnectionHandler, ChannelHandler {
    private let identity: ClientIdentity
    private let host: String
    private let site: String
    private let login: String
    private let randomness: any Randomness
    private var connection: SSHConnection?
    private var ready: ((Result<NodeClient, TeleportError>) -> Void)?
    private var refusal: String?
    /// Is told when the connection ends, after it was ready.
    package var ended: ((TeleportError?) -> Void)?
    /// Is offered each channel that the node opens, and says whether it takes it; all others are refused.
    var opened: ((ChannelOpenType, ChannelOpenRequest) -> Bool)?

    init(
        _ identity: ClientIdentity, host: String, site: String, login: String, randomness: any Randomness,
        _ ready: @escaping (Result<NodeClient, TeleportError>) -> Void
    ) {
        self.identity = identity
        self.host = host
        self.site = site
        self.login = login
        self.randomness = randomness
        self.ready = ready
    }

    package var sshConnection: SSHConnection? { connection }

    @discardableResult
    package func openSession(_ handler: any ChannelHandler) -> SSHChannel? {
        connection?.openChannel(type: ChannelOpenType.session.type, handler: handler)
    }

    /// - Returns: whether the connection is still there.
    func openChannel(_ type: ChannelOpenType, handler: any ChannelHandler) -> Bool {
        connection?.openChannel(type: type.type, payload: type.payload(), handler: handler) != nil
    }

    func requestGlobally(_ request: GlobalRequestType, then: @escaping (GlobalReply) -> Void) {
        guard let connection else { return then(.closed) }
        connection.sendGlobalRequest(request.name, payload: request.payload(), then: then)
    }

    package func close() {
        connection?.disconnect(.byApplication, "")
    }

    private func finish(_ result: Result<NodeClient, TeleportError>) {
        let ready = ready
        self.ready = nil
        ready?(result)
    }

    // MARK: ChannelHandler: the way through the proxy

    package func channelOpened(_ channel: SSHChannel) {
        connection = SSHConnection.over(
            transport: ChannelTransport(channel, peer: channel.connection.peer),
            configuration: identity.configuration(user: login, randomness: randomness), handler: self, on: channel.connection.loop)
    }

    package func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        let why = ProxyText.message(Array(message.utf8)) ?? "the proxy gives no reason"
        finish(
            .failure(TeleportError(reason == .connectFailed ? .connectionProblem : .accessDenied, "no way to \(host) of \(site): \(why)")))
    }

    package func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        preconditionFailure("the inner connection takes the channel when it opens")
    }

    package func channelClosed(_ channel: SSHChannel) {}

    // MARK: ConnectionHandler: the session with the node

    package func connection(_ connection: SSHConnection, verify hostKey: HostKeyOffer, answer: @escaping (HostKeyAnswer) -> Void) {
        let verdict = identity.judgeNode(hostKey.identity, name: host, site: site, now: connection.loop.wallTime)
        if case .reject(let reason) = verdict { refusal = reason }
        answer(verdict)
    }

    package func connection(_ connection: SSHConnection, banner: String) {}

    package func connection(_ connection: SSHConnection, opens request: ChannelOpenRequest) {
        do throws(WireError) {
            let type = try ChannelOpenType(type: request.type, payload: request.payload)
            if opened?(type, request) != true { request.refuse(.administrativelyProhibited, "nobody asked for this channel") }
        } catch {
            request.refuse(.administrativelyProhibited, "the open message is malformed")
        }
    }

    package func connectionReady(_ connection: SSHConnection) {
        finish(.success(self))
    }

    package func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {
        self.connection = nil
        opened = nil
        guard ready == nil else {
            if let refusal {
                return finish(.failure(.accessDenied("node \(host) of \(site) could not prove who it is: \(refusal)", cause: error)))
            }
            if error?.kind == .accessDenied {
                return finish(
                    .failure(
                        .accessDenied(
                            "\(identity.user) may not log in as \(login) on \(host) of \(site); logins of the certificate: \(identity.logins.joined(separator: ", "))",
                            cause: error)))
            }
            return finish(
                .failure(
                    .connectionProblem(
                        "the connection to \(host) of \(site) failed: \(error?.message ?? "the node closed it")", cause: error)))
        }
        ended?(error)
    }
}
