package import AuthAPI
package import Base
package import EventLoop
internal import HTTPServer
package import Logging
package import SSHNet

/// What `GET /v1/ping` tells a stranger.
package struct WebPing: Codable, Equatable, Sendable {
    package var cluster: String
    package var version: String
    /// `HOST:PORT` for users' SSH, agents and HTTPS.
    package var sshAddr: String
    package var tunnelAddr: String
    package var webAddr: String

    package init(cluster: String, version: String, sshAddr: String, tunnelAddr: String, webAddr: String) {
        self.cluster = cluster
        self.version = version
        self.sshAddr = sshAddr
        self.tunnelAddr = tunnelAddr
        self.webAddr = webAddr
    }

    private enum CodingKeys: String, CodingKey {
        case cluster, version
        case sshAddr = "ssh_addr"
        case tunnelAddr = "tunnel_addr"
        case webAddr = "web_addr"
    }
}

/// The proxy's HTTPS on 3080, for those who have no certificate yet.
///
/// Lives on its loop's thread; ``close(then:)`` has to end before the loop is stopped.
package final class WebServer {
    private let server: HTTPServer

    /// - Parameter auth: with the proxy's own identity.
    /// - Parameter limits: where they are lower than what HTTPS needs at most.
    package init(
        identity: HostIdentity, auth: AuthClient, ping: WebPing, limits: ListenerLimits = ListenerLimits(), clock: any Clock,
        on loop: Loop, logger: Logger
    ) throws(TeleportError) {
        let routes = WebRoutes(auth: auth, ping: ping, clock: clock)
        var configuration = HTTPServerConfiguration(identity: Self.serverIdentity(identity))
        configuration.limits.connectionsMax = min(configuration.limits.connectionsMax, limits.total)
        configuration.limits.connectionsPerAddressMax = min(configuration.limits.connectionsPerAddressMax, limits.perAddress)
        server = try HTTPServer(configuration, router: routes.router(), clock: clock, on: loop, logger: logger)
    }

    /// - Returns: where it listens, with the port that the kernel chose.
    @discardableResult
    package func listen(on address: SocketAddress) throws(TeleportError) -> SocketAddress {
        try server.listen(on: address)
    }

    package var addresses: [SocketAddress] { server.addresses }

    /// New connections are shown this identity's certificate.
    package func setIdentity(_ identity: HostIdentity) throws(TeleportError) {
        try server.setIdentity(Self.serverIdentity(identity))
    }

    package func close(then: @escaping () -> Void = {}) {
        server.close(then: then)
    }

    private static func serverIdentity(_ identity: HostIdentity) -> HTTPServerIdentity {
        HTTPServerIdentity(certificates: identity.tlsCertificate, privateKey: SecretBytes(Array(identity.tlsPrivateKey.utf8)))
    }
}
