package import Base
package import SSHWire

/// What an SSH certificate of ours will say, before it is signed.
package enum CertificateRequest {
    /// How far a clock may be behind ours.
    package static let clockSkew = Duration.seconds(60)
    package static let userTTLDefault = Duration.seconds(12 * 3600)
    package static let hostTTL = Duration.seconds(365 * 24 * 3600)

    /// For a user of this cluster: the logins and features that the roles give, no longer than they allow.
    ///
    /// - Throws: where no login is left to put in.
    package static func user(
        _ user: User, publicKey: PublicKey, cluster: String, roles: RoleSet, ttl: Duration, now: UnixTime
    ) throws(TeleportError) -> CertificateSigner.Request {
        let principals = roles.logins(own: user.logins)
        guard !principals.isEmpty else { throw .accessDenied("the roles of \(user.name) allow no login") }
        guard ttl > .zero else { throw .badParameter("the lifetime of a certificate must be longer than 0") }
        let options = roles.options
        var flags: [String] = []
        if options.permitPTY { flags.append(CertificateExtension.permitPTY) }
        if options.permitPortForwarding { flags.append(CertificateExtension.permitPortForwarding) }
        if options.permitAgentForwarding { flags.append(CertificateExtension.permitAgentForwarding) }
        return CertificateSigner.Request(
            kind: .user, publicKey: publicKey, keyID: user.name, validPrincipals: principals, validAfter: now + (.zero - clockSkew),
            validBefore: now + min(ttl, roles.maxSessionTTL, RoleOptions.maxSessionTTLDefault),
            extensions: CertificateOptions(
                flags: flags,
                values: [
                    CertificateExtension.authority: cluster,
                    CertificateExtension.roles: try json(roles.roles.map(\.name)),
                    CertificateExtension.traits: try json(user.traits),
                ]))
    }

    /// For the agent of a site that has nothing of ours: no login, and an option that nothing but the tunnel server accepts.
    package static func siteAgent(site: String, publicKey: PublicKey, ttl: Duration, now: UnixTime) -> CertificateSigner.Request {
        CertificateSigner.Request(
            kind: .user, publicKey: publicKey, keyID: site, validPrincipals: [], validAfter: now + (.zero - clockSkew),
            validBefore: now + min(ttl, hostTTL), criticalOptions: CertificateOptions(values: [CriticalOption.site: site]))
    }

    /// For a host of this cluster.
    ///
    /// - Parameter role: nil for an ordinary `sshd`, whose names then are all it has.
    package static func host(
        uuid: String, hostname: String, publicAddresses: [String] = [], publicKey: PublicKey, cluster: String, role: SystemRole?,
        ttl: Duration = hostTTL, now: UnixTime
    ) throws(TeleportError) -> CertificateSigner.Request {
        var values = [CertificateExtension.authority: cluster]
        values[CertificateExtension.role] = role?.rawValue
        var seen: Set<String> = []
        let principals = HostNames.principals(uuid: uuid, hostname: hostname, cluster: cluster) + publicAddresses
        return CertificateSigner.Request(
            kind: .host, publicKey: publicKey, keyID: HostNames.qualified(uuid, cluster: cluster),
            validPrincipals: principals.filter { seen.insert($0).inserted }, validAfter: now + (.zero - clockSkew),
            validBefore: now + min(ttl, hostTTL), extensions: CertificateOptions(values: values))
    }

    /// The user's roles from the text of the `teleport-roles` extension.
    package static func parseRoles(_ text: String) throws(TeleportError) -> [String] {
        let roles: [String]
        do { roles = try JSONText.decode([String].self, from: text) } catch {
            throw .badParameter("the certificate's roles are not a list of names", cause: error)
        }
        guard roles.count <= 64, Set(roles).count == roles.count else { throw .badParameter("the certificate's roles repeat themselves") }
        for role in roles { try Names.checkRole(role) }
        return roles
    }

    private static func json(_ value: some Encodable) throws(TeleportError) -> String {
        do { return try JSONText.encode(value) } catch { throw .badParameter("cannot be written as JSON", cause: error) }
    }
}

/// The names of a host in its certificate.
package enum HostNames {
    /// `UUID.CLUSTER`: the key id of its certificate, and the user name as which its agent dials.
    package static func qualified(_ name: String, cluster: String) -> String { "\(name).\(cluster)" }

    /// The principals of a host, without its public addresses.
    package static func principals(uuid: String, hostname: String, cluster: String) -> [String] {
        [uuid, qualified(uuid, cluster: cluster), hostname, qualified(hostname, cluster: cluster)]
    }
}
