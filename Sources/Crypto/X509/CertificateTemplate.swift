package import Base

/// What an X.509 certificate may be used for (RFC 5280 §4.2.1.12).
package enum CertificateUse: Sendable, Hashable, CaseIterable {
    case client, server
}

/// The fields of a certificate that we issue.
package struct CertificateTemplate: Sendable {
    package var commonName: String
    /// `O`: one a role.
    package var organizations: [String]
    /// `OU`: the cluster.
    package var organizationalUnits: [String]
    package var dnsNames: [String]
    /// In text, IPv4 or IPv6.
    package var ipAddresses: [String]
    package var notBefore: UnixTime
    package var notAfter: UnixTime
    package var isAuthority: Bool
    package var uses: Set<CertificateUse>

    package init(
        commonName: String, organizations: [String] = [], organizationalUnits: [String] = [], dnsNames: [String] = [],
        ipAddresses: [String] = [], notBefore: UnixTime, notAfter: UnixTime, isAuthority: Bool = false, uses: Set<CertificateUse> = []
    ) {
        self.commonName = commonName
        self.organizations = organizations
        self.organizationalUnits = organizationalUnits
        self.dnsNames = dnsNames
        self.ipAddresses = ipAddresses
        self.notBefore = notBefore
        self.notAfter = notAfter
        self.isAuthority = isAuthority
        self.uses = uses
    }
}
