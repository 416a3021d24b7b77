package import Base
internal import Glibc

/// The listening sockets of one TCP address, one for each loop that accepts there; the kernel deals connections out among them.
///
/// The first one binds and listens without `SO_REUSEPORT`, which fails if anybody listens there, another process of ours included, and nobody gets
/// in between: only then does it admit the others.
package final class ListeningSockets: Sendable {
    /// With the port that the kernel chose where 0 was asked for.
    package let address: SocketAddress
    private let untaken: Lock<[CInt]>

    /// - Parameter count: how many listeners will take one.
    package init(on address: SocketAddress, count: Int = 1) throws(TeleportError) {
        let first = try Acceptor.listen(on: address)
        let bound = SocketAddress.of(first.raw, .local) ?? address
        if count > 1 { Self.allowSharing(first.raw) }
        self.address = bound
        untaken = Lock([first.release()])
        for _ in 1..<max(count, 1) {
            let socket = try Acceptor.listen(on: bound, shared: true)
            let raw = socket.release()
            untaken.withLock { $0.append(raw) }
        }
    }

    deinit {
        for descriptor in untaken.withLock({ $0 }) { close(descriptor) }
    }

    static func allowSharing(_ descriptor: CInt) {
        var one: CInt = 1
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEPORT, &one, socklen_t(MemoryLayout<CInt>.size))
    }

    func take() -> FileDescriptor {
        let raw = untaken.withLock { untaken in
            precondition(!untaken.isEmpty, "more listeners than were asked for")
            return untaken.removeFirst()
        }
        return FileDescriptor(raw)
    }
}
