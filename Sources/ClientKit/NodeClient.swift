package import Base
internal import EventLoop
package import SSHEngine
package import SSHNet
internal import SSHWire

/// Our connection to a node, inside of a channel of the connection to the proxy, be that ours or kept by another process. Bound to its loop.
package final class NodeClient: ConnectionHandler {
    private let identity: ClientIdentity
    private let host: String
    private let site: String
    private let login: String
    /// The connection begins before the proxy has the way to the node: longer than a proxy looks for one, which then says what is wrong.
    private static let routeTimeMax: Duration = .seconds(15)

    /// nil: another process keeps the connection to the proxy.
    private let way: ProxyClient?
    private let pace: Pace
    private var connection: SSHConnection?
    var ready: ((Result<NodeClient, TeleportError>) -> Void)?
    private var refusal: String?
    private var isLoggedIn = false
    /// Whether anything was heard of it.
    private(set) var hasSpoken = false
    /// Whether a client that waits for each answer may come further.
    private(set) var wasRefusedAhead = false
    /// Is told when the connection ends, after it was ready, and why.
    package var ended: ((TeleportError) -> Void)?
    /// Is offered each channel that the node opens, and says whether it takes it; all others are refused.
    var opened: ((ChannelOpenType, ChannelOpenRequest) -> Bool)?

    init(_ identity: ClientIdentity, host: String, site: String, login: String, way: ProxyClient?, pace: Pace) {
        self.identity = identity
        self.host = host
        self.site = site
        self.login = login
        self.way = way
        self.pace = pace
    }

    func begin(over transport: ChannelTransport, randomness: any Randomness, on loop: Loop) {
        connection = SSHConnection.over(transport: transport, configuration: configuration(randomness), handler: self, on: loop)
    }

    func begin(over stream: PipeStream, randomness: any Randomness, on loop: Loop) {
        connection = SSHConnection.client(stream: stream, configuration: configuration(randomness), handler: self, on: loop)
    }

    private func configuration(_ randomness: any Randomness) -> ConnectionConfiguration {
        var configuration = identity.configuration(user: login, pace: pace, randomness: randomness)
        configuration.engine.limits.authenticationTimeMax += Self.routeTimeMax
        return configuration
    }

    package var sshConnection: SSHConnection? { connection }

    @discardableResult
    package func openSession(_ handler: any ChannelHandler) -> SSHChannel? {
        connection?.openSession(handler: handler)
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

    /// Gives it up where nothing was heard of it.
    func closeIfSilent() {
        if let connection, connection.peerIdentification.isEmpty { connection.disconnect(.byApplication, "") }
    }

    private func finish(_ result: Result<NodeClient, TeleportError>) {
        let ready = ready
        self.ready = nil
        ready?(result)
    }

    // MARK: ConnectionHandler

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

    package func connectionLoginSent(_ connection: SSHConnection) {
        if case .ahead = pace { finish(.success(self)) }
    }

    package func connectionReady(_ connection: SSHConnection) {
        isLoggedIn = true
        finish(.success(self))
    }

    package func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {
        self.connection = nil
        opened = nil
        wasRefusedAhead = connection.wasRefusedAhead
        guard !isLoggedIn else {
            ended?(.connectionProblem("the connection to the node was lost\(error.map { ": \($0.message)" } ?? "")", cause: error))
            return
        }
        hasSpoken = !connection.peerIdentification.isEmpty
        let failure = loginFailure(error)
        if ready == nil { ended?(failure) } else { finish(.failure(failure)) }
    }

    private func loginFailure(_ error: TeleportError?) -> TeleportError {
        if let failure = way?.failure { return failure }
        let place = "\(host) of \(site)"
        guard hasSpoken else {
            let why = error.flatMap { ProxyText.message(Array($0.message.utf8)) } ?? "the proxy gives no reason"
            return .connectionProblem("no way to \(place): \(why)", cause: error)
        }
        if let refusal { return .accessDenied("node \(place) could not prove who it is: \(refusal)", cause: error) }
        guard error?.kind == .accessDenied else {
            return .connectionProblem("the connection to \(place) failed: \(error?.message ?? "the node closed it")", cause: error)
        }
        return .accessDenied(
            "\(identity.user) may not log in as \(login) on \(place); logins of the certificate: \(identity.logins.joined(separator: ", "))",
            cause: error)
    }
}
