package import Base

/// What an SSH certificate will say, before it is signed.
package struct CertificateRequest: Hashable, Sendable {
    package enum Purpose: Hashable, Sendable { case user, host }

    package let purpose: Purpose
    package let keyID: String
    package let principals: [String]
    package let validAfter: UnixTime
    package let validBefore: UnixTime
    /// In the order of their names, as PROTOCOL.certkeys wants them.
    package let criticalOptions: [Entry]
    package let extensions: [Entry]

    package struct Entry: Hashable, Sendable {
        package let name: String
        package let value: String
    }

    /// How far a clock may be behind ours.
    package static let clockSkew = Duration.seconds(60)
    package static let userTTLDefault = Duration.seconds(12 * 3600)
    package static let hostTTL = Duration.seconds(365 * 24 * 3600)

    /// For a user of this cluster: the logins and features that the roles give, no longer than they allow.
    ///
    /// - Throws: where nothing is left to put in.
    package static func user(
        name: String, cluster: String, logins: [String], traits: [String: [String]], roles: RoleSet, ttl: Duration, now: UnixTime
    ) throws(TeleportError) -> CertificateRequest {
        let principals = roles.logins(own: logins)
        guard !principals.isEmpty else { throw .accessDenied("the roles of \(name) allow no login") }
        guard ttl > .zero else { throw .badParameter("the lifetime must be longer than 0") }
        let options = roles.options
        var extensions = [
            Entry(name: CertificateNames.authorityExtension, value: cluster),
            Entry(name: CertificateNames.rolesExtension, value: try json(roles.roles.map(\.name))),
            Entry(name: CertificateNames.traitsExtension, value: try json(traits)),
        ]
        if options.permitPTY { extensions.append(Entry(name: "permit-pty", value: "")) }
        if options.permitPortForwarding { extensions.append(Entry(name: "permit-port-forwarding", value: "")) }
        if options.permitAgentForwarding { extensions.append(Entry(name: "permit-agent-forwarding", value: "")) }
        return CertificateRequest(
            purpose: .user, keyID: name, principals: principals, validAfter: now + (.zero - clockSkew),
            validBefore: now + min(ttl, roles.maxSessionTTL, RoleOptions.maxSessionTTLDefault), criticalOptions: [],
            extensions: extensions.sorted { $0.name < $1.name })
    }

    /// For the agent of a site that has nothing of ours: good for the tunnel server alone.
    package static func siteAgent(site: String, ttl: Duration, now: UnixTime) -> CertificateRequest {
        CertificateRequest(
            purpose: .user, keyID: site, principals: [site], validAfter: now + (.zero - clockSkew), validBefore: now + min(ttl, hostTTL),
            criticalOptions: [Entry(name: CertificateNames.siteOption, value: site)], extensions: [])
    }

    /// For a host of this cluster.
    ///
    /// - Parameter role: nil for an ordinary `sshd`.
    package static func host(
        uuid: String, hostname: String, publicAddresses: [String] = [], cluster: String, role: String?, ttl: Duration = hostTTL, now: UnixTime
    ) throws(TeleportError) -> CertificateRequest {
        try Names.checkNode(uuid)
        try Names.checkNode(hostname)
        var principals = CertificateNames.hostPrincipals(uuid: uuid, hostname: hostname, cluster: cluster)
        principals += publicAddresses
        var extensions = [Entry(name: CertificateNames.authorityExtension, value: cluster)]
        if let role { extensions.append(Entry(name: CertificateNames.roleExtension, value: role)) }
        var seen: Set<String> = []
        return CertificateRequest(
            purpose: .host, keyID: CertificateNames.hostKeyID(uuid: uuid, cluster: cluster), principals: principals.filter { seen.insert($0).inserted },
            validAfter: now + (.zero - clockSkew), validBefore: now + min(ttl, hostTTL), criticalOptions: [], extensions: extensions)
    }

    private static func json(_ value: some Encodable) throws(TeleportError) -> String {
        do { return try JSONText.encode(value) } catch { throw .badParameter("cannot be written as JSON", cause: error) }
    }
}
