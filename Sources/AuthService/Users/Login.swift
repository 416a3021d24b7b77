internal import AuthAPI
internal import Backend
internal import Base
internal import ClusterModel
internal import Crypto
internal import EventLoop
internal import Logging
internal import SSHWire

extension AuthServer {
    /// Failures in a row that lock a user, and for how long.
    static let failuresMax = 5
    static let lockout = Duration.seconds(20 * 60)
    /// Password checks at once: each takes a worker for a tenth of a second and 16 MiB or more.
    private static let loginsMax = 16
    private static let passwordBytes = 8...128

    private static let refusal = TeleportError.accessDenied(
        "wrong user name, password or one-time code, or too many attempts: try again later")

    /// Certificates for whoever knows the password and has the device.
    ///
    /// Every refusal reads the same and takes the same time, whether the user exists, is locked, or typed one wrong digit. A code is good once:
    /// the newest step that was used is stored by compare and swap, together with the end of the count of failures.
    func login(_ request: LoginRequest) async throws(TeleportError) -> LoginResponse {
        guard loginsInFlight < Self.loginsMax else { throw .limitExceeded("too many logins at once; try again") }
        loginsInFlight += 1
        defer { loginsInFlight -= 1 }
        let publicKey = try AuthorityKeys.readPublicKey(request.publicKey)
        let name = (try? Names.checkUser(request.user)) == nil ? nil : request.user
        var credentials: UserCredentials?
        if let name { credentials = try await store.credentials.find(name)?.value }
        let isRight = await verifyPassword(request.password, against: credentials?.passwordHash ?? decoyPasswordHash)
        guard let name, credentials != nil else {
            // As much writing as a failure of somebody who exists.
            try await store.credentials.put(
                "?", UserCredentials(passwordHash: "", otpSecret: [], lastStep: nil, failures: 0, lockedUntil: nil))
            throw Self.refusal
        }
        let time = now
        var accepted = false
        try await store.credentials.modify(name, now: time) { (credentials) throws(TeleportError) in
            if let until = credentials.lockedUntil, time < until {
                accepted = false
                return
            }
            let step = TimeBasedPassword.acceptedStep(request.code, secret: credentials.otpSecret, at: time, lastUsed: credentials.lastStep)
            if isRight, let step {
                accepted = true
                credentials.lastStep = step
                credentials.failures = 0
                credentials.lockedUntil = nil
            } else {
                accepted = false
                credentials.failures += 1
                if credentials.failures >= Self.failuresMax {
                    credentials.failures = 0
                    credentials.lockedUntil = time + Self.lockout
                }
            }
        }
        guard accepted else {
            logger.warning("refused a login", metadata: ["user": "\(name)"])
            throw Self.refusal
        }
        let user = try await store.users.get(name).value
        let certificates = try await certificates(
            for: user, publicKey: publicKey, tlsPublicKey: request.tlsPublicKey, ttl: .seconds(request.ttlSeconds))
        logger.info("a user logged in", metadata: ["user": "\(name)"])
        return certificates
    }

    private func verifyPassword(_ password: String, against hash: String) async -> Bool {
        let bytes = Array(password.utf8)
        // One that is too long is not hashed whole, but hashed all the same.
        let fits = bytes.count <= Self.passwordBytes.upperBound
        let matches = try? await eventLoop.work {
            PasswordHash.verify(password: Array(bytes.prefix(Self.passwordBytes.upperBound)), against: hash)
        }
        return fits && matches == true
    }

    /// SSH and, where a key for it is given, X.509 certificates of the same lifetime.
    func certificates(
        for user: User, publicKey: PublicKey, tlsPublicKey: String?, ttl: Duration
    ) async throws(TeleportError) -> UserCertificates {
        let roles = try await roleSet(user.roles)
        let request = try CertificateRequest.user(user, publicKey: publicKey, cluster: clusterName, roles: roles, ttl: ttl, now: now)
        var tlsCertificate: String?
        if let tlsPublicKey {
            let identity = TLSIdentity(bearer: .user, name: user.name, roles: user.roles, cluster: clusterName)
            tlsCertificate = try keys.issue(
                identity.template(notAfter: request.validBefore, uses: [.client], now: now), publicKey: tlsPublicKey)
        }
        return UserCertificates(
            user: user.name, cluster: clusterName, sshCertificate: try keys.sign(request), tlsCertificate: tlsCertificate,
            logins: request.validPrincipals, roles: user.roles, expires: request.validBefore, authorities: authoritiesForUsers,
            knownHosts: knownHosts(visibleTo: roles))
    }

    /// What a user's client must know to tell a right host from a wrong one.
    var authoritiesForUsers: [CertificateAuthority] {
        state.authorities.filter { $0.type == .host || $0.type == .tls && $0.cluster == clusterName }
    }

    // MARK: Sign-up

    private static let inviteTTLMax = Duration.seconds(48 * 3600)

