import Base
import EventLoop
import Glibc
import ReverseTunnel
import SSHEngine
import SSHNet
import SSHWire

/// The agent of one site: holds a tunnel, dials again as a real one does, and echoes on the channels that the proxy opens.
final class LoadAgent: ConnectionHandler {
    let site: Site
    private let configuration: ConnectionConfiguration
    private let fleet: Fleet
    private var backoff: Backoff
    private(set) var isConnected = false
    /// nil while it waits to dial.
    private var connection: SSHConnection?

    init(_ site: Site, in fleet: Fleet) throws {
        self.site = site
        self.fleet = fleet
        let (user, credential) = try site.credential(now: fleet.loop.wallTime)
        var engine = EngineConfiguration(role: .client(ClientOptions(user: user, credentials: [credential])))
        engine.limits.windowBytes = 8 << 20
        engine.limits.authenticationTimeMax = AgentPool.loginTimeMax
        configuration = ConnectionConfiguration(engine: engine, randomness: fleet.randomness, keepAlive: AgentPool.heartbeat)
        backoff = AgentPool.backoff
    }

    func dial(after delay: Duration) {
        fleet.loop.schedule(after: delay) { [self] in
            do throws(TeleportError) {
                let stream = try LoopbackSocket.dial(fleet.tunnelAddress, from: site.source, on: fleet.loop)
                connection = .client(stream: stream, configuration: configuration, handler: self, on: fleet.loop)
            } catch {
                fleet.failed(error)
                dial(after: backoff.next(fleet.randomness))
            }
        }
    }

    func hangUp() { connection?.close() }

    func connection(_ connection: SSHConnection, verify hostKey: HostKeyOffer, answer: @escaping (HostKeyAnswer) -> Void) {
        answer(fleet.trust.judge(hostKey, now: fleet.loop.wallTime))
    }

    func connectionReady(_ connection: SSHConnection) {
        backoff.reset()
        isConnected = true
        fleet.came()
    }

    func connection(_ connection: SSHConnection, opens request: ChannelOpenRequest) {
        request.accept(handler: LoadEcho())
    }

    func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {
        self.connection = nil
        if isConnected { fleet.left() } else { fleet.failed(error) }
        isConnected = false
        dial(after: backoff.next(fleet.randomness))
    }
}

/// Sends back what comes.
private final class LoadEcho: ChannelHandler {
    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        channel.write(data)
        channel.consumed(data.count)
    }

    func channelEOF(_ channel: SSHChannel) { channel.close() }

    func channelClosed(_ channel: SSHChannel) {}
}

/// A TCP connection from an address of our choice to one of this machine.
enum LoopbackSocket {
    static func dial(_ target: (address: [UInt8], port: UInt16), from source: [UInt8], on loop: Loop) throws(TeleportError) -> PipeStream {
        let raw = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard raw >= 0 else { throw failure("socket") }
        let descriptor = FileDescriptor(raw)
        var one: CInt = 1
        unsafe setsockopt(raw, CInt(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
        // The port is chosen with the target in view: so an address is not out of ports before every pair is used.
        unsafe setsockopt(raw, CInt(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, &one, socklen_t(MemoryLayout<CInt>.size))
        guard unsafe call(bind, raw, source, 0) == 0 else { throw failure("bind") }
        guard unsafe call(connect, raw, target.address, target.port) == 0 || errno == EINPROGRESS else { throw failure("connect") }
        return try PipeStream(descriptor, kind: .socket, on: loop)
    }

    private static func call(
        _ function: (CInt, UnsafePointer<sockaddr>?, socklen_t) -> CInt, _ raw: CInt, _ address: [UInt8], _ port: UInt16
    ) -> CInt {
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = port.bigEndian
        place.sin_addr.s_addr = address.reduce(0) { $0 << 8 | UInt32($1) }.bigEndian
        return unsafe withUnsafePointer(to: &place) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe function(raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    private static func failure(_ call: String) -> TeleportError { TeleportError(.systemError, call, code: errno) }
}
