import Base
import EventLoop
import Libssh2Client
import Testing

/// What carries the bytes of a ``Libssh2Session``.
protocol ByteCarrier: AnyObject {
    func send(_ bytes: [UInt8]) async throws
    /// - Returns: nothing at the end.
    func receive() async throws -> [UInt8]
    func close()
}

/// A ``Libssh2Session`` and what carries its bytes; on one loop.
final class Libssh2Connection {
    let session: Libssh2Session
    private let carrier: any ByteCarrier

    init(over carrier: any ByteCarrier) throws {
        session = try Libssh2Session()
        self.carrier = carrier
    }

    /// Takes a step again and again, bytes carried in between, until it is done.
    func complete<Value>(_ step: () throws(TeleportError) -> Libssh2Step<Value>) async throws -> Value {
        while true {
            let taken = try step()
            let output = session.takeOutput()
            if !output.isEmpty { try await carrier.send(output) }
            if case .done(let value) = taken { return value }
            // There was output: it may have been all that the step waited for.
            if output.isEmpty { try await receive() }
        }
    }

    private func receive() async throws {
        let bytes = try await carrier.receive()
        if bytes.isEmpty { session.receiveEnd() } else { try session.receive(bytes.span) }
    }

    func close() async {
        _ = try? await complete { () throws(TeleportError) in try session.disconnect() }
        carrier.close()
    }

    /// How a program ended, and what it said.
    struct Ran {
        let output: [UInt8]
        let errors: [UInt8]
        let status: Int32
    }

    /// Runs what has been started on the channel to its end, giving it `input` and its end meanwhile.
    func run(_ channel: Libssh2Channel, input: [UInt8]) async throws -> Ran {
        var (written, isInputEnded, output, errors) = (0, false, [UInt8](), [UInt8]())
        try await complete { () throws(TeleportError) in
            var isMoving = true
            while isMoving {
                isMoving = false
                if written < input.count {
                    if case .done(let count) = try channel.write(input.span.extracting(written..<input.count)) {
                        written += count
                        isMoving = true
                    }
                } else if !isInputEnded, case .done = try channel.sendEnd() {
                    isInputEnded = true
                }
                if case .done(let bytes) = try channel.read(.standard), !bytes.isEmpty {
                    output += bytes
                    isMoving = true
                }
                if case .done(let bytes) = try channel.read(.error), !bytes.isEmpty {
                    errors += bytes
                    isMoving = true
                }
            }
            return channel.hasEnded ? .done(()) : .waiting
        }
        try await complete { () throws(TeleportError) in try channel.close() }
        return Ran(output: output, errors: errors, status: channel.exitStatus)
    }
}

/// A TCP connection.
final class TCPCarrier: ByteCarrier, StreamHandler {
    private var stream: TCPStream?
    /// What is to be sent once there is a connection.
    private var unsent: [UInt8] = []
    private var received: [UInt8] = []
    private var hasEnded = false
    private var failure: TeleportError?
    private var reader: CheckedContinuation<Void, Never>?

    init(to address: HostPort, on loop: Loop) throws {
        let place = SocketAddress(try #require(IPAddress(address.host)), port: address.port)
        TCPStream.connect(to: [place], timeout: .seconds(10), on: loop) { [self] result in
            switch result {
            case .success(let stream): connected(stream)
            case .failure(let error): end(error)
            }
        }
    }

    private func connected(_ stream: TCPStream) {
        self.stream = stream
        stream.handler = self
        stream.write(unsent)
        stream.resumeReading()
    }

    func send(_ bytes: [UInt8]) async throws {
        if let stream { stream.write(bytes) } else { unsent += bytes }
    }

    func receive() async throws -> [UInt8] {
        while received.isEmpty, !hasEnded {
            stream?.resumeReading()
            await withCheckedContinuation { reader = $0 }
        }
        if received.isEmpty, let failure { throw failure }
        defer { received = [] }
        return received
    }

    func close() { stream?.closeAfterWrites() }

    private func wake() {
        reader?.resume()
        reader = nil
    }

    private func end(_ error: TeleportError?) {
        hasEnded = true
        failure = error
        wake()
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        received.append(copying: bytes.span)
        stream.pauseReading()
        wake()
    }

    func streamEnded(_ stream: Stream) { end(nil) }
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) { end(error) }
}

/// A channel of another libssh2 connection: what a proxy relays.
final class ChannelCarrier: ByteCarrier {
    private let connection: Libssh2Connection
    private let channel: Libssh2Channel

    init(_ channel: Libssh2Channel, of connection: Libssh2Connection) {
        self.channel = channel
        self.connection = connection
    }

    func send(_ bytes: [UInt8]) async throws {
        var sent = 0
        while sent < bytes.count {
            sent += try await connection.complete { () throws(TeleportError) in
                try channel.write(bytes.span.extracting(sent..<bytes.count))
            }
        }
    }

    func receive() async throws -> [UInt8] {
        try await connection.complete { () throws(TeleportError) in try channel.read() }
    }

    func close() {}
}
