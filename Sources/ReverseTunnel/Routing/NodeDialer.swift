package import Base
package import EventLoop

/// A TCP connection to a registered address.
package enum NodeDialer {
    /// - Parameters:
    ///   - address: `HOST:PORT`, from the registry.
    ///   - what: names it in the error that the user reads.
    package static func dial(
        _ address: String, what: String, timeout: Duration, on loop: Loop, then: @escaping (Result<Stream, TeleportError>) -> Void
    ) {
        guard let place = HostPort(address) else {
            return then(.failure(.badParameter("\(what) is registered with an address that is none: \(address)")))
        }
        loop.resolve(host: place.host, port: place.port) { result in
            switch result {
            case .failure(let error):
                then(.failure(.connectionProblem("\(what) has a host name that does not resolve", cause: error)))
            case .success(let addresses):
                _ = TCPStream.connect(to: addresses, timeout: timeout, on: loop) { result in
                    switch result {
                    case .success(let stream): then(.success(stream))
                    case .failure(let error):
                        then(.failure(.connectionProblem("\(what) cannot be reached: \(error.message)", cause: error)))
                    }
                }
            }
        }
    }
}
