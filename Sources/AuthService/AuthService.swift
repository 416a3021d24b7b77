internal import AuthAPI
package import Backend
package import Base
internal import ClusterModel
package import EventLoop
package import Logging

/// The auth service of a process: an ``AuthServer`` with its own identity and its HTTPS API.
package final class AuthService: Sendable {
    package struct Options: Sendable {
        package var settings: AuthServer.Settings
        /// `DATA_DIR`, which exists.
        package var dataDirectory: String
        package var listenAddresses: [SocketAddress]
        package var uuid: String
        package var hostname: String
        /// Names and addresses beside `hostname` for the server's certificates.
        package var publicAddresses: [String]

        package init(
            settings: AuthServer.Settings, dataDirectory: String, listenAddresses: [SocketAddress], uuid: String, hostname: String,
            publicAddresses: [String] = []
        ) {
            self.settings = settings
            self.dataDirectory = dataDirectory
            self.listenAddresses = listenAddresses
            self.uuid = uuid
            self.hostname = hostname
            self.publicAddresses = publicAddresses
        }
    }

    package let server: AuthServer
    /// Where the API listens, with the ports that the kernel chose.
    package var addresses: [SocketAddress] { endpoint.addresses }
    private let endpoint: AuthEndpoint
    private let announcing: Task<Void, Never>

    /// Opens or makes the cluster and serves it. `DATA_DIR/identity/admin` is then fit for `tctl`, `DATA_DIR/authorities.json` for backups.
    ///
    /// - Parameter announced: is told, each time that the server says that it is there and renews itself, whether it could.
    package static func start(
        _ options: Options, store: any KeyValueStore, clock: any Clock, randomness: any Randomness, eventLoop: EventLoop, logger: Logger,
        announced: @escaping @Sendable (Bool) -> Void
    ) async throws(TeleportError) -> AuthService {
        let server = try await AuthServer.open(
            options.settings, store: store, clock: clock, randomness: randomness, trustTransport: HTTPSTrustTransport(on: eventLoop),
            eventLoop: eventLoop, logger: logger)
        await server.start()
        let directory = "\(options.dataDirectory)/identity"
        let saved: HostIdentity? = try await pool(eventLoop) { try HostIdentity.load(directory: directory, role: .auth) }
        let identity = try await server.localIdentity(
            role: .auth, uuid: options.uuid, hostname: options.hostname, publicAddresses: options.publicAddresses, existing: saved)
        let admin = try await server.localIdentity(
            role: .admin, uuid: options.uuid, hostname: options.hostname, publicAddresses: [], existing: identity)
        let secrets = try await server.authoritySecrets()
        try await pool(eventLoop) {
            try identity.save(directory: directory)
            try admin.save(directory: directory)
            try LocalAuthorities.save(secrets, dataDirectory: options.dataDirectory)
        }
        let endpoint = try await AuthEndpoint.open(
            AuthDispatcher(server), clusterName: options.settings.clusterName, identity: identity, tlsAuthority: await server.tlsAuthority,
            addresses: options.listenAddresses, clock: clock, on: eventLoop, logger: logger)
        logger.info("auth server listens", metadata: ["addresses": "\(endpoint.addresses.map(\.description).joined(separator: " "))"])
        let announcing = eventLoop.spawn { loop in
            var identity = identity
            while !Task.isCancelled {
                do throws(TeleportError) {
                    try await server.announce(uuid: options.uuid, hostname: options.hostname)
                    if try identity.renewalTime() <= clock.wallTime() {
                        identity = try await server.localIdentity(
                            role: .auth, uuid: options.uuid, hostname: options.hostname, publicAddresses: options.publicAddresses,
                            existing: identity)
                        try endpoint.setIdentity(identity, on: loop)
                    }
                    announced(true)
                } catch {
                    guard !Task.isCancelled else { return }
                    announced(false)
                    logger.warning("this auth server cannot announce or renew itself", metadata: ["error": "\(error.message)"])
                }
                do { try await loop.sleep(for: AuthServer.presenceTTL / 3) } catch { return }
            }
        }
        return AuthService(server, endpoint, announcing)
    }

    private init(_ server: AuthServer, _ endpoint: AuthEndpoint, _ announcing: Task<Void, Never>) {
        self.server = server
        self.endpoint = endpoint
        self.announcing = announcing
    }

    /// Thread-safe.
    package func add(to metrics: inout Metrics) {
        endpoint.add(to: &metrics)
    }

    /// Ends the API, then what follows the store; the store stays open.
    package func stop() async {
        announcing.cancel()
        await server.stop()
        await endpoint.close()
    }

    private static func pool<Result: Sendable>(
        _ eventLoop: EventLoop, _ body: @escaping @Sendable () throws -> Result
    ) async throws(TeleportError) -> Result {
        do { return try await eventLoop.work(body) } catch {
            throw (error as? TeleportError) ?? TeleportError(.systemError, "the data directory cannot be used", cause: error)
        }
    }
}
