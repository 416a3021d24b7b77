internal import AuthAPI
internal import Backend
internal import Base
internal import ClusterModel
internal import Logging
internal import SSHWire

extension AuthServer {
    private static let siteTTLDefault = Duration.seconds(90 * 24 * 3600)

    /// For machines and scripts, on an administrator's word.
    func signUser(_ request: SignUserRequest) async throws(TeleportError) -> UserCertificates {
        let publicKey = try AuthorityKeys.readPublicKey(request.publicKey)
        var user: User
        if let known = try await store.users.find(request.user) {
            user = known.value
            if !request.logins.isEmpty { user.logins = request.logins }
        } else {
            guard !request.logins.isEmpty else {
                throw .notFound("user \(Names.quoted(request.user)) is not found; name the logins to sign for one who is not a user")
            }
            user = User(name: request.user, roles: [Role.accessName], logins: request.logins)
        }
        try user.check()
        let certificates = try await certificates(
            for: user, publicKey: publicKey, tlsPublicKey: request.tlsPublicKey, ttl: .seconds(request.ttlSeconds))
        logger.info("signed for a user", metadata: ["user": "\(user.name)"])
        return certificates
    }

    /// A certificate for an ordinary `sshd`.
    func signHost(_ request: SignHostRequest) throws(TeleportError) -> SignedCertificate {
        guard let name = request.names.first, request.names.count <= 32 else {
            throw .badParameter("a host certificate needs 1 to 32 names")
        }
        for name in request.names where IPAddress(name) == nil { try Names.checkNode(name) }
        let ttl = Duration.seconds(request.ttlSeconds)
        guard ttl > .zero else { throw .badParameter("the lifetime of a certificate must be longer than 0") }
        let certificate = try CertificateRequest.host(
            uuid: name, hostname: name, publicAddresses: Array(request.names.dropFirst()),
            publicKey: try AuthorityKeys.readPublicKey(request.publicKey), cluster: clusterName, role: nil, ttl: ttl, now: now)
        logger.info("signed for a host", metadata: ["host": "\(name)"])
        return SignedCertificate(certificate: try keys.sign(certificate), authorities: ownAuthorities)
    }

    /// The credential of a site whose agent is a plain OpenSSH client.
    func signSite(_ request: SignSiteRequest) throws(TeleportError) -> SignedCertificate {
        try Names.checkCluster(request.site)
        guard request.site != clusterName else { throw .badParameter("\(clusterName) is this cluster, not a site of it") }
        let ttl = request.ttlSeconds > 0 ? Duration.seconds(request.ttlSeconds) : Self.siteTTLDefault
        let certificate = CertificateRequest.siteAgent(
            site: request.site, publicKey: try AuthorityKeys.readPublicKey(request.publicKey), ttl: ttl, now: now)
        logger.info("signed for a site", metadata: ["site": "\(request.site)"])
        return SignedCertificate(certificate: try keys.sign(certificate), authorities: ownAuthorities)
    }
}
