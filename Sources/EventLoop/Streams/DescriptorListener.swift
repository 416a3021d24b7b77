package import Base
internal import Glibc

/// A listening TCP socket for a C library that reads and writes its connections itself.
package final class DescriptorListener {
    /// With the port that the kernel chose where 0 was asked for.
    package let address: SocketAddress
    private let acceptor: Acceptor

    /// - Parameter accept: owns each connection's descriptor, which does not block.
    package init(
        address: SocketAddress, on loop: Loop, accept: @escaping (_ descriptor: Int32, _ peer: SocketAddress) -> Void
    ) throws(TeleportError) {
        let socket = try Acceptor.listen(on: address)
        self.address = .of(socket.raw, .local) ?? address
        acceptor = try Acceptor(socket, on: loop) { descriptor in
            var one: CInt = 1
            unsafe setsockopt(descriptor.raw, CInt(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
            guard let peer = SocketAddress.of(descriptor.raw, .peer) else { return }
            accept(descriptor.release(), peer)
        }
    }

    package func close() { acceptor.close() }
    /// New connections wait in the kernel.
    package func pause() { acceptor.pause() }
    package func resume() { acceptor.resume() }
}
