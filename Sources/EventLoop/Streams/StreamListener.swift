package import Base
internal import CLibuv
internal import Glibc

/// A listening TCP socket.
package final class TCPListener {
    /// With the port that the kernel chose where 0 was asked for.
    package let address: SocketAddress
    private let acceptor: Acceptor

    /// - Parameter accept: is given each connection, paused; set a handler and resume it.
    package convenience init(address: SocketAddress, on loop: Loop, accept: @escaping (TCPStream) -> Void) throws(TeleportError) {
        try self.init(ListeningSockets(on: address), on: loop, accept: accept)
    }

    /// Takes one of the sockets of an address that several loops listen on.
    package init(_ sockets: ListeningSockets, on loop: Loop, accept: @escaping (TCPStream) -> Void) throws(TeleportError) {
        address = sockets.address
        acceptor = try Acceptor(sockets.take(), on: loop) { descriptor in
            if let stream = try? TCPStream(descriptor: descriptor.release(), on: loop) { accept(stream) }
        }
    }

    package func close() { acceptor.close() }
    /// New connections wait in the kernel.
    package func pause() { acceptor.pause() }
    package func resume() { acceptor.resume() }
}

/// A listening unix socket.
package final class UnixListener {
    /// Removed when it closes; nil where somebody else made the socket.
    private let path: String?
    private let acceptor: Acceptor

    /// - Parameter mode: of the socket's path.
    package init(path: String, mode: UInt32 = 0o600, on loop: Loop, accept: @escaping (PipeStream) -> Void) throws(TeleportError) {
        let socket = try Acceptor.listen(on: .unix(path: path))
        guard unsafe chmod(path, mode) == 0 else { throw UVError.errno("changing the mode of \(path)") }
        self.path = path
        acceptor = try Self.acceptor(socket, on: loop, accept)
    }

    /// Takes over a socket that listens already and does not block, as ``LocalSocket/listen(path:)`` makes it.
    ///
    /// - Parameter accept: is given each connection, paused; set a handler and resume it.
    package init(_ socket: consuming FileDescriptor, on loop: Loop, accept: @escaping (PipeStream) -> Void) throws(TeleportError) {
        path = nil
        acceptor = try Self.acceptor(socket, on: loop, accept)
    }

    private static func acceptor(
        _ socket: consuming FileDescriptor, on loop: Loop, _ accept: @escaping (PipeStream) -> Void
    ) throws(TeleportError) -> Acceptor {
        try Acceptor(socket, on: loop) { descriptor in
            if let stream = try? PipeStream(descriptor, kind: .socket, on: loop) { accept(stream) }
        }
    }

    package func close() {
        if let path { unsafe unlink(path) }
        acceptor.close()
    }

    /// New connections wait in the kernel.
    package func pause() { acceptor.pause() }
    package func resume() { acceptor.resume() }
}

/// Accepts from a listening socket.
///
/// Ours rather than `uv_listen`, which can neither be paused nor kept from spinning when the process is out of descriptors.
final class Acceptor {
    private let loop: Loop
    private let accepted: (consuming FileDescriptor) -> Void
    private var watcher: DescriptorWatcher?
    private let descriptor: CInt
    private var isPaused = false

    /// The kernel cuts it to `net.core.somaxconn`.
    private static let backlog: CInt = 4096
    /// So many connections a turn, then the others have their turn.
    private static let acceptsPerTurnMax = 32
    /// How long an acceptor waits for descriptors to become free.
    private static let exhaustionDelay: Duration = .milliseconds(100)

    init(_ socket: consuming FileDescriptor, on loop: Loop, accepted: @escaping (consuming FileDescriptor) -> Void) throws(TeleportError) {
        self.loop = loop
        self.accepted = accepted
        descriptor = socket.raw
        watcher = try DescriptorWatcher(socket, on: loop) { [weak self] _ in self?.acceptSome() }
        watcher?.watch([.readable])
    }

    deinit {
        watcher?.close()
    }

    /// - Parameter shared: whether to listen beside sockets that allow it; otherwise an address that anybody listens on is an error, so that
    ///   two processes never each get some of the connections.
    static func listen(on address: SocketAddress, shared: Bool = false) throws(TeleportError) -> FileDescriptor {
        let family: CInt =
            switch address {
            case .ip(.v4, _): AF_INET
            case .ip(.v6, _): AF_INET6
            case .unix: AF_UNIX
            }
        let raw = Glibc.socket(family, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard raw >= 0 else { throw UVError.errno("listening on \(address)") }
        let socket = FileDescriptor(raw)
        var one: CInt = 1
        if family != AF_UNIX { unsafe setsockopt(raw, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<CInt>.size)) }
        if shared { ListeningSockets.allowSharing(raw) }
        unsafe try address.withSystemAddress { pointer, length throws(TeleportError) in
            guard unsafe bind(raw, pointer, length) == 0 else { throw UVError.errno("listening on \(address)") }
        }
        guard Glibc.listen(raw, backlog) == 0 else { throw UVError.errno("listening on \(address)") }
        return socket
    }

    private func acceptSome() {
        for _ in 0..<Self.acceptsPerTurnMax {
            guard !isPaused, watcher != nil else { return }
            let raw = accept4(descriptor, nil, nil, CInt(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue))
            if raw >= 0 {
                accepted(FileDescriptor(raw))
                continue
            }
            switch errno {
            case EINTR, ECONNABORTED: continue
            case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                watcher?.watch([])
                loop.schedule(after: Self.exhaustionDelay) { [weak self] in
                    guard let self, !isPaused else { return }
                    watcher?.watch([.readable])
                }
                return
            default: return
            }
        }
    }

    func pause() {
        isPaused = true
        watcher?.watch([])
    }

    func resume() {
        isPaused = false
        watcher?.watch([.readable])
    }

    func close() {
        watcher?.close()
        watcher = nil
    }
}