    func invite(_ request: InviteRequest) async throws(TeleportError) -> InviteResponse {
        var user = request.user
        let ttl = Duration.seconds(request.ttlSeconds)
        guard ttl > .zero, ttl <= Self.inviteTTLMax else { throw .badParameter("a sign-up lives longer than 0 and at most 48 hours") }
        let known = try await store.users.find(user.name)
        if request.reset {
            guard let known else { throw .notFound("user \(user.name) is not found") }
            user = known.value
        } else {
            guard known == nil else { throw .alreadyExists("user \(user.name) already exists") }
            try user.check()
            _ = try await roleSet(user.roles)
        }
        let token = Hex.encode(randomness.bytes(16))
        let invite = Invite(
            user: user, reset: request.reset, otpSecret: randomness.bytes(TimeBasedPassword.secretBytes), isDescribed: false, failures: 0)
        try await store.invites.create(Self.digest(token), invite, ttl: ttl)
        // What was known of a user who is reset is worth nothing from now on.
        if request.reset, try await store.credentials.find(user.name) != nil { try await store.credentials.delete(user.name) }
        let proxy = state.proxies.map(\.webAddr).first { !$0.isEmpty } ?? settings.proxyAddr ?? "PROXY:3080"
        return InviteResponse(token: token, url: "https://\(proxy)/web/newuser/\(token)", expires: now + ttl)
    }

    private static let invalidInvite = TeleportError.accessDenied("the sign-up link is not valid: it is unknown, has expired or was used")

    /// The secret for the user's device: told once.
    func describeSignup(_ request: SignupToken, from caller: Caller) async throws(TeleportError) -> SignupDescription {
        let (digest, stored) = try await findInvite(request.token, caller)
        guard !stored.value.isDescribed else { throw Self.invalidInvite }
        var invite = stored.value
        invite.isDescribed = true
        do throws(TeleportError) {
            try await replace(digest, stored, invite)
        } catch  where error.kind == .compareFailed {
            throw Self.invalidInvite
        }
        return SignupDescription(
            user: invite.user.name, cluster: clusterName,
            otpURI: TimeBasedPassword.uri(secret: invite.otpSecret, user: invite.user.name, cluster: clusterName),
            otpSecret: Base64.encode32(invite.otpSecret))
    }

    /// Makes the user, with a password and a device that has shown a right code.
    func completeSignup(_ request: SignupRequest, from caller: Caller) async throws(TeleportError) {
        guard Self.passwordBytes.contains(request.password.utf8.count), !request.password.utf8.contains(0) else {
            throw .badParameter("a password has 8 to 128 bytes, and no NUL")
        }
        let (digest, stored) = try await findInvite(request.token, caller)
        var invite = stored.value
        guard let step = TimeBasedPassword.acceptedStep(request.code, secret: invite.otpSecret, at: now, lastUsed: nil) else {
            invite.failures += 1
            if invite.failures >= Self.failuresMax {
                try await store.invites.delete(digest, expected: stored.revision)
            } else {
                try await replace(digest, stored, invite)
            }
            throw .accessDenied("the one-time code is wrong")
        }
        let password = Array(request.password.utf8)
        let randomness = randomness
        let hash: String
        do { hash = try await eventLoop.work { PasswordHash.hash(password: password, randomness: randomness) } } catch {
            throw TeleportError(.systemError, "the password cannot be hashed", cause: error)
        }
        let name = invite.user.name
        let credentials = UserCredentials(passwordHash: hash, otpSecret: invite.otpSecret, lastStep: step, failures: 0, lockedUntil: nil)
        var writes = [
            try store.invites.deleting(digest, expected: stored.revision), try store.credentials.putting(name, credentials),
        ]
        if invite.reset {
            writes.append(StoreWrite(try store.users.key(name), .present, .none))
        } else {
            writes.append(try store.users.creating(name, invite.user))
        }
        do throws(TeleportError) {
            _ = try await store.store.commit(writes)
        } catch  where [.compareFailed, .alreadyExists, .notFound].contains(error.kind) {
            throw Self.invalidInvite
        }
        logger.info("a user signed up", metadata: ["user": "\(name)"])
    }

    private func findInvite(_ token: String, _ caller: Caller) async throws(TeleportError) -> (digest: String, stored: Stored<Invite>) {
        try checkAttempts(caller)
        let digest = Self.digest(token)
        guard token.utf8.count <= 128, let stored = try await store.invites.find(digest) else {
            countFailedAttempt(caller)
            throw Self.invalidInvite
        }
        return (digest, stored)
    }

    private func replace(_ digest: String, _ stored: Stored<Invite>, _ invite: Invite) async throws(TeleportError) {
        let ttl = stored.expires.map { Duration.seconds($0.seconds - now.seconds) }
        try await store.invites.replace(digest, expected: stored.revision, invite, ttl: ttl)
    }
}
