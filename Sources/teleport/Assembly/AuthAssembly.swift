import AuthService
import Base
import Config
import Crypto
import Diagnostics
import EventLoop
import Logging
import Programs
import SQLiteBackend

/// The auth server of this process.
final class AuthAssembly {
    let service: AuthService
    private let store: SQLiteStore
    private let loop: Loop
    private let offering: Task<Void, Never>

    /// The configuration's tokens are offered again long before they would expire.
    private static let offerInterval: Duration = .seconds(24 * 3600)

    private static let running = "running"

    private init(_ service: AuthService, _ store: SQLiteStore, _ offering: Task<Void, Never>, _ loop: Loop) {
        self.service = service
        self.store = store
        self.offering = offering
        self.loop = loop
    }

    static func start(
        _ config: Config, _ directory: DataDirectory, _ diagnostics: Diagnostics, _ randomness: any Randomness,
        _ loop: isolated EventLoop, _ logger: Logger
    ) async throws -> AuthAssembly {
        guard let auth = config.auth else { preconditionFailure("no auth service is configured") }
        diagnostics.change { $0.expect(running, of: .auth, "the auth server is being started") }
        let clock = SystemClock()
        let store = try await loop.work { try SQLiteStore(path: directory.store, clock: clock) }
        let proxyAddress = config.proxy.flatMap { config.announced($0.webListen, public: $0.publicAddresses) }
        let options = AuthService.Options(
            settings: AuthServer.Settings(
                clusterName: auth.clusterName, version: Version.number, proxyAddr: proxyAddress.map(\.description)),
            dataDirectory: directory.path, listenAddresses: [auth.listen], uuid: directory.uuid, hostname: config.nodename,
            publicAddresses: HostAddresses.names(config, listen: [auth.listen], public: auth.publicAddresses))
        let service = try await AuthService.start(
            options, store: store, clock: clock, randomness: randomness, eventLoop: loop, logger: logger
        ) { isAnnounced in
            diagnostics.change { readiness in
                if isAnnounced { return readiness.meet(running, of: .auth) }
                readiness.fail(running, of: .auth, "the auth server cannot write to its store, or not renew itself; its log says why")
            }
        }
        diagnostics.measure(service.add(to:))
        for token in auth.tokens { try await service.server.offerToken(token.value, roles: token.roles) }
        let tokens = auth.tokens
        let offering = loop.spawn { loop in
            while !Task.isCancelled {
                do { try await loop.sleep(for: offerInterval) } catch { return }
                for token in tokens {
                    do throws(TeleportError) {
                        try await service.server.offerToken(token.value, roles: token.roles)
                    } catch {
                        logger.warning("a token of the configuration cannot be offered", metadata: ["error": "\(error.message)"])
                    }
                }
            }
        }
        return AuthAssembly(service, store, offering, loop.inside)
    }

    func stop(then: @escaping () -> Void) {
        offering.cancel()
        let (service, store) = (service, store)
        loop.perform({
            await service.stop()
            await store.close()
        }) { _ in then() }
    }
}

/// Under which names and addresses a host's certificates are good.
enum HostAddresses {
    /// - Parameter listen: a service that listens on every address is reached on this machine by these three, too.
    static func names(_ config: Config, listen: [SocketAddress], public addresses: [HostPort], loopback: Bool = true) -> [String] {
        var names = addresses.map(\.host)
        if let advertised = config.advertiseIP { names.append("\(advertised)") }
        for address in listen {
            guard let ip = address.ip else { continue }
            if !ip.isUnspecified {
                names.append("\(ip)")
            } else if loopback {
                names += ["localhost", "127.0.0.1", "::1"]
            }
        }
        var seen: Set<String> = [config.nodename]
        return names.filter { seen.insert($0).inserted }
    }
}
