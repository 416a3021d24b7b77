import Base
import EventLoop
import NodeService
import SSHWire
import Testing

@Suite("SocketChild", .timeLimit(.minutes(1)))
struct SocketChildTests {
    private static let isRoot = UserAccounts.effectiveIdentifier == 0

    static let requests: [SocketChildRequest] = [
        .become(LoginEnvironmentTests.account), .connect(path: "/run/x"), .listen(path: "/run/x"), .listenForAgent, .remove(path: "/run/x"),
    ]

    @Test(arguments: requests)
    func `a request reads as it was written, and cut anywhere or with a byte too many is refused`(request: SocketChildRequest) throws {
        let bytes = request.encoded()
        #expect(try SocketChildRequest(decoding: bytes) == request)
        for count in 0..<bytes.count {
            #expect(throws: WireError.self) { try SocketChildRequest(decoding: Array(bytes.prefix(count))) }
        }
        #expect(throws: WireError.trailingBytes(1)) { try SocketChildRequest(decoding: bytes + [0]) }
    }

    @Test(arguments: [SocketChildReply.done(path: "/run/x"), .failed(reason: "connection refused")])
    func `a reply reads as it was written, and cut anywhere or with a byte too many is refused`(reply: SocketChildReply) throws {
        let bytes = reply.encoded()
        #expect(try SocketChildReply(decoding: bytes) == reply)
        for count in 0..<bytes.count {
            #expect(throws: WireError.self) { try SocketChildReply(decoding: Array(bytes.prefix(count))) }
        }
        #expect(throws: WireError.trailingBytes(1)) { try SocketChildReply(decoding: bytes + [0]) }
    }

    /// A child, and what it answers until it ends.
    private final class Child {
        private var socket: DescriptorSocket?
        private let messages: AsyncStream<DescriptorMessage>.Continuation
        private var iterator: AsyncStream<DescriptorMessage>.Iterator
        private let exits: AsyncStream<ChildProcess.Exit>

        init(on loop: Loop) throws {
            let (stream, messages) = AsyncStream.makeStream(of: DescriptorMessage.self)
            let (exits, exited) = AsyncStream.makeStream(of: ChildProcess.Exit.self)
            self.messages = messages
            self.exits = exits
            iterator = stream.makeAsyncIterator()
            let directory = try FileIO.executablePath().split(separator: "/").dropLast().joined(separator: "/")
            socket = try DescriptorSocket(
                on: loop,
                peer: { descriptor throws(TeleportError) in
                    let command = ChildProcess.Command(
                        executable: "/\(directory)/SessionChildProgram", arguments: ["teleport", SocketChild.argument],
                        descriptors: [0: .null, 1: .null, 2: .inherit, 3: .share(descriptor)], group: .session)
                    _ = try ChildProcess(command, on: loop) { exit in
                        exited.yield(exit)
                        exited.finish()
                    }
                },
                received: { messages.yield($0) }, ended: { messages.finish() })
        }

        func send(_ bytes: [UInt8]) throws { try socket?.send(bytes) }

        /// - Returns: the reply and the descriptor; nil when the child has ended.
        func reply(isolation: isolated (any Actor)? = #isolation) async throws -> (SocketChildReply, Int32?)? {
            guard let message = await iterator.next(isolation: isolation) else { return nil }
            return (try SocketChildReply(decoding: message.bytes), message.descriptor)
        }

        func end(isolation: isolated (any Actor)? = #isolation) async -> ChildProcess.Exit? {
            socket?.close()
            var iterator = exits.makeAsyncIterator()
            return await iterator.next(isolation: isolation)
        }
    }

    @Test(.enabled(if: isRoot, "needs root"))
    func `an agent's socket is the user's, in a directory that nobody else enters, and both go with the child`() async throws {
        try await onLoop { eventLoop in
            let child = try Child(on: eventLoop.inside)
            try child.send(SocketChildRequest.become(SessionChildTests.nobody).encoded())
            try child.send(SocketChildRequest.listenForAgent.encoded())
            guard case (.done(let path), let descriptor?)? = try await child.reply() else {
                Issue.record("no socket")
                return
            }
            defer { LoginProcess.close(descriptor) }
            let directory = "/" + path.split(separator: "/").dropLast().joined(separator: "/")
            let (socket, parent) = (try FileIO.status(path), try FileIO.status(directory))
            #expect(socket?.owner == SessionChildTests.nobody.identifier && socket?.mode == 0o600)
            #expect(parent?.owner == SessionChildTests.nobody.identifier && parent?.mode == 0o700)
            #expect(await child.end() == .status(0))
            #expect(try FileIO.status(directory) == nil)
        }
    }

    @Test(.enabled(if: isRoot, "needs root"))
    func `what the user may not reach or make is refused with the reason, and the child goes on`() async throws {
        try await onLoop { eventLoop in
            let child = try Child(on: eventLoop.inside)
            try child.send(SocketChildRequest.become(SessionChildTests.nobody).encoded())
            for request in [SocketChildRequest.listen(path: "/root/x"), .connect(path: "/root/x"), .listen(path: "/no-such/x")] {
                try child.send(request.encoded())
                guard case (.failed(let reason), nil)? = try await child.reply() else {
                    Issue.record("\(request) was served")
                    return
                }
                #expect(reason.contains("permission denied") || reason.contains("no such file"), "\(reason)")
            }
            try child.send(SocketChildRequest.become(SessionChildTests.nobody).encoded())
            _ = await child.end()
        }
    }

    @Test func `nothing is done before it has become somebody, or for a message that is none`() async throws {
        try await onLoop { eventLoop in
            for bytes in [SocketChildRequest.connect(path: "/dev/log").encoded(), [9], [0, 1]] {
                let child = try Child(on: eventLoop.inside)
                try child.send(bytes)
                #expect(try await child.reply() == nil)
                #expect(await child.end() == .status(254))
            }
        }
    }
}

/// Runs `body` on a fresh loop of its own thread, and stops the loop afterwards.
func onLoop<T: Sendable>(_ body: @escaping @Sendable (isolated EventLoop) async throws -> T) async throws -> T {
    let eventLoop = EventLoop(name: "node-client")
    eventLoop.start()
    defer { eventLoop.stop() }
    return try await withCheckedThrowingContinuation { continuation in
        eventLoop.spawn { eventLoop in
            do {
                continuation.resume(returning: try await body(eventLoop))
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}
