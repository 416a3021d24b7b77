import Base
import Diagnostics
import EventLoop
import Glibc
import HTTPClient
import Logging
import Testing

/// Two loops of a process, watched over HTTP. They go on until the tests end.
struct WatchedProcess: Sendable {
    let loops: [EventLoop]
    let diagnostics = Diagnostics()
    let client: HTTPClient
    let address: SocketAddress
    private let clientLoop: EventLoop

    var port: UInt16 { address.port ?? 0 }

    init() async throws {
        loops = ["main", "loop-1"].map { EventLoop(name: $0) }
        for loop in loops { loop.start() }
        clientLoop = EventLoop(name: "clients")
        clientLoop.start()
        client = HTTPClient(on: clientLoop, tls: HTTPClientTLS(server: .none))
        address = try await DiagnosticsServer.start(
            on: SocketAddress(.loopback4, port: 0), loops: loops, diagnostics: diagnostics, version: "1.2.3", clock: SystemClock(),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ).address
    }

    func get(_ path: String) async throws -> HTTPClientResponse { try await send(.get, path) }

    /// Asks until the answer has that status: true, or the time limit of the test ends it.
    func answers(_ status: Int, to path: String) async throws -> Bool {
        while try await get(path).status != status {}
        return true
    }

    func send(_ method: HTTPClientRequest.Method, _ path: String, headers: [HTTPField] = []) async throws -> HTTPClientResponse {
        try await client.send(HTTPClientRequest(method, "http://127.0.0.1:\(port)\(path)", headers: headers))
    }

    /// What is sent to a plain GET while so many other connections are open from the same address.
    func answer(beside others: Int) async throws -> String {
        let port = port
        return try await clientLoop.work {
            let open = try (0..<others).map { _ in try connected(to: port) }
            defer { for descriptor in open { close(descriptor) } }
            let last = try connected(to: port)
            defer { close(last) }
            let request = Array("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8)
            try FileIO.write(request, descriptor: last)
            // Who is not served may be told so by a reset.
            return String(decoding: (try? FileIO.readAll(last, max: 1 << 16, name: "the answer")) ?? [], as: UTF8.self)
        }
    }
}

private func connected(to port: UInt16) throws -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let code = unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    try #require(code == 0)
    return descriptor
}

/// Holds a thread until it is opened.
final class Gate: Sendable {
    private let ends: (Int32, Int32)

    init() throws {
        var descriptors: [Int32] = [0, 0]
        try #require(unsafe pipe(&descriptors) == 0)
        ends = (descriptors[0], descriptors[1])
    }

    func wait() { _ = try? FileIO.readSome(ends.0, name: "the gate", max: 1) }
    func open() { try? FileIO.write([1], descriptor: ends.1) }
}

extension HTTPClientResponse {
    var text: String { String(decoding: body, as: UTF8.self) }
}
