package import Base
package import SSHWire

/// Whether a certificate proves a host, under a set of host CAs.
package struct HostCertificateCheck: Sendable {
    private let authorities: TrustedAuthorities

    package init(authorities: TrustedAuthorities) {
        self.authorities = authorities
    }

    /// - Parameters:
    ///   - name: the host that was asked for, as the certificate's principals spell it.
    ///   - cluster: the only cluster whose hosts will do; nil for every one that is trusted.
    package func judge(
        _ certificate: Certificate, name: String, cluster: String? = nil, now: UnixTime
    ) throws(CertificateDistrust) -> AcceptedCertificate {
        try CertificateCheck.judge(
            certificate,
            CertificateCheck.Demand(
                use: .host, cluster: cluster, principals: [name], criticalOptions: [], mayLastForever: true, source: nil),
            authorities: authorities, now: now)
    }

    /// The same from a blob.
    package func judge(
        blob: [UInt8], name: String, cluster: String? = nil, now: UnixTime
    ) throws(CertificateDistrust) -> AcceptedCertificate {
        try judge(try CertificateCheck.read(blob), name: name, cluster: cluster, now: now)
    }
}
