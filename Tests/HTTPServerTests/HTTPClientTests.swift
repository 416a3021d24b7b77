import Base
import Crypto
import HTTPClient
import HTTPServer
import Testing

extension HTTPTests {
    @Suite("HTTPClient")
    struct HTTPClientTests {
        private func kind(_ body: () async throws -> HTTPClientResponse) async throws -> ErrorKind? {
            do {
                _ = try await body()
                return nil
            } catch let error as TeleportError {
                return error.kind
            }
        }

        @Test func `believes its own authorities alone`() async throws {
            let authority = try TestAuthority("ca")
            let other = try TestAuthority("other")
            let server = try await TestServer(HTTPServerConfiguration(identity: try authority.serverIdentity()), testRouter())
            let request = HTTPClientRequest(.get, server.url + "/v1/ping")
            #expect(try await kind { try await server.client(authority.trust()).send(request) } == nil)
            #expect(try await kind { try await server.client(other.trust()).send(request) } == .accessDenied)
            #expect(try await kind { try await server.client(HTTPClientTLS(server: .system)).send(request) } == .accessDenied)
            #expect(try await kind { try await server.client(HTTPClientTLS(server: .none)).send(request) } == nil)
            await server.close()
        }

        @Test func `checks the name in the URL, whomever it connects to`() async throws {
            let authority = try TestAuthority("ca")
            let server = try await TestServer(HTTPServerConfiguration(identity: try authority.serverIdentity()), testRouter())
            let here = HostPort(host: "127.0.0.1", port: server.port)
            let right = HTTPClientRequest(.get, "https://localhost/v1/ping", connectTo: here)
            let wrong = HTTPClientRequest(.get, "https://elsewhere.example/v1/ping", connectTo: here)
            #expect(try await kind { try await server.client(authority.trust()).send(right) } == nil)
            #expect(try await kind { try await server.client(authority.trust()).send(wrong) } == .accessDenied)
            let nameless = HTTPClientTLS(server: .authorities(authority.certificate.pem), checksHostName: false)
            #expect(try await kind { try await server.client(nameless).send(wrong) } == nil)
            await server.close()
        }

        @Test func `a pin holds whatever else is believed`() async throws {
            let authority = try TestAuthority("ca")
            let identity = try authority.serverIdentity()
            let server = try await TestServer(HTTPServerConfiguration(identity: identity), testRouter())
            let request = HTTPClientRequest(.get, server.url + "/v1/ping")
            let certificate = try X509Certificate(pem: identity.certificates)
            let pin = try #require(Hex.decode(String(certificate.publicKeyPin.dropFirst("sha256:".count))))
            #expect(try await kind { try await server.client(HTTPClientTLS(server: .none, pinnedPublicKey: pin)).send(request) } == nil)
            let other = [UInt8](repeating: 1, count: 32)
            #expect(
                try await kind { try await server.client(HTTPClientTLS(server: .none, pinnedPublicKey: other)).send(request) }
                    == .accessDenied)
            await server.close()
        }

        @Test func `gives up an answer that is too long`() async throws {
            let server = try await TestServer(HTTPServerConfiguration(identity: nil), testRouter())
            let request = HTTPClientRequest(.get, server.url + "/v1/large", responseBytesMax: 1000)
            #expect(try await kind { try await server.client().send(request) } == .limitExceeded)
            await server.close()
        }

        @Test func `says what is wrong with a request that cannot be made`() async throws {
            let server = try await TestServer(HTTPServerConfiguration(identity: nil), testRouter())
            let client = server.client()
            for url in ["file:///etc/passwd", "ftp://127.0.0.1/", "not a url"] {
                let found = try await kind { try await client.send(HTTPClientRequest(.get, url)) }
                #expect(found == .badParameter, "\(url)")
            }
            let field = HTTPField("X-Name", "value\r\nX-Other: 1")
            #expect(
                try await kind { try await client.send(HTTPClientRequest(.get, server.url + "/v1/ping", headers: [field])) }
                    == .badParameter)
            await server.close()
        }

        @Test func `ends by its timeout and by its task's cancellation`() async throws {
            let gate = Gate()
            var router = testRouter()
            router.add(.get, "/v1/slow") { _ in
                await gate.enter()
                return .text("done")
            }
            let server = try await TestServer(HTTPServerConfiguration(identity: nil), router)
            let client = server.client()
            let url = server.url
            let brief = HTTPClientRequest(.get, url + "/v1/slow", timeout: .milliseconds(50))
            #expect(try await kind { try await client.send(brief) } == .connectionProblem)
            let cancelled = try await withThrowingTaskGroup(of: ErrorKind?.self) { group in
                group.addTask {
                    do {
                        _ = try await client.send(HTTPClientRequest(.get, url + "/v1/slow"))
                        return nil
                    } catch let error as TeleportError {
                        return error.kind
                    }
                }
                group.cancelAll()
                return try await group.next() ?? nil
            }
            #expect(cancelled == .connectionProblem)
            gate.open()
            await server.close(grace: .zero)
        }

        @Test func `says that nobody is there`() async throws {
            let server = try await TestServer(HTTPServerConfiguration(identity: nil), testRouter())
            let client = server.client()
            let url = server.url
            let server2 = try await TestServer(HTTPServerConfiguration(identity: nil), testRouter())
            let gone = server2.url
            await server2.close()
            #expect(try await kind { try await client.send(HTTPClientRequest(.get, gone + "/v1/ping")) } == .connectionProblem)
            #expect(try await kind { try await client.send(HTTPClientRequest(.get, url + "/v1/ping")) } == nil)
            await server.close()
        }
    }
}
