package import Base
package import EventLoop
package import SSHWire

/// Asks an agent over a unix socket: the user's own, or one that was forwarded.
///
/// Answers come in the order of the requests, as the protocol has it.
package final class AgentClient {
    private let stream: PipeStream
    private let reader = AgentReader()
    private var waiting: [(Result<AgentResponse, TeleportError>) -> Void] = []

    /// - Parameter path: what `SSH_AUTH_SOCK` says.
    package static func connect(
        path: String, on loop: Loop, then: @escaping (Result<AgentClient, TeleportError>) -> Void
    ) {
        PipeStream.connect(path: path, timeout: .seconds(5), on: loop) { result in then(result.map { AgentClient($0) }) }
    }

    private init(_ stream: PipeStream) {
        self.stream = stream
        reader.client = self
        stream.handler = reader
        stream.resumeReading()
    }

    deinit {
        stream.close()
    }

    package func send(_ request: AgentRequest, then: @escaping (Result<AgentResponse, TeleportError>) -> Void) {
        if stream.isClosing {
            stream.loop.atEndOfTurn { then(.failure(.connectionProblem("the agent has gone"))) }
            return
        }
        waiting.append(then)
        stream.write(request.framed())
    }

    fileprivate func answered(_ message: [UInt8]) {
        guard !waiting.isEmpty else { return close() }
        do throws(WireError) {
            let response = try AgentResponse(message: message)
            waiting.removeFirst()(.success(response))
        } catch {
            close()
        }
    }

    fileprivate func close() {
        stream.close()
    }

    fileprivate func closed() {
        let waiting = waiting
        self.waiting = []
        for then in waiting { then(.failure(.connectionProblem("the agent has gone"))) }
    }
}

/// Cuts the stream into messages.
private final class AgentReader: StreamHandler {
    weak var client: AgentClient?
    private var frames = AgentFrames()

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        frames.append(bytes.span)
        do throws(WireError) {
            while let message = try frames.next() { client?.answered(message) }
        } catch {
            stream.close()
        }
    }

    func streamEnded(_ stream: Stream) { stream.close() }
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) { client?.closed() }
}
