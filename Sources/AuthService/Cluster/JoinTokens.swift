package import AuthAPI
internal import Backend
package import Base
package import ClusterModel
internal import Crypto
internal import Logging
internal import SSHWire

extension AuthServer {
    private static let publicAddressesMax = 32
    private static let tokenTTLMax = Duration.seconds(30 * 24 * 3600)
    private static let invalidToken = TeleportError.accessDenied(
        "the token is not valid: it is unknown, has expired, was used, or is for another role")

    /// What stands for a secret in the store: looked up whole, so the time of a look-up says nothing of how much of a guess was right.
    static func digest(_ secret: String) -> String { Hex.encode(Digest.sha256(Array(secret.utf8))) }

    /// The characters of a digest by which people name a token.
    static let tokenNameLength = 12

    func createToken(_ request: TokenRequest) async throws(TeleportError) -> TokenResponse {
        guard !request.roles.isEmpty, Set(request.roles).count == request.roles.count else {
            throw .badParameter("name each role of the token once")
        }
        let ttl = Duration.seconds(request.ttlSeconds)
        guard ttl > .zero, ttl <= Self.tokenTTLMax else { throw .badParameter("a token lives longer than 0 and at most 30 days") }
        let value = request.value ?? Hex.encode(randomness.bytes(16))
        try ProvisionToken.checkValue(value)
        let digest = Self.digest(value)
        let token = ProvisionToken(
            name: String(digest.prefix(Self.tokenNameLength)), roles: request.roles, expires: now + ttl, singleUse: false)
        try await store.tokens.create(digest, token, ttl: ttl)
        logger.info("made a token", metadata: ["token": "\(token.name)", "roles": "\(request.roles.map(\.rawValue))"])
        return TokenResponse(token: value, expires: token.expires, caPin: caPin)
    }

    /// A token that the configuration lists. It lives for as long as a token may; whoever runs this server offers it again in time.
    package func offerToken(_ value: String, roles: [JoinRole]) async throws(TeleportError) {
        try ProvisionToken.checkValue(value)
        let digest = Self.digest(value)
        let token = ProvisionToken(
            name: String(digest.prefix(Self.tokenNameLength)), roles: roles, expires: now + Self.tokenTTLMax, singleUse: false)
        try await store.tokens.put(digest, token, ttl: Self.tokenTTLMax)
    }

    /// The token of this value, if it admits `role` now; what fails is counted against the caller.
    func validToken(_ value: String, for role: JoinRole, from caller: Caller) async throws(TeleportError) -> Stored<ProvisionToken> {
        try checkAttempts(caller)
        guard value.utf8.count <= 128, let stored = try await store.tokens.find(Self.digest(value)), stored.value.roles.contains(role),
            !stored.value.isExpired(at: now)
        else {
            countFailedAttempt(caller)
            logger.warning("refused a token", metadata: ["role": "\(role.rawValue)", "peer": "\(caller.peer)"])
            throw Self.invalidToken
        }
        return stored
    }

    /// A proxy speaks for many strangers, and has counted each by their own address: one who guesses must not lock out the others.
    func checkAttempts(_ caller: Caller) throws(TeleportError) {
        guard !caller.systemRoles.contains(.proxy) else { return }
        try tokenAttempts.check(caller.peer)
    }

    func countFailedAttempt(_ caller: Caller) {
        guard !caller.systemRoles.contains(.proxy) else { return }
        tokenAttempts.countFailure(caller.peer)
    }

    // MARK: Hosts

    func register(_ request: RegisterRequest, from caller: Caller) async throws(TeleportError) -> HostCertificates {
        guard let role = request.role.systemRole else { throw .badParameter("a cluster does not register as a host") }
        let stored = try await validToken(request.token, for: request.role, from: caller)
        let host = try await hostRecord(
            uuid: request.uuid, hostname: request.hostname, publicAddresses: request.publicAddresses, keys: request.keys, role: role)
        var writes = try await hostWrites(host, isRenewal: false)
        if stored.value.singleUse { writes.append(try store.tokens.deleting(stored.name, expected: stored.revision)) }
        do throws(TeleportError) {
            if !writes.isEmpty { _ = try await store.store.commit(writes) }
        } catch  where error.kind == .compareFailed || error.kind == .notFound {
            throw Self.invalidToken
        }
        logger.info("a host joined", metadata: ["uuid": "\(host.uuid)", "hostname": "\(host.hostname)", "role": "\(role.rawValue)"])
        return try hostCertificates(host, role: role, tlsPublicKey: request.keys.tlsPublicKey)
    }

    /// New certificates for the host that asks: its UUID and role are those of its certificate.
    func renew(_ request: RenewRequest, from caller: Caller) async throws(TeleportError) -> HostCertificates {
        guard let identity = caller.identity, identity.bearer == .host, let role = identity.roles.first.flatMap(SystemRole.init(rawValue:))
        else {
            throw .accessDenied("only a host renews its certificates")
        }
        let host = try await hostRecord(
            uuid: identity.name, hostname: request.hostname, publicAddresses: request.publicAddresses, keys: request.keys, role: role)
        let writes = try await hostWrites(host, isRenewal: true)
        if !writes.isEmpty { _ = try await store.store.commit(writes) }
        return try hostCertificates(host, role: role, tlsPublicKey: request.keys.tlsPublicKey)
    }

