import AuthAPI
import AuthService
import Base
import ClusterModel
import Config
import Crypto
import EventLoop
import Logging

/// How this host is a member of its cluster in one role: gets its identity, keeps it, and renews it at half of its life.
struct HostMembership: Sendable {
    let config: Config
    let directory: DataDirectory
    let role: SystemRole
    let joinRole: JoinRole
    /// Names and addresses beside the host's name for its certificates.
    let publicAddresses: [String]
    /// The auth service of this very process, which needs no token.
    let local: AuthService?
    let randomness: any Randomness
    let logger: Logger

    /// The saved identity, or a new one; waits for an auth server that does not answer yet.
    ///
    /// - Throws: what waiting does not mend: a token that is not valid, an authority that is not the pinned one.
    func identity(_ loop: isolated EventLoop) async throws -> HostIdentity {
        let identities = directory.identities
        let role = role
        let saved = try await loop.work { try HostIdentity.load(directory: identities, role: role) }
        let identity: HostIdentity
        if let local {
            identity = try await local.server.localIdentity(
                role: role, uuid: directory.uuid, hostname: config.nodename, publicAddresses: publicAddresses, existing: saved)
        } else if let saved {
            return saved
        } else {
            identity = try await join(loop)
        }
        try await loop.work { try identity.save(directory: identities) }
        return identity
    }

    private func join(_ loop: isolated EventLoop) async throws -> HostIdentity {
        guard let token = config.authToken else {
            throw TeleportError(
                .missingParameter,
                "this host has not joined a cluster: give it --token and --auth-server or --proxy, as `tctl tokens add` prints them")
        }
        guard let server = config.proxyServer ?? config.authServers.first else {
            throw TeleportError(.missingParameter, "no auth server to join: give --auth-server=HOST:PORT, or --proxy=HOST:PORT")
        }
        let what = config.proxyServer == nil ? "the auth server" : "the proxy"
        if config.caPins.isEmpty {
            logger.warning("no CA pin: whoever answers as \(what) is believed at this first contact; --ca-pin verifies it")
        }
        let pin = config.caPins.first?.description ?? ""
        var backoff = Backoff(first: .milliseconds(200), longest: .seconds(5))
        while true {
            do throws(TeleportError) {
                let contact = try await AuthClient.firstContact(server: server, pin: pin, on: loop)
                return try await contact.client.join(
                    token: token, role: joinRole, uuid: directory.uuid, hostname: config.nodename, publicAddresses: publicAddresses,
                    randomness: randomness)
            } catch {
                guard error.kind == .connectionProblem else { throw error }
                if backoff.failures == 0 {
                    logger.warning("waiting for \(what)", metadata: ["address": "\(server)", "error": "\(error.message)"])
                }
                try await loop.sleep(for: backoff.next(randomness))
            }
        }
    }

    /// Renews the identity when it is due, until the task is cancelled.
    func keepRenewed(
        _ credentials: HostCredentials, _ transport: RenewableTransport, _ loop: isolated EventLoop,
        changed: @Sendable (HostIdentity) -> Void
    ) async {
        var backoff = Backoff(first: .seconds(1), longest: .seconds(300))
        while !Task.isCancelled {
            do {
                let due = try credentials.identity.renewalTime()
                let wait = due.seconds - SystemClock().wallTime().seconds
                if wait > 0 {
                    try await loop.sleep(for: .seconds(wait))
                    continue
                }
                let renewed = try await AuthClient(transport: transport).renew(
                    credentials.identity, publicAddresses: publicAddresses, randomness: randomness)
                let identities = directory.identities
                try await loop.work { try renewed.save(directory: identities) }
                try credentials.replace(renewed)
                transport.renew(renewed)
                changed(renewed)
                backoff.reset()
                logger.info("renewed this host's certificates", metadata: ["role": "\(role.rawValue)"])
            } catch is CancellationError {
                return
            } catch {
                logger.warning(
                    "this host's certificates cannot be renewed yet", metadata: ["role": "\(role.rawValue)", "error": "\(error)"])
                do { try await loop.sleep(for: backoff.next(randomness)) } catch { return }
            }
        }
    }

    /// To the auth servers of the configuration.
    func transport(_ identity: HostIdentity, _ loop: EventLoop) -> RenewableTransport {
        let servers = config.authServers
        return RenewableTransport(identity) { AuthClient(servers: servers, identity: $0, on: loop) }
    }
}
