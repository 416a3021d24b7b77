import Base
import Crypto
import EventLoop
import HTTPClient
import HTTPServer
import Testing

/// What the tests ask for.
func testRouter() -> HTTPRouter {
    var router = HTTPRouter()
    router.add(.get, "/v1/ping") { _ in .text("pong") }
    router.add(.get, "/v1/users/:name") { .text("user \($0.parameter("name")) \($0.query["q"] ?? "-")") }
    router.add(.post, "/v1/echo", bodyBytesMax: 100_000) { HTTPResponse(contentType: "application/octet-stream", body: $0.body) }
    router.add(.get, "/v1/who") { .text($0.peer?.certificate.commonName ?? "nobody") }
    router.add(.get, "/v1/large") { _ in HTTPResponse(body: [UInt8](repeating: 7, count: 8 << 20)) }
    router.add(.get, "/v1/denied") { _ in throw TeleportError.accessDenied("not \"you\"\n") }
    router.add(.delete, "/v1/users/:name") { _ in .noContent }
    return router
}

extension HTTPTests {
    @Suite("HTTPServer")
    struct HTTPServerTests {
        @Test func `answers over TLS to curl and to our client`() async throws {
            let authority = try TestAuthority("ca")
            let server = try await TestServer(HTTPServerConfiguration(identity: try authority.serverIdentity()), testRouter())
            #expect(try await server.curl("-k -i \(server.url)/v1/ping").contains("HTTP/1.1 200 OK\r\n"))
            #expect(try await server.curl("-k --http2 \(server.url)/v1/users/ann%20b?q=1%262") == "user ann b 1&2")
            #expect(try await server.curl("-k --tls-max 1.1 \(server.url)/v1/ping").contains("curl:"))
            let response = try await server.client(authority.trust()).send(HTTPClientRequest(.get, server.url + "/v1/ping"))
            #expect(response.status == 200 && response.body == Array("pong".utf8))
            #expect(response.header("x-content-type-options") == "nosniff")
            await server.close()
        }

        @Test func `keeps a connection for many requests, with and without body`() async throws {
            let authority = try TestAuthority("ca")
            let server = try await TestServer(HTTPServerConfiguration(identity: try authority.serverIdentity()), testRouter())
            let client = server.client(authority.trust())
            for size in [0, 1, 5000, 100_000] {
                let body = [UInt8](repeating: UInt8(size % 251), count: size)
                let response = try await client.send(HTTPClientRequest(.post, server.url + "/v1/echo", body: body))
                #expect(response.status == 200 && response.body == body)
            }
            let large = try await client.send(HTTPClientRequest(.get, server.url + "/v1/large"))
            #expect(large.body.count == 8 << 20)
            #expect(try await client.send(HTTPClientRequest(.delete, server.url + "/v1/users/x")).status == 204)
            let head = try await client.send(HTTPClientRequest(.head, server.url + "/v1/ping"))
            #expect(head.status == 200 && head.body.isEmpty && head.header("content-length") == "4")
            #expect(try await server.inside { $0.connectionCount } == 1)
            await server.close()
        }

        @Test func `says what is wrong with a status and a body of the error's kind`() async throws {
            let server = try await TestServer(HTTPServerConfiguration(identity: nil), testRouter())
            let client = server.client()
            let missing = try await client.send(HTTPClientRequest(.get, server.url + "/v1/nothing"))
            #expect(missing.status == 404)
            #expect(
                String(decoding: missing.body, as: UTF8.self) == #"{"error":{"kind":"NotFound","message":"there is nothing at this path"}}"#
            )
            let method = try await client.send(HTTPClientRequest(.put, server.url + "/v1/ping", body: [1]))
            #expect(method.status == 405 && method.header("Allow") == "GET, HEAD")
            let denied = try await client.send(HTTPClientRequest(.get, server.url + "/v1/denied"))
            #expect(denied.status == 403)
            #expect(
                String(decoding: denied.body, as: UTF8.self) == #"{"error":{"kind":"AccessDenied","message":"not \"you\"\n"}}"#)
            await server.close()
        }