    /// An identity for a service of this very process, without a token.
    package func localIdentity(
        role: SystemRole, uuid: String, hostname: String, publicAddresses: [String], existing: HostIdentity?
    ) async throws(TeleportError) -> HostIdentity {
        let pairs = try HostKeyPairs(existing: existing, randomness: randomness)
        let keys = pairs.publicKeys
        let host = try await hostRecord(uuid: uuid, hostname: hostname, publicAddresses: publicAddresses, keys: keys, role: role)
        let writes = try await hostWrites(host, isRenewal: true)
        if !writes.isEmpty { _ = try await store.store.commit(writes) }
        let certificates = try hostCertificates(host, role: role, tlsPublicKey: keys.tlsPublicKey)
        return pairs.identity(uuid: uuid, hostname: hostname, role: role, certificates: certificates)
    }

    /// What the host wants to be called, checked against what others are called.
    private func hostRecord(
        uuid: String, hostname: String, publicAddresses: [String], keys: HostKeys, role: SystemRole
    ) async throws(TeleportError) -> HostRecord {
        try Names.checkUUID(uuid)
        try Names.checkNode(hostname)
        guard publicAddresses.count <= Self.publicAddressesMax else {
            throw .limitExceeded("a host has at most \(Self.publicAddressesMax) public addresses")
        }
        for name in [hostname] + publicAddresses {
            if IPAddress(name) == nil { try Names.checkNode(name) }
            guard name == uuid || (try? Names.checkUUID(name.lowercased())) == nil else {
                throw .badParameter("\(Names.quoted(name)) looks like the UUID of a host")
            }
            let names = [name, HostNames.qualified(name, cluster: clusterName)]
            guard
                !(state.authorities.map(\.cluster) + state.opensshSites.map(\.name)).contains(where: { other in
                    other != clusterName && names.contains { Self.belongs($0, to: other) }
                })
            else {
                throw .badParameter("\(Names.quoted(name)) ends in the name of another cluster or site")
            }
        }
        let publicKey = try AuthorityKeys.readPublicKey(keys.sshPublicKey)
        let host = HostRecord(uuid: uuid, hostname: hostname, publicAddresses: publicAddresses, sshPublicKey: publicKey.text())
        for other in try await store.hosts.list().map(\.value) where other.uuid != uuid {
            try checkNames(of: host, role, against: other)
        }
        return host
    }

    /// Host names may repeat, as a look-up that is ambiguous says so. But no host may bear the qualified name of another, and a node none of
    /// another's public addresses; proxies behind one address share it.
    private func checkNames(of host: HostRecord, _ role: SystemRole, against other: HostRecord) throws(TeleportError) {
        let qualified = [other.uuid, other.hostname].map { HostNames.qualified($0, cluster: clusterName).lowercased() }
        let names = [host.hostname] + host.publicAddresses
        guard !names.contains(where: { qualified.contains($0.lowercased()) }) else {
            throw .alreadyExists("a name of host \(host.hostname) is that of host \(other.hostname)")
        }
        guard role != .node || Set(names).isDisjoint(with: other.publicAddresses) && !host.publicAddresses.contains(other.hostname) else {
            throw .alreadyExists("a name of host \(host.hostname) is a public address of host \(other.hostname)")
        }
    }

    static func belongs(_ name: String, to cluster: String) -> Bool {
        name.lowercased() == cluster || name.lowercased().hasSuffix(".\(cluster)")
    }

    /// Binds a UUID to the SSH key that it came with. A host in several roles has one key, and the public addresses of all.
    private func hostWrites(_ host: HostRecord, isRenewal: Bool) async throws(TeleportError) -> [StoreWrite] {
        guard let known = try await store.hosts.find(host.uuid) else { return [try store.hosts.creating(host.uuid, host)] }
        guard isRenewal || known.value.sshPublicKey == host.sshPublicKey else {
            throw .alreadyExists("a host with the UUID \(host.uuid) has joined with another key")
        }
        var merged = host
        merged.publicAddresses += known.value.publicAddresses.filter { !host.publicAddresses.contains($0) }
        merged.publicAddresses = Array(merged.publicAddresses.prefix(Self.publicAddressesMax))
        return [.swap(try store.hosts.key(host.uuid), expected: known.revision, try store.hosts.encode(merged))]
    }

    private func hostCertificates(_ host: HostRecord, role: SystemRole, tlsPublicKey: String) throws(TeleportError) -> HostCertificates {
        let request = try CertificateRequest.host(
            uuid: host.uuid, hostname: host.hostname, publicAddresses: host.publicAddresses,
            publicKey: try AuthorityKeys.readPublicKey(host.sshPublicKey), cluster: clusterName, role: role, now: now)
        let identity = TLSIdentity(bearer: .host, name: host.uuid, roles: [role.rawValue], cluster: clusterName)
        let serves = role == .auth || role == .proxy
        var dnsNames: [String] = []
        var addresses: [String] = []
        if serves {
            dnsNames = [
                role == .auth ? TLSIdentity.authServerName(cluster: clusterName) : TLSIdentity.proxyServerName(cluster: clusterName)
            ]
            for name in [host.hostname, "localhost"] + host.publicAddresses {
                if IPAddress(name) == nil { dnsNames.append(name) } else { addresses.append(name) }
            }
        }
        let template = identity.template(
            dnsNames: dnsNames, ipAddresses: addresses, notAfter: request.validBefore, uses: serves ? [.client, .server] : [.client],
            now: now)
        return HostCertificates(
            cluster: clusterName, sshCertificate: try keys.sign(request), tlsCertificate: try keys.issue(template, publicKey: tlsPublicKey),
            authorities: ownAuthorities)
    }
}
