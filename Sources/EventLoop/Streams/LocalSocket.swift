package import Base
internal import CLibuv
internal import Glibc

/// Unix sockets made at once, for a process without a loop: what comes of it is given to one that has. Paths are absolute.
package enum LocalSocket {
    /// A connected socket that does not block. A listener whose queue is full counts as one that refuses.
    package static func connect(path: String) throws(TeleportError) -> FileDescriptor {
        try check(path)
        let raw = Glibc.socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard raw >= 0 else { throw UVError.errno("making a socket") }
        let socket = FileDescriptor(raw)
        unsafe try SocketAddress.unix(path: path).withSystemAddress { pointer, length throws(TeleportError) in
            guard unsafe Glibc.connect(socket.raw, pointer, length) == 0 else { throw UVError.errno("connecting to \(path)") }
        }
        return socket
    }

    /// A listening socket that does not block, with the mode that the process's mask leaves of 0777. A path that exists is refused.
    package static func listen(path: String) throws(TeleportError) -> FileDescriptor {
        try check(path)
        return try Acceptor.listen(on: .unix(path: path))
    }

    private static func check(_ path: String) throws(TeleportError) {
        guard path.hasPrefix("/") else { throw TeleportError.badParameter("the socket path \(path) is not absolute") }
    }
}