        @Test func `refuses a body above the route's limit before reading it`() async throws {
            let server = try await TestServer(HTTPServerConfiguration(identity: nil), testRouter())
            let response = try await server.client().send(
                HTTPClientRequest(.post, server.url + "/v1/echo", body: [UInt8](repeating: 0, count: 100_001)))
            #expect(response.status == 413)
            await server.close()
        }

        static let malformed: [(name: String, bytes: String, answer: String)] = [
            ("chunked body", "POST /v1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "400"),
            (
                "length and chunks", "POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
                "400"
            ),
            ("two lengths", "POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "400"),
            ("a length with a sign", "POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", "400"),
            ("no length", "POST /v1/echo HTTP/1.1\r\nHost: a\r\n\r\nhello", "411"),
            ("huge length", "POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", "400"),
        ]

        @Test(arguments: malformed)
        func `answers and closes where two readers could disagree`(vector: (name: String, bytes: String, answer: String)) async throws {
            let server = try await TestServer(HTTPServerConfiguration(identity: nil), testRouter())
            let answer = try await server.exchange(vector.bytes + "GET /v1/ping HTTP/1.1\r\nHost: a\r\n\r\n")
            #expect(answer.hasPrefix("HTTP/1.1 \(vector.answer) "), "\(vector.name): \(answer)")
            #expect(!answer.contains("pong"), "\(vector.name)")
            await server.close()
        }

        static let dropped: [(name: String, bytes: String)] = [
            ("unknown method", "BREW /v1/ping HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("CONNECT", "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("absolute URI", "GET http://elsewhere/v1/ping HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("100 KB of header", "GET /v1/ping HTTP/1.1\r\nHost: a\r\nX-Filler: \(String(repeating: "a", count: 100_000))\r\n\r\n"),
            (
                "WebSocket",
                "GET /v1/ping HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ),
            (
                "HTTP/2 upgrade",
                "GET /v1/ping HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
            ),
            ("a TLS hello", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}"),
            ("a balancer's header", "PROXY TCP4 10.0.0.1 10.0.0.2 5000 80\r\nGET /v1/ping HTTP/1.1\r\nHost: a\r\n\r\n"),
        ]

        @Test(arguments: dropped)
        func `serves nothing for`(vector: (name: String, bytes: String)) async throws {
            var configuration = HTTPServerConfiguration(identity: nil)
            configuration.limits.headerTimeout = .milliseconds(500)
            let server = try await TestServer(configuration, testRouter())
            let answer = try await server.exchange(vector.bytes)
            #expect(!answer.contains("pong") && !answer.hasPrefix("HTTP/1.1 2") && !answer.contains("101 "), "\(vector.name): \(answer)")
            #expect(try await server.client().send(HTTPClientRequest(.get, server.url + "/v1/ping")).status == 200)
            await server.close()
        }

        @Test func `answers requests that are sent ahead in order`() async throws {
            let server = try await TestServer(HTTPServerConfiguration(identity: nil), testRouter())
            let answer = try await server.exchange(
                "GET /v1/users/one HTTP/1.1\r\nHost: a\r\n\r\nGET /v1/users/two HTTP/1.1\r\nHost: a\r\n\r\n"
                    + "GET /v1/users/three HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            let bodies = ["user one -", "user two -", "user three -"]
            #expect(answer.components(of: bodies) == bodies, "\(answer)")
            await server.close()
        }

        @Test(arguments: ["/v1/echo", "/v1/nothing"], ["abc", String(repeating: "b", count: 50_000), "POST /v1/echo"])
        func `ends a connection on which a body is sent ahead`(path: String, body: String) async throws {
            let server = try await TestServer(HTTPServerConfiguration(identity: nil), testRouter())
            let answer = try await server.exchange(
                "GET /v1/users/one HTTP/1.1\r\nHost: a\r\n\r\nPOST \(path) HTTP/1.1\r\nHost: a\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                    + "GET /v1/users/three HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            #expect(!answer.contains("user three") && !answer.contains(body), "\(answer)")
            #expect(try await server.client().send(HTTPClientRequest(.get, server.url + "/v1/ping")).status == 200)
            await server.close()
        }

        @Test func `takes a body that comes with its header`() async throws {
            let server = try await TestServer(HTTPServerConfiguration(identity: nil), testRouter())
            let answer = try await server.exchange(
                "POST /v1/echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello")
            #expect(answer.hasSuffix("\r\n\r\nhello"))
            await server.close()
        }

        @Test func `cuts clients that are slow with the header or the body`() async throws {
            var configuration = HTTPServerConfiguration(identity: nil)
            configuration.limits.headerTimeout = .milliseconds(200)
            configuration.limits.bodyTimeout = .milliseconds(200)
            configuration.limits.idleTimeout = .milliseconds(200)
            let server = try await TestServer(configuration, testRouter())
            #expect(try await server.exchange("GET /v1/pi") == "")
            #expect(try await server.exchange("POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc") == "")
            #expect(try await server.exchange("GET /v1/ping HTTP/1.1\r\nHost: a\r\n\r\n").hasSuffix("pong"))
            #expect(try await server.inside { $0.connectionCount } == 0)
            await server.close()
        }

        @Test func `holds no more connections of one address than its limit`() async throws {
            var configuration = HTTPServerConfiguration(identity: nil)
            configuration.limits.connectionsPerAddressMax = 1
            let server = try await TestServer(configuration, testRouter())
            let first = server.client()
            #expect(try await first.send(HTTPClientRequest(.get, server.url + "/v1/ping")).status == 200)
            await #expect(throws: TeleportError.self) {
                try await server.client().send(HTTPClientRequest(.get, server.url + "/v1/ping"))
            }
            #expect(try await first.send(HTTPClientRequest(.get, server.url + "/v1/ping")).status == 200)
            await server.close()
        }

        @Test func `a client has the address that it comes from, whatever it says`() async throws {
            var router = testRouter()
            router.add(.get, "/v1/whoami") { request in HTTPResponse(body: Array("\(request.peerAddress)".utf8)) }
            let server = try await TestServer(HTTPServerConfiguration(identity: nil), router)
            let claims = "-H 'X-Forwarded-For: 10.0.0.1, 10.0.0.2' -H 'X-Real-IP: 10.0.0.3' -H 'Forwarded: for=10.0.0.4'"
            #expect(try await server.curl("\(claims) \(server.url)/v1/whoami").hasPrefix("127.0.0.1:"))
            await server.close()
        }

        @Test func `serves 200 requests at once`() async throws {
            let authority = try TestAuthority("ca")
            var configuration = HTTPServerConfiguration(identity: try authority.serverIdentity())
            configuration.limits.connectionsPerAddressMax = 256
            let server = try await TestServer(configuration, testRouter())
            let client = server.client(authority.trust())
            let url = server.url
            let good = try await withThrowingTaskGroup(of: Bool.self) { group in
                for index in 0..<200 {
                    group.addTask {
                        let response = try await client.send(HTTPClientRequest(.get, "\(url)/v1/users/u\(index)"))
                        return response.body == Array("user u\(index) -".utf8)
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(good == 200)
            await server.close()
        }

        @Test func `starts and stops 20 times, with connections open`() async throws {
            let authority = try TestAuthority("ca")
            let identity = try authority.serverIdentity()
            for _ in 0..<20 {
                let server = try await TestServer(HTTPServerConfiguration(identity: identity), testRouter())
                #expect(try await server.client(authority.trust()).send(HTTPClientRequest(.get, server.url + "/v1/ping")).status == 200)
                await server.close()
            }
        }

        @Test func `gives the request under way its answer before it closes`() async throws {
            let gate = Gate()
            var router = testRouter()
            router.add(.get, "/v1/slow") { _ in
                await gate.enter()
                return .text("done")
            }
            let server = try await TestServer(HTTPServerConfiguration(identity: nil), router)
            let client = server.client()
            async let response = client.send(HTTPClientRequest(.get, server.url + "/v1/slow"))
            await gate.someoneIsInside()
            async let closed: Void = server.close()
            gate.open()
            #expect(try await response.body == Array("done".utf8))
            await closed
        }

        @Test func `lets go of a client that leaves before its answer`() async throws {
            let gate = Gate()
            var router = testRouter()
            router.add(.get, "/v1/slow") { _ in
                await gate.enter()
                return .text("done")
            }
            let server = try await TestServer(HTTPServerConfiguration(identity: nil), router)
            let client = server.client()
            let url = server.url
            await withTaskGroup(of: Void.self) { group in
                group.addTask { _ = try? await client.send(HTTPClientRequest(.get, url + "/v1/slow")) }
                await gate.someoneIsInside()
                group.cancelAll()
            }
            gate.open()
            #expect(try await client.send(HTTPClientRequest(.get, url + "/v1/ping")).status == 200)
            await server.close(grace: .zero)
        }

        @Test func `takes a new certificate while running, and keeps the old one where the new is no good`() async throws {
            let authority = try TestAuthority("ca")
            let other = try TestAuthority("other")
            let server = try await TestServer(HTTPServerConfiguration(identity: try authority.serverIdentity()), testRouter())
            let renewed = try other.serverIdentity()
            await #expect(throws: TeleportError.self) {
                try await server.inside {
                    try $0.setIdentity(HTTPServerIdentity(certificates: renewed.certificates, privateKey: SecretBytes([1, 2, 3])))
                }
            }
            #expect(try await server.client(authority.trust()).send(HTTPClientRequest(.get, server.url + "/v1/ping")).status == 200)
            try await server.inside { try $0.setIdentity(renewed) }
            #expect(try await server.client(other.trust()).send(HTTPClientRequest(.get, server.url + "/v1/ping")).status == 200)
            await server.close()
        }

        @Test func `does not start with a key that is not the certificate's`() async throws {
            let authority = try TestAuthority("ca")
            let identity = HTTPServerIdentity(
                certificates: try authority.serverIdentity().certificates, privateKey: try authority.serverIdentity().privateKey)
            await #expect(throws: TeleportError.self) { try await TestServer(HTTPServerConfiguration(identity: identity), testRouter()) }
        }
    }
}

extension String {
    /// Those of `parts` that occur, in the order of their places.
    func components(of parts: [String]) -> [String] {
        var rest = self[...]
        return parts.filter { part in
            guard let range = rest.firstRange(of: part) else { return false }
            rest = rest[range.upperBound...]
            return true
        }
    }
}

/// Holds a handler until the test lets it go.
final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var inside: [CheckedContinuation<Void, Never>] = []
        var watchers: [CheckedContinuation<Void, Never>] = []
        var entered = 0
    }

    private let state = Lock(State())

    func enter() async {
        await withCheckedContinuation { continuation in
            let (goesOn, watchers) = state.withLock { state in
                state.entered += 1
                defer { state.watchers = [] }
                if !state.isOpen { state.inside.append(continuation) }
                return (state.isOpen, state.watchers)
            }
            if goesOn { continuation.resume() }
            for watcher in watchers { watcher.resume() }
        }
    }

    func someoneIsInside() async {
        await withCheckedContinuation { continuation in
            let isInside = state.withLock { state in
                if state.entered == 0 { state.watchers.append(continuation) }
                return state.entered > 0
            }
            if isInside { continuation.resume() }
        }
    }

    func open() {
        let inside = state.withLock { state in
            state.isOpen = true
            defer { state.inside = [] }
            return state.inside
        }
        for continuation in inside { continuation.resume() }
    }
}
