package import Base
package import EventLoop

/// Makes client connections over TCP.
package enum SSHDialer {
    /// How long one address may take to answer.
    package static let connectTimeout: Duration = .seconds(10)

    /// Connects to the first of the addresses that answers, and begins SSH on it.
    ///
    /// - Parameter then: comes when TCP is up, before SSH is: the handler hears how it goes on. Not called after a cancel.
    @discardableResult
    package static func dial(
        _ addresses: [SocketAddress], configuration: ConnectionConfiguration, handler: any ConnectionHandler,
        timeout: Duration = connectTimeout,
        on loop: Loop, then: @escaping (Result<SSHConnection, TeleportError>) -> Void
    ) -> StreamConnect {
        TCPStream.connect(to: addresses, timeout: timeout, on: loop) { result in
            then(result.map { .client(stream: $0, configuration: configuration, handler: handler, on: loop) })
        }
    }

    /// Resolves the name first.
    package static func dial(
        _ target: HostPort, configuration: ConnectionConfiguration, handler: any ConnectionHandler, timeout: Duration = connectTimeout,
        on loop: Loop, then: @escaping (Result<SSHConnection, TeleportError>) -> Void
    ) {
        loop.resolve(host: target.host, port: target.port) { result in
            switch result {
            case .success(let addresses):
                dial(addresses, configuration: configuration, handler: handler, timeout: timeout, on: loop, then: then)
            case .failure(let error):
                then(.failure(error as? TeleportError ?? .connectionProblem("\(target) has no address", cause: error)))
            }
        }
    }
}
