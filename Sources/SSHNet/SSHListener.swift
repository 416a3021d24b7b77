package import Base
package import EventLoop
internal import Limits
internal import SSHWire

/// How many connections one listener has at a time.
package struct ListenerLimits: Sendable, Equatable {
    package var total: Int
    package var perAddress: Int
    /// Without a user yet: what strangers can hold together.
    package var unauthenticated: Int
    /// What one address can hold of that, so that a single stranger leaves room for the others.
    var unauthenticatedPerAddress: Int { max(1, unauthenticated / 2) }

    package init(total: Int = 10_000, perAddress: Int = 1_000, unauthenticated: Int = 200) {
        self.total = total
        self.perAddress = perAddress
        self.unauthenticated = unauthenticated
    }
}

/// Accepts connections and begins SSH on each in the server's role, within limits.
///
/// A connection above a limit of its address is closed at once; an IPv6 address counts as its /64. While one of the other limits is reached the listener stops accepting: new
/// connections wait in the kernel until an old one has left or has logged in.
package final class SSHListener {
    package let address: SocketAddress
    private let loop: Loop
    private let limits: ListenerLimits
    private let configuration: () -> ConnectionConfiguration
    private let makeHandler: (SocketAddress) -> any ConnectionHandler
    private var listener: TCPListener?
    private var connections: [ObjectIdentifier: SSHConnection] = [:]
    private var unauthenticated = 0
    private var byAddress: [IPAddress: Held] = [:]
    private var isPaused = false

    /// What one address holds.
    private struct Held {
        var connections = 0
        var unauthenticated = 0
    }

    /// - Parameter configuration: is asked for each connection, so that host keys and certificates may change.
    /// - Parameter makeHandler: the handler of one connection, by the address of the peer.
    package init(
        address: SocketAddress, limits: ListenerLimits = ListenerLimits(), on loop: Loop,
        configuration: @escaping () -> ConnectionConfiguration, makeHandler: @escaping (SocketAddress) -> any ConnectionHandler
    ) throws(TeleportError) {
        self.loop = loop
        self.limits = limits
        self.configuration = configuration
        self.makeHandler = makeHandler
        weak var accepting: SSHListener?
        let listener = try TCPListener(address: address, on: loop) { stream in
            if let accepting { accepting.accept(stream) } else { stream.close() }
        }
        self.address = listener.address
        self.listener = listener
        accepting = self
    }

    package var connectionCount: Int { connections.count }

    /// Accepts no more; the connections that are there go on.
    package func close() {
        listener?.close()
        listener = nil
    }

    /// Ends every connection with a word to the peer.
    package func disconnectAll(_ message: String) {
        for connection in connections.values { connection.disconnect(.byApplication, message) }
    }

    private func accept(_ stream: TCPStream) {
        guard let peer = stream.peer, let ip = peer.ip?.limited else { return stream.close() }
        let held = byAddress[ip] ?? Held()
        guard held.connections < limits.perAddress, held.unauthenticated < limits.unauthenticatedPerAddress else { return stream.close() }
        byAddress[ip] = Held(connections: held.connections + 1, unauthenticated: held.unauthenticated + 1)
        unauthenticated += 1
        let connection = SSHConnection.server(stream: stream, configuration: configuration(), handler: makeHandler(peer), on: loop)
        connections[ObjectIdentifier(connection)] = connection
        connection.authenticated = { [weak self] in
            self?.forgetStranger(ip)
            self?.adjust()
        }
        connection.released = { [weak self, unowned connection] in self?.left(connection, ip) }
        adjust()
    }

    private func left(_ connection: SSHConnection, _ ip: IPAddress) {
        connections[ObjectIdentifier(connection)] = nil
        if connection.authenticated != nil { forgetStranger(ip) }
        byAddress[ip]?.connections -= 1
        if byAddress[ip]?.connections == 0 { byAddress[ip] = nil }
        adjust()
    }

    private func forgetStranger(_ ip: IPAddress) {
        unauthenticated -= 1
        byAddress[ip]?.unauthenticated -= 1
    }

    private func adjust() {
        let isFull = connections.count >= limits.total || unauthenticated >= limits.unauthenticated
        guard isFull != isPaused else { return }
        isPaused = isFull
        if isFull { listener?.pause() } else { listener?.resume() }
    }
}
