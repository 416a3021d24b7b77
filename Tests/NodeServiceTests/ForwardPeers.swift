import Base
import Crypto
import EventLoop
import Testing

/// Where a test's forwards lead, and who comes through them.
extension TestNode {
    /// An address of 127.0.0.0/8 that nobody else has, so that a fixed port on it is free.
    static func ownAddress() -> IPAddress {
        let bytes = SystemRandomness().bytes(3)
        return .v4(0x7f00_0000 | UInt32(bytes[0] | 1) << 16 | UInt32(bytes[1]) << 8 | UInt32(bytes[2] | 1))
    }

    /// Sends back what comes, until the other side has ended, on a port of its own or on a path.
    func echo(at address: SocketAddress = .ip(.loopback4, port: 0)) async throws -> EchoServer {
        try await withCheckedThrowingContinuation { continuation in
            eventLoop.post { loop in continuation.resume(with: Result { try EchoServer(address, on: loop.inside) }) }
        }
    }

    /// Sends all of `bytes`, ends, and gives back all that came.
    func exchange(_ bytes: [UInt8], with address: SocketAddress) async throws -> [UInt8] {
        try await withCheckedThrowingContinuation { continuation in
            eventLoop.post { loop in
                let take: (Result<Stream, TeleportError>) -> Void = { result in
                    switch result {
                    case .failure(let error): continuation.resume(throwing: error)
                    case .success(let stream): Exchange(bytes, continuation).start(stream)
                    }
                }
                switch address {
                case .ip:
                    TCPStream.connect(to: [address], timeout: .seconds(10), on: loop.inside) { take($0.map { $0 }) }
                case .unix(let path):
                    PipeStream.connect(path: path, timeout: .seconds(10), on: loop.inside) { take($0.map { $0 }) }
                }
            }
        }
    }
}

/// Listens and echoes, for as long as it is held.
final class EchoServer: @unchecked Sendable {
    let address: SocketAddress
    private let listener: AnyObject

    init(_ address: SocketAddress, on loop: Loop) throws {
        let accept: (Stream) -> Void = { stream in
            stream.handler = EchoHandler()
            stream.resumeReading()
        }
        switch address {
        case .ip:
            let listener = try TCPListener(address: address, on: loop) { accept($0) }
            self.address = listener.address
            self.listener = listener
        case .unix(let path):
            self.address = address
            listener = try UnixListener(path: path, on: loop) { accept($0) }
        }
    }
}

private final class EchoHandler: StreamHandler {
    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        stream.write(Array(copying: bytes.span))
        if !stream.isWritable { stream.pauseReading() }
    }
    func streamEnded(_ stream: Stream) { stream.closeAfterWrites() }
    func streamDrained(_ stream: Stream) { stream.resumeReading() }
    func streamClosed(_ stream: Stream, error: TeleportError?) {}
}

private final class Exchange: StreamHandler {
    private let bytes: [UInt8]
    private let continuation: CheckedContinuation<[UInt8], any Error>
    private var sent = 0
    private var received: [UInt8] = []

    init(_ bytes: [UInt8], _ continuation: CheckedContinuation<[UInt8], any Error>) {
        self.bytes = bytes
        self.continuation = continuation
    }

    func start(_ stream: Stream) {
        stream.handler = self
        stream.resumeReading()
        pump(stream)
    }

    private func pump(_ stream: Stream) {
        while sent < bytes.count, stream.isWritable {
            let end = min(sent + 64 << 10, bytes.count)
            stream.write(Array(bytes[sent..<end]))
            sent = end
        }
        if sent == bytes.count { stream.shutdown() }
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) { received.append(copying: bytes.span) }
    func streamDrained(_ stream: Stream) { pump(stream) }
    func streamEnded(_ stream: Stream) { stream.close() }
    func streamClosed(_ stream: Stream, error: TeleportError?) {
        if let error { continuation.resume(throwing: error) } else { continuation.resume(returning: received) }
    }
}

/// `ssh -N` in the background, with its forwards up.
struct BackgroundSSH: Sendable {
    let node: TestNode
    private let arguments: [String]

    /// Returns when all that `options` ask for stands.
    init(_ node: TestNode, _ options: [String] = [], credential: TestNode.Credential = .init(), login: String? = nil) async throws {
        self.node = node
        let control = ["-o", "ControlPath=\(node.directory)/\(SystemRandomness().uuid().prefix(8))", "-o", "LogLevel=INFO"]
        arguments = node.arguments(key: try node.write(credential), options: control, login: login)
        let outcome = try await node.run("/usr/bin/ssh", ["-f", "-N", "-M", "-o", "ExitOnForwardFailure=yes"] + options + arguments)
        try #require(outcome.exit == .status(0), "\(outcome.errors)")
    }

    /// `ssh -O COMMAND`, such as `forward` and `cancel`.
    func control(_ command: String, _ options: [String] = []) async throws -> TestNode.Outcome {
        try await node.run("/usr/bin/ssh", ["-O", command] + options + arguments)
    }

    /// Asks for a remote forward to a port that the system chooses.
    func forwardAnyPort(to target: SocketAddress) async throws -> UInt16 {
        let outcome = try await control("forward", ["-R", "0:\(target)"])
        return try #require(UInt16(outcome.text.filter(\.isNumber)), "\(outcome.text)\(outcome.errors)")
    }

    /// A further session on the same connection.
    func ssh(_ command: String..., options: [String] = [], input: [UInt8] = []) async throws -> TestNode.Outcome {
        try await node.run("/usr/bin/ssh", options + arguments + command, input: input)
    }

    func end() async throws {
        _ = try await control("exit")
    }
}

/// Bytes without a period below a megabyte, made quickly also in a debug build.
func patterned(_ count: Int) -> [UInt8] {
    let block = SeededRandomness(seed: 5).bytes(4096)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + block.count)
    while bytes.count < count {
        bytes += block
        bytes[bytes.count - 1] = UInt8(truncatingIfNeeded: bytes.count >> 12)
        bytes[bytes.count - 2] = UInt8(truncatingIfNeeded: bytes.count >> 20)
    }
    return Array(bytes.prefix(count))
}
