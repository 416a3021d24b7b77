internal import Base
internal import EventLoop

/// Makes and reaches unix sockets with a login user's rights: the node's own executable, started anew, becomes the user and hands back
/// open descriptors.
///
/// It lives as long as the connection that it serves, and takes away what it made: it ends when the node's end of descriptor 3 is closed,
/// also where the node was killed.
///
/// Whoever starts it by hand gains nothing: it does only what its caller may do anyway.
package enum SocketChild {
    /// The one argument with which the executable is started as a socket child.
    package static let argument = "socket-child"
    static let descriptor: Int32 = 3
    /// Of sockets: nobody but their owner.
    private static let socketModeMask: UInt32 = 0o177
    private static let directoryModeMask: UInt32 = 0o077
    /// Where OpenSSH's agent sockets are, too: `/tmp/ssh-XXXXXXXXXX/agent.PID`.
    private static let agentDirectoryPrefix = "/tmp/ssh-"

    /// Where the program was started as a socket child, lives that life and does not return. First of all in `main`.
    package static func runIfAsked() {
        guard CommandLine.arguments.count == 2, CommandLine.arguments[1] == argument else { return }
        LoginProcess.ignoreTermination()
        var made = Made()
        let isInOrder = (try? serve(&made)) != nil
        made.removeAll()
        LoginProcess.exit(isInOrder ? 0 : SessionChild.failureStatus)
    }

    private static func serve(_ made: inout Made) throws {
        var isUser = false
        while let message = try DescriptorSocket.receive(on: descriptor) {
            switch try SocketChildRequest(decoding: message.bytes) {
            case .become(let account):
                try LoginProcess.become(account)
                try LoginProcess.enter(directory: "/")
                isUser = true
            case let request:
                guard isUser else { throw TeleportError.accessDenied("asked for a socket before it became the user") }
                do throws(TeleportError) {
                    try answer(request, &made)
                } catch {
                    try send(.failed(reason: error.message))
                }
            }
        }
    }

    private static func answer(_ request: SocketChildRequest, _ made: inout Made) throws(TeleportError) {
        switch request {
        case .become: throw TeleportError.accessDenied("it is the user already")
        case .connect(let path): try send(.done(path: path), try LocalSocket.connect(path: path))
        case .listen(let path): try send(.done(path: path), try made.listen(path))
        case .listenForAgent:
            LoginProcess.setFileModeMask(directoryModeMask)
            let directory = try FileIO.createTemporaryDirectory(prefix: agentDirectoryPrefix)
            made.directories.append(directory)
            let path = "\(directory)/agent.\(LoginProcess.identifier)"
            try send(.done(path: path), try made.listen(path))
        case .remove(let path):
            made.remove(path)
            try send(.done(path: path))
        }
    }

    private static func send(_ reply: SocketChildReply) throws(TeleportError) {
        try DescriptorSocket.send(reply.encoded(), descriptor: -1, on: descriptor)
    }

    private static func send(_ reply: SocketChildReply, _ socket: consuming FileDescriptor) throws(TeleportError) {
        try DescriptorSocket.send(reply.encoded(), descriptor: socket.raw, on: descriptor)
    }

    /// What is to be taken away at the end.
    private struct Made {
        var paths: Set<String> = []
        var directories: [String] = []

        mutating func listen(_ path: String) throws(TeleportError) -> FileDescriptor {
            LoginProcess.setFileModeMask(SocketChild.socketModeMask)
            let socket = try LocalSocket.listen(path: path)
            paths.insert(path)
            return socket
        }

        mutating func remove(_ path: String) {
            guard paths.remove(path) != nil else { return }
            // Whoever has taken it away already did the same.
            try? FileIO.remove(path)
        }

        mutating func removeAll() {
            for path in paths { remove(path) }
            for directory in directories { try? FileIO.removeTree(directory) }
        }
    }
}
