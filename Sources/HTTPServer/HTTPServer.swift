package import Base
package import Crypto
package import EventLoop
package import Logging

/// HTTP/1.1 over TLS on a loop, through libwebsockets.
///
/// Lives on its loop's thread and keeps itself until ``close(grace:then:)`` has ended, which has to be before the loop is stopped.
package final class HTTPServer {
    let loop: Loop
    let router: HTTPRouter
    let limits: HTTPServerLimits
    let clock: any Clock
    private let logger: Logger
    private(set) var authorities: ClientAuthorities?
    private(set) var context: ServerContext?
    private var listeners: [DescriptorListener] = []
    private var connections: [UInt: ServerConnection] = [:]
    private var connectionsPerAddress: [IPAddress: Int] = [:]
    private var lastIdentifier: UInt = 0
    private(set) var isClosing = false
    private var whenClosed: (() -> Void)?

    package init(
        _ configuration: HTTPServerConfiguration, router: HTTPRouter, clock: any Clock, on loop: Loop, logger: Logger
    ) throws(TeleportError) {
        self.loop = loop
        self.router = router
        self.clock = clock
        self.logger = logger
        limits = configuration.limits
        switch configuration.clientCertificates {
        case .ignored: authorities = nil
        case .optional(let certificates), .required(let certificates): authorities = ClientAuthorities(certificates: certificates)
        }
        context = try ServerContext(configuration, server: self, on: loop)
    }

    /// Where the server listens, with the ports that the kernel chose.
    package var addresses: [SocketAddress] { listeners.map(\.address) }

    package var connectionCount: Int { connections.count }

    /// Listens at one more address.
    ///
    /// - Returns: the address with the port that the kernel chose where 0 was asked for.
    @discardableResult
    package func listen(on address: SocketAddress) throws(TeleportError) -> SocketAddress {
        precondition(!isClosing, "a closed server")
        let listener = try DescriptorListener(address: address, on: loop) { [unowned self] in accepted($0, from: $1) }
        listeners.append(listener)
        return listener.address
    }

    /// Whom clients are vouched for from the next request on, on open connections too.
    package func setClientAuthorities(_ certificates: [X509Certificate]) {
        guard let authorities else { preconditionFailure("this server does not ask its clients for certificates") }
        self.authorities = ClientAuthorities(certificates: certificates, generation: authorities.generation + 1)
    }

    /// The certificate and key that new connections are shown.
    ///
    /// - Throws: `BadParameter` where they cannot be used; then those of before stay.
    package func setIdentity(_ identity: HTTPServerIdentity) throws(TeleportError) {
        try context?.setIdentity(identity)
    }

    // MARK: End

    /// Stops listening, lets the requests under way have their answers for at most `grace`, and closes.
    ///
    /// - Parameter then: the last call; nothing of the server is left on the loop.
    package func close(grace: Duration = .seconds(5), then: @escaping () -> Void = {}) {
        precondition(!isClosing, "a server closes once")
        isClosing = true
        whenClosed = then
        for listener in listeners { listener.close() }
        listeners = []
        for connection in connections.values where !connection.isBusy { connection.kill() }
        guard connections.values.contains(where: \.isBusy) else { return finish() }
        loop.schedule(after: grace) { self.finish() }
    }

    private func finish() {
        guard let then = whenClosed else { return }
        whenClosed = nil
        context?.close { [self] in
            connections = [:]
            context = nil
            then()
        }
    }

    // MARK: Connections

    func connection(_ identifier: UInt) -> ServerConnection? { connections[identifier] }

    private func accepted(_ descriptor: Int32, from peer: SocketAddress) {
        let socket = FileDescriptor(descriptor)
        guard let ip = peer.ip?.unmapped else { return }
        guard connections.count < limits.connectionsMax, connectionsPerAddress[ip, default: 0] < limits.connectionsPerAddressMax else {
            logger.debug("connection refused by the limits", metadata: ["address": "\(peer)"])
            return
        }
        lastIdentifier += 1
        let connection = ServerConnection(lastIdentifier, from: peer, server: self)
        connections[connection.identifier] = connection
        connectionsPerAddress[ip, default: 0] += 1
        if let wsi = context?.adopt(socket.release(), identifier: connection.identifier) {
            connection.adopted(as: wsi)
        } else {
            closed(connection)
        }
    }

    /// Libwebsockets has let go of a connection.
    func closed(_ connection: ServerConnection) {
        connection.destroyed()
        guard connections.removeValue(forKey: connection.identifier) != nil else { return }
        if let ip = connection.address.ip?.unmapped, let count = connectionsPerAddress[ip] {
            connectionsPerAddress[ip] = count > 1 ? count - 1 : nil
        }
        if isClosing, !connections.values.contains(where: \.isBusy) { finish() }
    }

    func refused(_ connection: ServerConnection, _ refusal: PeerRefusal) {
        logger.info("client certificate refused", metadata: ["address": "\(connection.address)", "reason": "\(refusal.reason)"])
    }

    // MARK: Requests

    func run(_ request: HTTPRequest, _ route: HTTPRouter.Route, then: @escaping (HTTPResponse) -> Void) {
        let handler = route.handler
        loop.perform({ try await handler(request) }) { [logger] result in
            switch result {
            case .success(let response): then(response)
            case .failure(let error as TeleportError):
                logger.debug(
                    "request failed",
                    metadata: ["path": "\(request.path)", "error": "\(error.chain.joined(separator: "; "))"])
                then(.error(error))
            case .failure(let error):
                logger.error("request failed", metadata: ["path": "\(request.path)", "error": "\(error)"])
                then(.error(TeleportError(.systemError, "the request could not be served")))
            }
        }
    }
}
