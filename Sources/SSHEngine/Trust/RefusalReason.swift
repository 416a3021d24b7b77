package import Base

/// Why a login was refused, in a few kinds: what is counted. The log has the whole reason.
package enum RefusalReason: String, CaseIterable, Sendable {
    case noCertificate = "no_certificate"
    case untrustedAuthority = "untrusted_authority"
    /// Not yet, no more, or for ever.
    case validity
    case principal
    case sourceAddress = "source_address"
    /// Whatever else is wrong with a certificate.
    case badCertificate = "bad_certificate"
    /// A certificate that is good, of somebody who may not come in here.
    case access

    /// - Parameter error: what its judge has thrown, with the ``CertificateDistrust`` as its cause where there is one.
    package init(_ error: TeleportError, of attempt: UserAuthAttempt) {
        guard case .certificate = attempt.identity else {
            self = .noCertificate
            return
        }
        switch error.cause as? CertificateDistrust {
        case nil: self = .access
        case .unknownAuthority?, .authorityNotForUse?, .authorityNotForCluster?, .clusterNotOfAuthority?: self = .untrustedAuthority
        case .notYetValid?, .expired?, .neverExpires?: self = .validity
        case .noPrincipals?, .principalNotListed?: self = .principal
        case .sourceAddress?: self = .sourceAddress
        case .malformed?, .wrongType?, .authorityIsCertificate?, .algorithmNotAllowed?, .weakKey?, .badSignature?, .unknownCriticalOption?,
            .malformedOption?:
            self = .badCertificate
        }
    }
}
