package import AuthAPI
package import Base
internal import ClusterModel
package import EventLoop
internal import HTTPClient

/// A proxy's HTTPS (3080), for those who have no certificate yet: login and sign-up.
package struct ProxyWeb: AuthTransport {
    /// How the proxy proves itself.
    package enum Trust: Equatable, Sendable {
        /// By the system's authorities.
        case system
        /// By the cluster's own TLS authority, whose pin is known: `sha256:HEX`.
        case pin(String)
        /// Not at all: `--insecure`.
        case anybody
    }

    /// What `GET /v1/ping` says.
    package struct Ping: Decodable, Sendable {
        package let cluster: String
        package let version: String
        let sshAddress: String

        /// For users' SSH.
        package var sshPort: UInt16 { HostPort(sshAddress)?.port ?? ProxyAddress.defaultSSHPort }

        private enum CodingKeys: String, CodingKey {
            case cluster, version
            case sshAddress = "ssh_addr"
        }
    }

    private let client: HTTPClient
    private let server: HostPort

    package init(_ server: HostPort, trust: Trust, on loop: isolated EventLoop) async throws(TeleportError) {
        self.server = server
        let tls: HTTPClientTLS =
            switch trust {
            case .system: HTTPClientTLS(server: .system)
            case .anybody: HTTPClientTLS(server: .none, checksHostName: false)
            case .pin(let pin):
                HTTPClientTLS(
                    server: .authorities(
                        try await AuthClient.firstContact(server: server, pin: pin, on: loop).authorities.joined(separator: "\n")),
                    checksHostName: false)
            }
        client = HTTPClient(on: loop, tls: tls)
    }

    package var auth: AuthClient { AuthClient(transport: self) }

    package func ping() async throws(TeleportError) -> Ping {
        let body = try await send(
            HTTPClientRequest(.get, "https://\(server)/v1/ping", timeout: AuthClient.timeout, responseBytesMax: 1 << 16))
        do { return try JSONText.decode(Ping.self, from: body) } catch {
            throw .connectionProblem("\(server) does not answer as a proxy of ours", cause: error)
        }
    }

    package func post(_ path: String, body: [UInt8], timeout: Duration) async throws(TeleportError) -> [UInt8] {
        try await send(
            HTTPClientRequest(
                .post, "https://\(server)\(path)", headers: [HTTPField("Content-Type", "application/json")], body: body, timeout: timeout,
                responseBytesMax: Endpoints.responseBytesMax))
    }

    private func send(_ request: HTTPClientRequest) async throws(TeleportError) -> [UInt8] {
        let response: HTTPClientResponse
        do throws(TeleportError) {
            response = try await client.send(request)
        } catch  where error.kind == .accessDenied {
            throw .accessDenied(
                "the proxy \(server) cannot prove who it is: \(error.message); give the cluster's pin with --ca-pin=sha256:… (`tctl status` prints it), or --insecure",
                cause: error)
        } catch  where error.kind == .connectionProblem {
            throw .connectionProblem("the proxy \(server) cannot be reached: \(error.message)", cause: error)
        }
        guard (200..<300).contains(response.status) else { throw AuthAPIError.decode(status: response.status, body: response.body) }
        return response.body
    }
}

/// A one-time sign-up URL, as `tctl users add` prints it: `https://PROXY:3080/web/newuser/TOKEN`.
package struct SignupURL: Equatable, Sendable {
    package let server: HostPort
    package let token: String

    package init(_ text: String) throws(TeleportError) {
        let scheme = "https://"
        guard text.hasPrefix(scheme) else { throw Self.malformed }
        let parts = text.dropFirst(scheme.count).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[1] == "web", parts[2] == "newuser", !parts[3].isEmpty,
            let server = HostPort(String(parts[0]), defaultPort: ProxyAddress.defaultWebPort), server.port > 0
        else { throw Self.malformed }
        self.server = server
        token = String(parts[3])
    }

    /// The token in it is a secret: the message does not repeat it.
    private static let malformed = TeleportError.badParameter("this is not a sign-up URL: https://PROXY:3080/web/newuser/TOKEN")
}
