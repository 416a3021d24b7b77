package import Base
internal import ClusterModel
package import EventLoop
internal import HTTPClient

/// Calls over HTTPS to the first auth server that answers; the one that did is asked first the next time.
package final class HTTPSTransport: AuthTransport {
    /// How the server proves itself.
    package enum ServerName: Sendable {
        /// An auth server of this cluster, by the name in its certificate, wherever it is.
        case authServer(cluster: String)
        /// Whoever has a server certificate of the authority: an auth server or a proxy.
        case anyOfAuthority
        /// Nobody: for the first contact, whose answer is compared with a pin.
        case unverified
    }

    private let client: HTTPClient
    private let servers: [HostPort]
    private let host: String?
    private let socket: String?
    private let preferred = Lock(0)

    /// - Parameter identity: nil for a stranger.
    /// - Parameter socket: the path of a unix socket behind which the server is; then `servers` names it in errors alone.
    package init(
        servers: [HostPort], name: ServerName, authorities: [String], identity: HostIdentity?, socket: String? = nil,
        on eventLoop: EventLoop
    ) {
        precondition(!servers.isEmpty, "an auth client needs a server")
        self.socket = socket
        self.servers = servers
        let pem = authorities.joined(separator: "\n")
        var tls: HTTPClientTLS
        switch name {
        case .authServer(let cluster):
            host = TLSIdentity.authServerName(cluster: cluster)
            tls = HTTPClientTLS(server: .authorities(pem))
        case .anyOfAuthority:
            host = nil
            tls = HTTPClientTLS(server: .authorities(pem), checksHostName: false)
        case .unverified:
            host = nil
            tls = HTTPClientTLS(server: .none, checksHostName: false)
        }
        tls.identity = identity.map { .init(certificates: $0.tlsCertificate, privateKey: SecretBytes(Array($0.tlsPrivateKey.utf8))) }
        client = HTTPClient(on: eventLoop, tls: tls)
    }

    package func post(_ path: String, body: [UInt8], timeout: Duration) async throws(TeleportError) -> [UInt8] {
        let first = preferred.withLock { $0 }
        var last = TeleportError.connectionProblem("no auth server")
        for offset in servers.indices {
            let index = (first + offset) % servers.count
            let server = servers[index]
            let response: HTTPClientResponse
            do throws(TeleportError) {
                response = try await client.send(
                    HTTPClientRequest(
                        .post, "https://\(host.map { HostPort(host: $0, port: server.port) } ?? server)\(path)",
                        headers: [HTTPField("Content-Type", "application/json")], body: body, timeout: timeout,
                        responseBytesMax: Endpoints.responseBytesMax, connectTo: server, unixSocket: socket))
            } catch {
                guard error.kind == .connectionProblem, !Task.isCancelled else { throw error }
                last = .connectionProblem("the auth server \(server) cannot be reached: \(error.message)", cause: error)
                continue
            }
            preferred.withLock { $0 = index }
            guard (200..<300).contains(response.status) else { throw AuthAPIError.decode(status: response.status, body: response.body) }
            return response.body
        }
        throw last
    }
}

extension AuthClient {
    /// For a host of the cluster.
    package init(servers: [HostPort], identity: HostIdentity, on eventLoop: EventLoop) {
        self.init(
            transport: HTTPSTransport(
                servers: servers, name: .authServer(cluster: identity.cluster), authorities: identity.tlsAuthorities, identity: identity,
                on: eventLoop))
    }

    /// For a host of the cluster that reaches no auth server but through a unix socket of its own.
    package init(socket: String, identity: HostIdentity, on eventLoop: EventLoop) {
        let server = HostPort(host: TLSIdentity.authServerName(cluster: identity.cluster), port: 443)
        self.init(
            transport: HTTPSTransport(
                servers: [server], name: .authServer(cluster: identity.cluster), authorities: identity.tlsAuthorities, identity: identity,
                socket: socket, on: eventLoop))
    }

    /// For a stranger, who knows at most a pin: asks for the cluster's TLS authority, compares, and believes nobody else from then on.
    ///
    /// - Parameter server: an auth server (3025) or a proxy's HTTPS (3080).
    /// - Parameter pin: `sha256:HEX`; empty: what the first contact says is believed, which the caller warns of.
    /// - Returns: the cluster's name and a client without an identity.
    /// - Throws: `AccessDenied` where the authority is not the one of the pin.
    package static func firstContact(
        server: HostPort, pin: String, on eventLoop: EventLoop
    ) async throws(TeleportError) -> (cluster: String, authorities: [String], client: AuthClient) {
        let unverified = AuthClient(
            transport: HTTPSTransport(servers: [server], name: .unverified, authorities: [], identity: nil, on: eventLoop))
        let answer = try await unverified.tlsAuthority()
        try Names.checkCluster(answer.cluster)
        let believed = try CertificatePin.select(answer.certificates, pin: pin)
        let verified = HTTPSTransport(servers: [server], name: .anyOfAuthority, authorities: believed, identity: nil, on: eventLoop)
        return (answer.cluster, believed, AuthClient(transport: verified))
    }
}
