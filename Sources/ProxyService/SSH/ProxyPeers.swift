internal import Base
internal import ClusterModel
internal import EventLoop
internal import SSHWire

/// The proxy's servers on all loops, for users who move from one to another.
package final class ProxyPeers: Sendable {
    private let servers = Lock<[LoopBound<Weak<ProxyServer>>]>([])

    package init() {}

    func join(_ server: ProxyServer) {
        let bound = LoopBound(Weak(server), on: server.loop)
        servers.withLock { $0.append(bound) }
    }

    func server(on eventLoop: EventLoop) -> LoopBound<Weak<ProxyServer>>? {
        servers.withLock { servers in servers.first { $0.eventLoop === eventLoop } }
    }
}

/// A user between two loops: who it is, and what it had asked for.
struct MovingUser: Sendable {
    let peer: SocketAddress
    let identity: AccessIdentity
    let authority: PublicKey
    /// nil where a channel is being opened: then its open message says it.
    let subsystem: ProxySession.Asked?
}
