import Base
import Crypto
import HTTPClient
import HTTPServer
import Testing

extension HTTPTests {
    @Suite("Mutual TLS")
    struct MutualTLSTests {
        private func server(_ authority: TestAuthority, requires: Bool = false, trusting: [TestAuthority]) async throws -> TestServer {
            let certificates = trusting.map(\.certificate)
            return try await TestServer(
                HTTPServerConfiguration(
                    identity: try authority.serverIdentity(),
                    clientCertificates: requires ? .required(authorities: certificates) : .optional(authorities: certificates)),
                testRouter())
        }

        private func who(_ server: TestServer, _ client: HTTPClient) async throws -> String {
            let response = try await client.send(HTTPClientRequest(.get, server.url + "/v1/who"))
            return "\(response.status) " + String(decoding: response.body, as: UTF8.self)
        }

        @Test func `tells the handler who the client is, or that it is nobody`() async throws {
            let authority = try TestAuthority("ca")
            let server = try await server(authority, trusting: [authority])
            #expect(try await who(server, server.client(authority.trust(try authority.clientIdentity("ann")))) == "200 ann")
            #expect(try await who(server, server.client(authority.trust())) == "200 nobody")
            await server.close()
        }

        @Test func `refuses what no authority of ours vouches for`() async throws {
            let authority = try TestAuthority("ca")
            let other = try TestAuthority("other")
            // The same name, another key.
            let impostor = try TestAuthority("ca")
            let server = try await server(authority, trusting: [authority])
            let bad = [
                try other.clientIdentity(), try impostor.clientIdentity(), try authority.clientIdentity(uses: [.server]),
                try authority.clientIdentity(notAfter: .seconds(-1)),
            ]
            for identity in bad {
                let answer = try await who(server, server.client(authority.trust(identity)))
                #expect(answer.hasPrefix("403 ") && answer.contains("client certificate"), "\(answer)")
            }
            await server.close()
        }

        @Test func `a server that requires certificates does not speak to those without`() async throws {
            let authority = try TestAuthority("ca")
            let server = try await server(authority, requires: true, trusting: [authority])
            await #expect(throws: TeleportError.self) { try await who(server, server.client(authority.trust())) }
            #expect(try await who(server, server.client(authority.trust(try authority.clientIdentity("ann")))) == "200 ann")
            await server.close()
        }

        @Test func `trust that comes and goes counts from the next request, on open connections too`() async throws {
            let authority = try TestAuthority("ca")
            let leaf = try TestAuthority("leaf")
            let server = try await server(authority, trusting: [authority])
            let client = server.client(authority.trust(try leaf.clientIdentity("agent")))
            #expect(try await who(server, client).hasPrefix("403 "))
            let (own, their) = (authority.certificate, leaf.certificate)
            try await server.inside { $0.setClientAuthorities([own, their]) }
            #expect(try await who(server, client) == "200 agent")
            #expect(try await who(server, client) == "200 agent")
            try await server.inside { $0.setClientAuthorities([own]) }
            #expect(try await who(server, client).hasPrefix("403 "))
            await server.close()
        }
    }
}
