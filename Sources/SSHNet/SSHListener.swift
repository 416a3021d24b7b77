package import Base
package import EventLoop
internal import Limits
internal import SSHWire

/// Accepts connections on one loop and begins SSH on each in the server's role, within the limits of its ``SharedListener``.
///
/// A connection above a limit of its address is closed at once; an IPv6 address counts as its /64. While one of the other limits is reached the
/// listeners stop accepting: new connections wait until an old one has left or has logged in.
package final class SSHListener {
    package let address: SocketAddress
    private let loop: Loop
    private let shared: SharedListener
    private let configuration: () -> ConnectionConfiguration
    private let makeHandler: (SocketAddress) -> any ConnectionHandler
    private var listener: TCPListener?
    private var connections: [ObjectIdentifier: SSHConnection] = [:]
    private let counts = ConnectionCounts()
    /// Accepted in the moment in which another loop took the last place.
    private var waiting: TCPStream?
    private var isPaused = false

    /// Alone on its address.
    package convenience init(
        address: SocketAddress, limits: ListenerLimits = ListenerLimits(), on loop: Loop,
        configuration: @escaping () -> ConnectionConfiguration, makeHandler: @escaping (SocketAddress) -> any ConnectionHandler
    ) throws(TeleportError) {
        try self.init(
            SharedListener(address: address, limits: limits), on: loop, configuration: configuration, makeHandler: makeHandler)
    }

    /// - Parameter configuration: is asked for each connection, so that host keys and certificates may change.
    /// - Parameter makeHandler: the handler of one connection, by the address of the peer.
    package init(
        _ shared: SharedListener, on loop: Loop, configuration: @escaping () -> ConnectionConfiguration,
        makeHandler: @escaping (SocketAddress) -> any ConnectionHandler
    ) throws(TeleportError) {
        address = shared.address
        self.loop = loop
        self.shared = shared
        self.configuration = configuration
        self.makeHandler = makeHandler
        weak var accepting: SSHListener?
        listener = try TCPListener(shared.sockets, on: loop) { stream in
            if let accepting { accepting.accept(stream) } else { stream.close() }
        }
        accepting = self
        shared.join(LoopBound(Weak(self), on: loop))
    }

    /// Those of this loop.
    package var connectionCount: Int { connections.count }

    /// - Parameter name: tells the listeners of a process apart.
    package func add(to metrics: inout Metrics, as name: String) {
        let channels = connections.values.reduce(0) { $0 + $1.channelCount }
        counts.add(to: &metrics, connections: connections.count, channels: channels, of: name)
    }

    /// Accepts no more; the connections that are there go on.
    package func close() {
        listener?.close()
        listener = nil
        waiting?.close()
        waiting = nil
    }

    /// Ends every connection with a word to the peer.
    package func disconnectAll(_ message: String) {
        for connection in connections.values { connection.disconnect(.byApplication, message) }
    }

    private func accept(_ stream: TCPStream) {
        guard let peer = stream.peer, let ip = peer.ip?.limited else { return stream.close() }
        switch shared.admit(ip) {
        case .admitted: begin(stream, peer, ip)
        case .refused:
            counts.connectionsRefused += 1
            stream.close()
        case .full: waiting = stream
        }
        adjust()
    }

    private func begin(_ stream: TCPStream, _ peer: SocketAddress, _ ip: IPAddress) {
        let connection = SSHConnection.server(stream: stream, configuration: configuration(), handler: makeHandler(peer), on: loop)
        let began = loop.now
        connection.authenticated = { [weak self, shared] in
            shared.loggedIn(ip)
            guard let self else { return }
            counts.loggedIn(after: loop.now - began)
            adjust()
        }
        keep(connection, ip)
    }

    private func keep(_ connection: SSHConnection, _ ip: IPAddress) {
        connections[ObjectIdentifier(connection)] = connection
        connection.counts = counts
        connection.moved = { [weak self, unowned connection] in self?.connections[ObjectIdentifier(connection)] = nil }
        connection.released = { [weak self, shared, unowned connection] in
            self?.connections[ObjectIdentifier(connection)] = nil
            shared.left(ip, isStranger: connection.authenticated != nil)
            self?.adjust()
        }
    }

    /// A connection of another listener of the same address, which has moved to this one's loop.
    func adopt(_ connection: SSHConnection) {
        if let ip = connection.peer?.ip?.limited { keep(connection, ip) }
    }

    /// A connection of another listener of the same address that did not survive its move.
    func lost(_ peer: SocketAddress?) {
        if let ip = peer?.ip?.limited { shared.left(ip, isStranger: false) }
    }

    /// Accepts while there is room.
    func adjust() {
        if let stream = waiting, !shared.isFull {
            waiting = nil
            return accept(stream)
        }
        let isFull = waiting != nil || shared.isFull
        guard isFull != isPaused else { return }
        isPaused = isFull
        if isFull { listener?.pause() } else { listener?.resume() }
    }
}
