internal import Base
internal import EventLoop

/// Unix sockets with the rights of a connection's login user, by way of a ``SocketChild``.
///
/// The child is started when it is first asked for something, and ends with ``close()``, taking along the paths that it made.
final class UserSockets {
    /// Questions that wait for one child: more would not fit into the socket to it, and a client that has as many open is no client.
    private static let waitingMax = 64
    private typealias Answer = (Result<(path: String, descriptor: Int32?), TeleportError>) -> Void

    private let account: UserAccount
    private let executable: String
    private let loop: Loop
    private var socket: DescriptorSocket?
    private var waiting: [Answer] = []
    private var isClosed = false

    /// - Parameter executable: this program's own, which lives as a ``SocketChild`` first.
    init(account: UserAccount, executable: String, on loop: Loop) {
        self.account = account
        self.executable = executable
        self.loop = loop
    }

    func connect(path: String, then: @escaping (Result<PipeStream, TeleportError>) -> Void) {
        ask(.connect(path: path)) { [loop] result in
            then(
                result.flatMap { reply in
                    Result { () throws(TeleportError) in
                        try PipeStream(try reply.descriptor.taken(), kind: .socket, on: loop)
                    }
                })
        }
    }

    /// - Parameter then: is given the path that is listened on and the listener; nil for `path` lets the child choose, as for an agent.
    func listen(
        path: String?, accept: @escaping (PipeStream) -> Void,
        then: @escaping (Result<(path: String, listener: UnixListener), TeleportError>) -> Void
    ) {
        ask(path.map { .listen(path: $0) } ?? .listenForAgent) { [loop] result in
            then(
                result.flatMap { reply in
                    Result { () throws(TeleportError) in
                        (reply.path, try UnixListener(try reply.descriptor.taken(), on: loop, accept: accept))
                    }
                })
        }
    }

    /// Takes away the path of a listener.
    func remove(path: String) {
        ask(.remove(path: path)) { _ in }
    }

    func close() {
        isClosed = true
        socket?.close()
        ended()
    }

    // MARK: The child

    private func ask(_ request: SocketChildRequest, then: @escaping Answer) {
        do throws(TeleportError) {
            guard !isClosed else { throw .connectionProblem("the connection has ended") }
            guard waiting.count < Self.waitingMax else { throw .limitExceeded("too many sockets are asked for at once") }
            if socket == nil { socket = try start() }
            try socket?.send(request.encoded())
            waiting.append(then)
        } catch {
            loop.atEndOfTurn { then(.failure(error)) }
        }
    }

    private func start() throws(TeleportError) -> DescriptorSocket {
        let loop = loop
        let executable = executable
        let socket = try DescriptorSocket(
            on: loop,
            peer: { descriptor throws(TeleportError) in
                let command = ChildProcess.Command(
                    executable: executable, arguments: ["teleport", SocketChild.argument],
                    descriptors: [0: .null, 1: .null, 2: .inherit, SocketChild.descriptor: .share(descriptor)], group: .session)
                _ = try ChildProcess(command, on: loop) { _ in }
            },
            received: { [weak self] message in self?.received(message) },
            ended: { [weak self] in self?.ended() })
        try socket.send(SocketChildRequest.become(account).encoded())
        return socket
    }

    private func received(_ message: DescriptorMessage) {
        let descriptor = message.descriptor.map { FileDescriptor($0) }
        guard !waiting.isEmpty, let reply = try? SocketChildReply(decoding: message.bytes) else {
            socket?.close()
            return ended()
        }
        let then = waiting.removeFirst()
        switch reply {
        case .done(let path): then(.success((path, descriptor?.release())))
        case .failed(let reason): then(.failure(.connectionProblem(reason)))
        }
    }

    private func ended() {
        socket = nil
        let waiting = waiting
        self.waiting = []
        for then in waiting { then(.failure(.connectionProblem("the process that makes sockets has ended"))) }
    }
}

extension Optional<Int32> {
    /// The descriptor that an answer has to bring.
    fileprivate func taken() throws(TeleportError) -> FileDescriptor {
        guard let self else { throw .connectionProblem("the process that makes sockets gave none") }
        return FileDescriptor(self)
    }
}
