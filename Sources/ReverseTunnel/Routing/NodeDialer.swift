package import Base
package import EventLoop
package import SSHNet

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

    /// Dials a node, and waits until it speaks: one that takes connections and says nothing must not keep its user waiting for ever.
    ///
    /// RFC 4253 §4.2: a server sends its version without being asked.
    ///
    /// - Parameter timeout: for the connection and the first word.
    package static func reach(
        _ address: String, what: String, timeout: Duration, on loop: Loop, then: @escaping (Result<PipeSide, TeleportError>) -> Void
    ) {
        let deadline = loop.now + timeout
        dial(address, what: what, timeout: timeout, on: loop) { result in
            switch result {
            case .success(let stream): FirstWord(of: stream, what: what, deadline: deadline, then).listen()
            case .failure(let error): then(.failure(error))
            }
        }
    }
}

/// Listens on a new connection until the node has said something.
private final class FirstWord: StreamHandler {
    private let stream: Stream
    private let what: String
    private let deadline: Instant
    private var then: ((Result<PipeSide, TeleportError>) -> Void)?
    private var timer: LoopTimer?

    init(of stream: Stream, what: String, deadline: Instant, _ then: @escaping (Result<PipeSide, TeleportError>) -> Void) {
        self.stream = stream
        self.what = what
        self.deadline = deadline
        self.then = then
    }

    func listen() {
        timer = stream.loop.schedule(after: deadline - stream.loop.now) { [weak self] in
            self?.fail("takes connections and says nothing on them: is an SSH server there?")
        }
        stream.handler = self
        stream.resumeReading()
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        stream.pauseReading()
        let greeting = Array(copying: bytes.span)
        // What a node registers as its address may be another service of the proxy's network.
        guard zip(greeting, "SSH-".utf8).allSatisfy(==) else { return fail("does not speak SSH") }
        finish(.success(.stream(stream, greeting: greeting)))
    }

    func streamEnded(_ stream: Stream) { fail("ended the connection at once") }
    func streamDrained(_ stream: Stream) {}

    func streamClosed(_ stream: Stream, error: TeleportError?) {
        fail("ended the connection at once\(error.map { ": \($0.message)" } ?? "")")
    }

    private func fail(_ why: String) {
        guard then != nil else { return }
        finish(.failure(.connectionProblem("\(what) \(why)")))
        stream.close()
    }

    private func finish(_ result: Result<PipeSide, TeleportError>) {
        timer?.cancel()
        let then = then
        self.then = nil
        then?(result)
    }
}
