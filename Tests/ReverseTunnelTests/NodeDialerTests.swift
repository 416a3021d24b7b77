import Base
import EventLoop
import ReverseTunnel
import SSHNet
import Testing

@Suite struct NodeDialerTests {
    /// How something behaves that listens where a node is registered.
    enum Behaviour: CaseIterable {
        case greets, isSilent, hangsUp
    }

    @Test(arguments: Behaviour.allCases)
    func `a node is reached when it has spoken`(behaviour: Behaviour) async throws {
        let eventLoop = EventLoop(name: "node-dialer-tests")
        eventLoop.start()
        defer { eventLoop.stop() }
        let result: Result<[UInt8], TeleportError> = try await withCheckedThrowingContinuation { continuation in
            eventLoop.post { loop in
                do throws(TeleportError) {
                    try Self.reach(behaviour, loop.inside) { continuation.resume(returning: $0) }
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
        switch behaviour {
        case .greets: #expect(try result.get() == Array("SSH-2.0-node\r\n".utf8))
        case .isSilent: expectFailure(result, "says nothing")
        case .hangsUp: expectFailure(result, "ended the connection at once")
        }
    }

    private func expectFailure(_ result: Result<[UInt8], TeleportError>, _ says: String) {
        #expect {
            try result.get()
        } throws: { error in
            let error = error as? TeleportError
            return error?.kind == .connectionProblem && error?.message.hasPrefix("node db1 ") == true
                && error?.message.contains(says) == true
        }
    }

    private static func reach(
        _ behaviour: Behaviour, _ loop: Loop, then: @escaping (Result<[UInt8], TeleportError>) -> Void
    ) throws(TeleportError) {
        var held: [TCPStream] = []
        let listener = try TCPListener(address: SocketAddress(.loopback4, port: 0), on: loop) { stream in
            held.append(stream)
            switch behaviour {
            case .greets: stream.write(Array("SSH-2.0-node\r\n".utf8))
            case .isSilent: break
            case .hangsUp: stream.close()
            }
        }
        let timeout: Duration = behaviour == .isSilent ? .milliseconds(50) : .seconds(20)
        NodeDialer.reach("\(listener.address)", what: "node db1", timeout: timeout, on: loop) { result in
            listener.close()
            for stream in held { stream.close() }
            then(
                result.map { side in
                    guard case .stream(let stream, let greeting) = side else { return [] }
                    stream.close()
                    return greeting
                })
        }
    }
}
