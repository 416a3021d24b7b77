import Base
import Crypto
import EventLoop
import Glibc
import HTTPClient
import HTTPServer
import Logging
import Testing

/// The wall clock as it was when the test process began: certificates are made around it.
struct SystemClockForTests: Clock {
    static let start = SystemClock().wallTime()
    func now() -> Instant { SystemClock().now() }
    func wallTime() -> UnixTime { SystemClock().wallTime() }
}

/// A server on a loop of its own, and a loop for its clients.
final class TestServer: Sendable {
    let eventLoop: EventLoop
    let clientLoop: EventLoop
    let server: LoopBound<HTTPServer>
    let address: SocketAddress
    let scheme: String

    var port: UInt16 { address.port ?? 0 }
    var url: String { "\(scheme)://127.0.0.1:\(port)" }

    init(_ configuration: HTTPServerConfiguration, _ router: HTTPRouter) async throws {
        let eventLoop = EventLoop(name: "server")
        eventLoop.start()
        clientLoop = EventLoop(name: "clients")
        clientLoop.start()
        self.eventLoop = eventLoop
        let server = LoopBound<HTTPServer>(eventLoop)
        self.server = server
        scheme = configuration.identity == nil ? "http" : "https"
        address = try await withCheckedThrowingContinuation { continuation in
            eventLoop.post { eventLoop in
                continuation.resume(
                    with: Result {
                        let made = try HTTPServer(
                            configuration, router: router, clock: SystemClock(), on: eventLoop.inside,
                            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
                        server.set(made, on: eventLoop)
                        return try made.listen(on: SocketAddress(.loopback4, port: 0))
                    })
            }
        }
    }

    /// Runs `body` with the server, where it lives.
    func inside<T: Sendable>(_ body: @escaping @Sendable (HTTPServer) throws -> T) async throws -> T {
        let server = server
        return try await withCheckedThrowingContinuation { continuation in
            eventLoop.post { eventLoop in
                guard let server = server.value(on: eventLoop) else { preconditionFailure("the server is closed") }
                continuation.resume(with: Result { try body(server) })
            }
        }
    }

    func close(grace: Duration = .seconds(5)) async {
        let server = server
        await withCheckedContinuation { continuation in
            eventLoop.post { eventLoop in
                server.value(on: eventLoop)?.close(grace: grace) { continuation.resume() }
                server.set(nil, on: eventLoop)
            }
        }
        eventLoop.stop()
        clientLoop.stop()
    }

    func client(_ tls: HTTPClientTLS = HTTPClientTLS(server: .none)) -> HTTPClient { HTTPClient(on: clientLoop, tls: tls) }

    /// The output of curl, the program.
    func curl(_ arguments: String) async throws -> String {
        let command = "curl -s -S -m 10 \(arguments) 2>&1"
        return try await withCheckedThrowingContinuation { continuation in
            clientLoop.post { eventLoop in
                eventLoop.inside.work({ try run(command) }, then: { continuation.resume(with: $0) })
            }
        }
    }

    /// What the server sends to these bytes until it closes, on a connection without TLS.
    func exchange(_ bytes: String) async throws -> String {
        let port = port
        return try await withCheckedThrowingContinuation { continuation in
            clientLoop.post { eventLoop in
                eventLoop.inside.work({ try exchangeBytes(bytes, port: port) }, then: { continuation.resume(with: $0) })
            }
        }
    }
}

private func run(_ command: String) throws -> String {
    let file = try unsafe #require(unsafe popen(command, "r"))
    defer { unsafe pclose(file) }
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = unsafe fread(&buffer, 1, buffer.count, file)
        if count == 0 { break }
        output += buffer[..<count]
    }
    return String(decoding: output, as: UTF8.self)
}

private func exchangeBytes(_ text: String, port: UInt16) throws -> String {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { Glibc.close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let connected = unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    try #require(connected == 0)
    var limit = timeval(tv_sec: 10, tv_usec: 0)
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    let bytes = Array(text.utf8)
    _ = unsafe send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
        if count <= 0 { break }
        output += buffer[..<count]
    }
    return String(decoding: output, as: UTF8.self)
}
