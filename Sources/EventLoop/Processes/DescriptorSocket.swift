package import Base
internal import CLibuv
internal import Glibc

/// One end of a socket pair between a process and its child: whole messages, each with an open descriptor or none (unix(7), `SCM_RIGHTS`).
package final class DescriptorSocket {
    /// A message that is longer is refused on either side; the kernel takes 208 KiB in one piece.
    package static let messageBytesMax = 128 << 10

    private let received: (DescriptorMessage) -> Void
    private let ended: () -> Void
    private let raw: Int32
    private var watcher: DescriptorWatcher?

    /// - Parameter peer: is lent the other end, to be given to the child; it is closed here afterwards.
    /// - Parameter received: owns the descriptor of each message.
    /// - Parameter ended: is called once, when the other side is gone or breaks the rules.
    package init(
        on loop: Loop, peer: (Int32) throws(TeleportError) -> Void, received: @escaping (DescriptorMessage) -> Void,
        ended: @escaping () -> Void
    ) throws(TeleportError) {
        var ends: [CInt] = [-1, -1]
        guard unsafe socketpair(AF_UNIX, CInt(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw UVError.errno("making a socket pair")
        }
        let ours = FileDescriptor(ends[0])
        let theirs = FileDescriptor(ends[1])
        try peer(theirs.raw)
        self.received = received
        self.ended = ended
        raw = ours.raw
        guard shim_set_nonblocking(raw) >= 0 else { throw UVError.errno("making a socket pair") }
        watcher = try DescriptorWatcher(ours, on: loop) { [weak self] _ in self?.receive() }
        watcher?.watch([.readable])
    }

    deinit {
        watcher?.close()
    }

    /// Sends at once or not at all: a few short messages fit, and who has more is asked to wait.
    package func send(_ bytes: [UInt8]) throws(TeleportError) {
        guard watcher != nil else { throw TeleportError.connectionProblem("the process has ended") }
        try Self.send(bytes, descriptor: -1, on: raw)
    }

    package func close() {
        watcher?.close()
        watcher = nil
    }

    private func receive() {
        while watcher != nil {
            do throws(TeleportError) {
                guard let message = try Self.receive(on: raw) else { break }
                received(message)
            } catch {
                if error.code == EAGAIN { return }
                break
            }
        }
        guard watcher != nil else { return }
        close()
        ended()
    }

    // MARK: For the child, which waits

    /// - Returns: nil when the other side is gone.
    package static func receive(on socket: Int32) throws(TeleportError) -> DescriptorMessage? {
        var descriptor: CInt = -1
        var number = 0
        var count = -1
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: messageBytesMax) { buffer, initialized in
            repeat {
                number = 1
                count = unsafe shim_receive_with_descriptors(socket, buffer.baseAddress, buffer.count, &descriptor, &number)
            } while count < 0 && errno == EINTR
            initialized = max(count, 0)
        }
        guard count >= 0 else { throw UVError.errno("reading from a process") }
        return count == 0 ? nil : DescriptorMessage(bytes: bytes, descriptor: number > 0 ? descriptor : nil)
    }

    /// - Parameter descriptor: the other side gets a copy; negative for none.
    package static func send(_ bytes: [UInt8], descriptor: Int32, on socket: Int32) throws(TeleportError) {
        precondition(!bytes.isEmpty, "a message without bytes is the end")
        guard bytes.count <= messageBytesMax else { throw TeleportError.limitExceeded("a message of \(bytes.count) bytes is too long") }
        let descriptors = descriptor >= 0 ? [descriptor] : []
        let sent = unsafe bytes.withUnsafeBytes {
            unsafe shim_send_with_descriptors(socket, $0.baseAddress, $0.count, descriptors, descriptors.count)
        }
        guard sent == bytes.count else { throw UVError.errno("writing to a process") }
    }
}

/// What came in one piece.
package struct DescriptorMessage: Sendable {
    package let bytes: [UInt8]
    /// The receiver's to close.
    package let descriptor: Int32?
}
