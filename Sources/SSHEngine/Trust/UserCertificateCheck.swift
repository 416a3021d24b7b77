package import Base
package import SSHWire

/// Whether a certificate lets a user in, under a set of user CAs.
package struct UserCertificateCheck: Sendable {
    /// What the certificate must say.
    package enum Wanted: Sendable {
        /// A node: the login is among the principals.
        case principal(String)
        /// A proxy, which runs nothing: the name is the key id, or among the principals.
        case principalOrKeyID(String)
        /// A plain OpenSSH client that is a site's agent: the critical option that names the site, and no principals.
        case site(String)
    }

    private let authorities: TrustedAuthorities

    package init(authorities: TrustedAuthorities) {
        self.authorities = authorities
    }

    /// - Parameters:
    ///   - cluster: the only cluster whose users will do; nil for every one that is trusted.
    ///   - source: the peer's address, for `source-address`.
    package func judge(
        _ certificate: Certificate, wanted: Wanted, cluster: String? = nil, source: IPAddress?, now: UnixTime
    ) throws(CertificateDistrust) -> AcceptedCertificate {
        var principals: [String] = []
        var options: Set<String> = [CriticalOption.forceCommand, CriticalOption.sourceAddress]
        switch wanted {
        case .principal(let name):
            principals = [name]
        case .principalOrKeyID(let name):
            // The key id stands for all principals: which of them is named does not matter then.
            principals = certificate.keyID == name && !certificate.validPrincipals.isEmpty ? certificate.validPrincipals : [name]
        case .site:
            options = [CriticalOption.site, CriticalOption.sourceAddress]
        }
        let accepted = try CertificateCheck.judge(
            certificate,
            CertificateCheck.Demand(
                use: .user, cluster: cluster, principals: principals, criticalOptions: options, mayLastForever: false, source: source),
            authorities: authorities, now: now)
        if case .site(let name) = wanted, certificate.criticalOptions[CriticalOption.site] != name { throw .principalNotListed(name) }
        return accepted
    }

    /// The same from a blob.
    package func judge(
        blob: [UInt8], wanted: Wanted, cluster: String? = nil, source: IPAddress?, now: UnixTime
    ) throws(CertificateDistrust) -> AcceptedCertificate {
        try judge(try CertificateCheck.read(blob), wanted: wanted, cluster: cluster, source: source, now: now)
    }
}
