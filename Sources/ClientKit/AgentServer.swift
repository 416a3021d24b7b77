package import Base
package import EventLoop
internal import SSHWire

/// An ssh-agent on a unix socket, which serves the logins of `~/.tsh` as they are when it is asked. Bound to its loop.
package final class AgentServer {
    private let store: KeyStore
    private let loop: Loop
    private var keyring = AgentKeyring()
    private var listener: UnixListener?
    private var connections: [ObjectIdentifier: AgentConnection] = [:]

    /// Programs that ask at the same time; one more is hung up on.
    private static let connectionsMax = 64

    package init(path: String, store: KeyStore, on loop: Loop) throws(TeleportError) {
        self.store = store
        self.loop = loop
        listener = try UnixListener(path: path, on: loop) { [weak self] stream in
            if let self { accept(stream) } else { stream.close() }
        }
    }

    /// Serves nobody any more, and removes the socket.
    package func close() {
        listener?.close()
        listener = nil
        for connection in connections.values { connection.close() }
    }

    private func accept(_ stream: PipeStream) {
        guard connections.count < Self.connectionsMax else { return stream.close() }
        let connection = AgentConnection(stream, self)
        connections[ObjectIdentifier(connection)] = connection
        connection.start()
    }

    fileprivate func closed(_ connection: AgentConnection) {
        connections[ObjectIdentifier(connection)] = nil
    }

    fileprivate func answer(_ request: AgentRequest, then: @escaping (AgentResponse) -> Void) {
        let store = store
        loop.work {
            // What cannot be read is no login.
            try store.profiles().compactMap { try? store.identity(of: $0) }
        } then: { [self] result in
            let now = loop.wallTime
            let logins = ((try? result.get()) ?? []).filter { $0.expires > now }.map { $0.agentIdentity() }
            then(keyring.answer(request, logins: logins, now: now))
        }
    }
}

/// A program that asks: one request after the other.
private final class AgentConnection: StreamHandler {
    private let stream: PipeStream
    private weak var server: AgentServer?
    private var frames = AgentFrames()
    private var isAnswering = false

    init(_ stream: PipeStream, _ server: AgentServer) {
        self.stream = stream
        self.server = server
    }

    func start() {
        stream.handler = self
        stream.resumeReading()
    }

    func close() { stream.close() }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        frames.append(bytes.span)
        answerNext()
    }

    private func answerNext() {
        guard !isAnswering, let server else { return }
        do throws(WireError) {
            guard let message = try frames.next() else { return stream.resumeReading() }
            isAnswering = true
            stream.pauseReading()
            let request = (try? AgentRequest(message: message)) ?? .other(0)
            server.answer(request) { [self] response in
                isAnswering = false
                stream.write(response.framed())
                answerNext()
            }
        } catch {
            stream.close()
        }
    }

    func streamEnded(_ stream: Stream) { stream.close() }
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) { server?.closed(self) }
}
