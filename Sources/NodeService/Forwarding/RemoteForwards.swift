internal import Base
internal import EventLoop
internal import Logging
internal import SSHNet
internal import SSHWire

/// What a node listens on for one client: ports and sockets (RFC 4254 §7.1, PROTOCOL "streamlocal-forward@openssh.com") and the socket of
/// its agent (PROTOCOL.agent). Each connection that comes is a channel toward the client.
///
/// All of it belongs to the connection: nobody else can name it, and it goes when the connection goes.
final class RemoteForwards {
    /// Listeners of one client: more than a person asks for, few enough that one client leaves ports and descriptors to the others.
    static let listenersMax = 128
    /// Connections of all of its listeners at once, half of the channels that a connection has: the client keeps room for its own. Above this
    /// the listeners stop accepting, and the kernel's queue fills.
    static let connectionsMax = 512

    private enum Key: Hashable {
        /// As the client wrote the address; with the port that the system chose.
        case port(address: String, UInt16)
        case path(String)
        case agent
    }

    private let connection: SSHConnection
    private let account: UserAccount
    private let sockets: UserSockets
    private let logger: Logger
    private var listeners: [Key: [any ForwardListener]] = [:]
    /// Listeners that the user's child is making.
    private var listenersBeingMade = 0
    private var connections = 0
    private var isPaused = false
    /// `SSH_AUTH_SOCK` for this connection's sessions.
    private(set) var agentPath: String?
    private var waitingForAgent: [(Bool) -> Void] = []

    init(connection: SSHConnection, account: UserAccount, sockets: UserSockets, logger: Logger) {
        self.connection = connection
        self.account = account
        self.sockets = sockets
        self.logger = logger
    }

    func close() {
        for listener in listeners.values.joined() { listener.close() }
        listeners = [:]
        sockets.close()
    }

    /// Ends what listens on ports and paths.
    func cancelAll() {
        for key in listeners.keys {
            switch key {
            case .agent: break
            case .port(let address, let port): _ = cancel(address: address, port: port)
            case .path(let path): _ = cancel(path: path)
            }
        }
    }

    // MARK: Ports

    /// - Parameter port: 0 lets the system choose.
    /// - Returns: the port that is listened on.
    func listen(address: String, port: UInt16) throws(TeleportError) -> UInt16 {
        guard port == 0 || port >= ForwardAddress.unprivilegedPort || account.identifier == 0 else {
            throw .accessDenied("ports below \(ForwardAddress.unprivilegedPort) are for root")
        }
        try checkRoom()
        var made: [TCPListener] = []
        var bound = port
        var failure = TeleportError.notFound("no address to listen on")
        for ip in ForwardAddress.bound(to: address) {
            do throws(TeleportError) {
                let listener = try TCPListener(address: .ip(ip, port: bound), on: connection.loop) { [weak self] stream in
                    guard let self else { return stream.close() }
                    accepted(stream, address, stream.local?.port ?? port)
                }
                bound = listener.address.port ?? bound
                made.append(listener)
            } catch {
                // A machine may have only one of the two families.
                failure = error
            }
        }
        guard !made.isEmpty else { throw failure }
        add(made, as: .port(address: address, bound))
        return bound
    }

    func cancel(address: String, port: UInt16) -> Bool {
        remove(.port(address: address, port))
    }

    private func accepted(_ stream: TCPStream, _ address: String, _ port: UInt16) {
        let originator = stream.peer
        open(
            .forwardedTCPIP(
                ChannelOpenType.TCPIPEndpoints(
                    host: address, port: port, originatorAddress: originator?.ip?.description ?? "",
                    originatorPort: originator?.port ?? 0)), stream)
    }

    // MARK: Unix sockets

    func listen(path: String, then: @escaping (Result<Void, TeleportError>) -> Void) {
        listen(as: .path(path), path: path, .forwardedStreamLocal(path: path)) { result in then(result.map { _ in }) }
    }

    func cancel(path: String) -> Bool {
        guard remove(.path(path)) else { return false }
        sockets.remove(path: path)
        return true
    }

    private func listen(
        as key: Key, path: String?, _ type: ChannelOpenType, then: @escaping (Result<String, TeleportError>) -> Void
    ) {
        do throws(TeleportError) {
            try checkRoom()
        } catch {
            return then(.failure(error))
        }
        listenersBeingMade += 1
        sockets.listen(
            path: path,
            accept: { [weak self] stream in
                guard let self else { return stream.close() }
                open(type, stream)
            }
        ) { [self] result in
            listenersBeingMade -= 1
            then(
                result.map { path, listener in
                    add([listener], as: key)
                    return path
                })
        }
    }

    // MARK: The agent

    /// Makes the socket by which this connection's sessions reach the client's agent: one for all of them, as OpenSSH does.
    ///
    /// - Parameter then: is told whether there is one; at once where it was made before.
    func forwardAgent(then: @escaping (Bool) -> Void) {
        guard agentPath == nil else { return then(true) }
        waitingForAgent.append(then)
        guard waitingForAgent.count == 1 else { return }
        listen(as: .agent, path: nil, .agent) { [self] result in
            switch result {
            case .success(let path):
                agentPath = path
                logger.info("agent forwarded", metadata: ["path": "\(path)"])
            case .failure(let error):
                logger.error("agent not forwarded", metadata: ["error": "\(error.message)"])
            }
            let waiting = waitingForAgent
            waitingForAgent = []
            for then in waiting { then(agentPath != nil) }
        }
    }

    func cancelAgent() {
        guard let path = agentPath else { return }
        agentPath = nil
        _ = remove(.agent)
        sockets.remove(path: path)
    }

    // MARK: Listeners

    private func checkRoom() throws(TeleportError) {
        guard listeners.count + listenersBeingMade < Self.listenersMax else {
            throw .limitExceeded("there are \(Self.listenersMax) forwards already")
        }
    }

    private func add(_ new: [any ForwardListener], as key: Key) {
        listeners[key] = new
        if isPaused { for listener in new { listener.pause() } }
    }

    private func remove(_ key: Key) -> Bool {
        guard let gone = listeners.removeValue(forKey: key) else { return false }
        for listener in gone { listener.close() }
        return true
    }

    // MARK: Connections

    /// The stream stays unread until the client has accepted the channel.
    private func open(_ type: ChannelOpenType, _ stream: Stream) {
        connections += 1
        adjust()
        let opening = ForwardedConnection(stream) { [self] in
            connections -= 1
            adjust()
        }
        connection.openChannel(type: type.type, payload: type.payload(), handler: opening)
    }

    private func adjust() {
        let isFull = connections >= Self.connectionsMax
        guard isFull != isPaused else { return }
        isPaused = isFull
        for listener in listeners.values.joined() { if isFull { listener.pause() } else { listener.resume() } }
    }
}

/// What listens for a client.
private protocol ForwardListener: AnyObject {
    func close()
    func pause()
    func resume()
}

extension TCPListener: ForwardListener {}
extension UnixListener: ForwardListener {}

/// A connection that waits for the client to accept its channel.
private final class ForwardedConnection: ChannelHandler {
    private let stream: Stream
    private let closed: () -> Void

    init(_ stream: Stream, closed: @escaping () -> Void) {
        self.stream = stream
        self.closed = closed
    }

    func channelOpened(_ channel: SSHChannel) {
        ChannelPipe.join(channel, .stream(stream), closed: closed)
    }

    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        stream.close()
        closed()
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {}
    func channelClosed(_ channel: SSHChannel) {}
}
