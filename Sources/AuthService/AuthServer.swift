internal import AuthAPI
package import Backend
package import Base
package import ClusterModel
internal import Crypto
package import EventLoop
package import Logging
internal import SSHWire

/// The cluster's authority: keeps its keys, users, tokens and trust, and signs certificates.
///
/// Whoever calls has been authorised by ``AuthDispatcher`` before; methods that act for a caller are given the identity.
package actor AuthServer {
    package struct Settings: Sendable {
        package var clusterName: String
        package var version: String
        /// `HOST:3080` for sign-up URLs, where no proxy has said its own.
        package var proxyAddr: String?

        package init(clusterName: String, version: String, proxyAddr: String? = nil) {
            self.clusterName = clusterName
            self.version = version
            self.proxyAddr = proxyAddr
        }
    }

    /// How long an announcement lasts; heartbeats come three times in it.
    package static let presenceTTL = Duration.seconds(60)
    static let sweepInterval = Duration.seconds(5)

    let settings: Settings
    let store: AuthStore
    let clock: any Clock
    let randomness: any Randomness
    let logger: Logger
    let eventLoop: EventLoop
    let trustTransport: any TrustTransport
    let tokenAttempts: AttemptLimiter
    let decoyPasswordHash: String
    var loginsInFlight = 0
    private(set) var keys: AuthorityKeys
    private(set) var shared: SharedState
    /// What ``shared`` makes, built when somebody asks; nil where it has changed since.
    private var built: ClusterState?
    /// Answers to those who ask for the state: of nodes, and of others.
    var writtenStates: [Bool: (revision: Int64, bytes: [UInt8])] = [:]
    /// Keys of authorities that the store was given, until its event says so.
    var writtenKeys: [PublicKey: String] = [:]
    private var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    private var nextWaiter: UInt64 = 0
    private var tasks: [Task<Void, Never>] = []

    package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe eventLoop.unownedExecutor }

    /// Opens the cluster that the store holds, or makes one where it holds none.
    ///
    /// - Throws: `BadParameter` where the store is another cluster's.
    package static func open(
        _ settings: Settings, store: any KeyValueStore, clock: any Clock, randomness: any Randomness, trustTransport: any TrustTransport,
        eventLoop: EventLoop, logger: Logger
    ) async throws(TeleportError) -> AuthServer {
        try Names.checkCluster(settings.clusterName)
        let collections = AuthStore(store)
        if try await collections.cluster.find(ClusterRecord.name) == nil {
            try await initialize(collections, settings, now: clock.wallTime(), randomness: randomness, logger: logger)
        }
        let found = try await collections.cluster.get(ClusterRecord.name).value.clusterName
        guard found == settings.clusterName else {
            throw .badParameter("the data directory belongs to cluster \(found), not to \(settings.clusterName)")
        }
        var secrets: [AuthorityKind: AuthoritySecrets] = [:]
        for stored in try await collections.secrets.list() { secrets[stored.value.type] = stored.value }
        let tls = try await collections.authorities.get(collections.authorityName(.tls, found)).value
        let keys = try AuthorityKeys(
            cluster: found, secrets: secrets, tlsCertificate: tls.tlsCertificates.first ?? "", randomness: randomness)
        let range = try await store.range(AuthStore.shared)
        let shared = try SharedState(clusterName: found, collections: collections, range: range)
        let decoy: String
        do { decoy = try await eventLoop.work { PasswordHash.hash(password: randomness.bytes(16), randomness: randomness) } } catch {
            throw TeleportError(.systemError, "a password cannot be hashed", cause: error)
        }
        return AuthServer(
            settings, collections, clock, randomness, trustTransport, eventLoop, logger, keys, shared, decoyPasswordHash: decoy)
    }

    private init(
        _ settings: Settings, _ store: AuthStore, _ clock: any Clock, _ randomness: any Randomness, _ trustTransport: any TrustTransport,
        _ eventLoop: EventLoop, _ logger: Logger, _ keys: AuthorityKeys, _ shared: SharedState, decoyPasswordHash: String
    ) {
        self.settings = settings
        self.store = store
        self.clock = clock
        self.randomness = randomness
        self.trustTransport = trustTransport
        self.eventLoop = eventLoop
        self.logger = logger
        self.keys = keys
        self.shared = shared
        self.decoyPasswordHash = decoyPasswordHash
        tokenAttempts = AttemptLimiter(clock: clock)
    }

    private static func initialize(
        _ store: AuthStore, _ settings: Settings, now: UnixTime, randomness: any Randomness, logger: Logger
    ) async throws(TeleportError) {
        var writes: [StoreWrite] = [try store.cluster.creating(ClusterRecord.name, ClusterRecord(clusterName: settings.clusterName))]
        for (authority, secrets) in try AuthorityKeys.generate(cluster: settings.clusterName, now: now, randomness: randomness) {
            writes.append(try store.authorities.creating(store.authorityName(authority.type, authority.cluster), authority))
            writes.append(try store.secrets.creating(secrets.type.rawValue, secrets))
        }
        for role in Role.defaults { writes.append(try store.roles.creating(role.name, role)) }
        do throws(TeleportError) {
            _ = try await store.store.commit(writes)
            logger.info("made the authorities of a new cluster", metadata: ["cluster": "\(settings.clusterName)"])
        } catch  where error.kind == .alreadyExists {
            // Another auth server of the cluster was faster: its authorities are ours.
            logger.info("another auth server made the authorities", metadata: ["cluster": "\(settings.clusterName)"])
        }
    }

    /// Follows the store and sweeps what expired, until ``stop()``.
    package func start() {
        tasks.append(eventLoop.spawn { _ in await self.followStore() })
        tasks.append(eventLoop.spawn { _ in await self.sweep() })
    }

    package func stop() {
        for task in tasks { task.cancel() }
        tasks = []
        wakeAll()
    }

    // MARK: Snapshots

    package var clusterName: String { settings.clusterName }
    package var state: ClusterState {
        if let built { return built }
        let state = shared.state()
        built = state
        return state
    }
    /// `sha256:HEX` of the TLS authority.
    package var caPin: String { keys.tlsCertificate.publicKeyPin }
    /// PEM.
    package var tlsAuthority: String { keys.tlsCertificate.pem }

    var now: UnixTime { clock.wallTime() }

    /// The state as soon as its revision is another than `revision`; nil where that did not happen in time.
    func state(after revision: Int64, waitingUpTo duration: Duration) async -> ClusterState? {
        if shared.revision != revision { return state }
        guard duration > .zero, waiters.count < Self.waitersMax else { return nil }
        let id = nextWaiter
        nextWaiter += 1
        let timer = eventLoop.spawn { loop in
            do { try await loop.sleep(for: duration) } catch { return }
            await self.wake(id)
        }
        await withCheckedContinuation { waiters[id] = $0 }
        timer.cancel()
        return shared.revision != revision ? state : nil
    }

    /// More than nodes and proxies of a large cluster: each has one question open.
    private static let waitersMax = 20_000

    private func wake(_ id: UInt64) {
        waiters.removeValue(forKey: id)?.resume()
    }

    private func wakeAll() {
        let woken = waiters.values
        waiters = [:]
        for waiter in woken { waiter.resume() }
    }

    private func followStore() async {
        while !Task.isCancelled {
            do throws(TeleportError) {
                let range = try await store.store.range(AuthStore.shared)
                shared = try SharedState(clusterName: clusterName, collections: store, range: range)
                writtenKeys = [:]
                changed()
                var events = try await store.store.watch(AuthStore.shared, after: range.revision).makeAsyncIterator()
                while let event = try await events.next(isolation: self) {
                    if try shared.apply(event) { changed() }
                    if !writtenKeys.isEmpty { writtenKeys = writtenKeys.filter { !shared.owners(of: [$0.key]).contains($0.value) } }
                }
                return
            } catch {
                logger.error("the store's events were lost; reading everything again", metadata: ["error": "\(error.message)"])
            }
            do { try await eventLoop.sleep(for: Self.sweepInterval) } catch { return }
        }
    }

    private func changed() {
        built = nil
        wakeAll()
    }

    private func sweep() async {
        while true {
            do { try await eventLoop.sleep(for: Self.sweepInterval) } catch { return }
            do throws(TeleportError) {
                try await store.store.sweepExpired()
            } catch {
                logger.warning("expired items cannot be removed", metadata: ["error": "\(error.message)"])
            }
        }
    }

    /// Public halves of this cluster's authorities.
    var ownAuthorities: [CertificateAuthority] {
        AuthorityKind.allCases.compactMap { shared.authority($0, of: clusterName) }.sorted { $0.name < $1.name }
    }

    func lastTunnelReport(of cluster: String) -> UnixTime? { shared.lastReport(of: cluster) }

    /// The roles of these names, as the store has them.
    func roleSet(_ names: [String]) async throws(TeleportError) -> RoleSet {
        var known: [String: Role] = [:]
        for name in Set(names) { known[name] = try await store.roles.find(name)?.value }
        return try RoleSet(names: names, known: known)
    }
}

extension AuthServer {
    /// The private halves: for the auth server's own host, and for no caller of the API.
    func authoritySecrets() async throws(TeleportError) -> [AuthoritySecrets] {
        try await store.secrets.list().map(\.value)
    }
}
