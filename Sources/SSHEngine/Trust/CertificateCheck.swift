internal import Base
package import SSHWire

/// A certificate that has been believed, and what its authority stands for.
package struct AcceptedCertificate: Sendable {
    package let certificate: Certificate
    /// The identity is (cluster, name): never the name alone.
    package let authority: TrustedAuthority
    /// The only command that a user may run, where the certificate says one.
    package let forceCommand: String?
}

/// Why a certificate is not believed.
package enum CertificateDistrust: Error, Equatable, Sendable {
    case malformed(KeyError)
    case wrongType(CertificateKind)
    /// The CA key is itself a certificate (CVE-2025-49825).
    case authorityIsCertificate
    /// No authority of ours has this key.
    case unknownAuthority(fingerprint: String)
    /// The authority is ours, for another use.
    case authorityNotForUse(CertificateKind)
    /// The authority is ours, for another cluster than the one that is spoken to.
    case authorityNotForCluster(String)
    case algorithmNotAllowed(String)
    case weakKey(bits: Int)
    case badSignature
    case notYetValid
    case expired
    case neverExpires
    case noPrincipals
    case principalNotListed(String)
    case unknownCriticalOption(String)
    case malformedOption(String)
    case sourceAddress
    /// The certificate names this cluster, its authority speaks for another.
    case clusterNotOfAuthority(String)

    /// One sentence for the log.
    package var explanation: String {
        switch self {
        case .malformed(let error): "the certificate is malformed: \(error.explanation)"
        case .wrongType(.user): "a user certificate is not a host's"
        case .wrongType(.host): "a host certificate is not a user's"
        case .authorityIsCertificate: "its authority's key is itself a certificate"
        case .unknownAuthority(let fingerprint): "its authority \(fingerprint) is not trusted"
        case .authorityNotForUse(.user): "its authority is not trusted for users"
        case .authorityNotForUse(.host): "its authority is not trusted for hosts"
        case .authorityNotForCluster(let cluster): "its authority speaks for cluster \(cluster.debugDescription) only"
        case .algorithmNotAllowed(let name): "signature algorithm \(name.debugDescription) is not allowed"
        case .weakKey(let bits): "an RSA key of \(bits) bits is too weak"
        case .badSignature: "its signature is wrong"
        case .notYetValid: "it is not valid yet"
        case .expired: "it has expired"
        case .neverExpires: "it never expires"
        case .noPrincipals: "it names nobody"
        case .principalNotListed(let name): "it does not name \(name.debugDescription)"
        case .unknownCriticalOption(let name): "critical option \(name.debugDescription) is unknown"
        case .malformedOption(let name): "option \(name.debugDescription) is malformed"
        case .sourceAddress: "it may not be used from this address"
        case .clusterNotOfAuthority(let cluster): "it names cluster \(cluster.debugDescription), which is not its authority's"
        }
    }
}

/// Whether a certificate is to be believed: the one function that decides it, for every caller.
///
/// ``UserCertificateCheck`` and ``HostCertificateCheck`` say what each use asks of it.
enum CertificateCheck {
    /// What a use asks of a certificate.
    struct Demand {
        let use: CertificateKind
        /// The only cluster whose authority will do; nil for any that is trusted.
        let cluster: String?
        /// Names of which one must be listed; empty for a certificate that must list none.
        let principals: [String]
        let criticalOptions: Set<String>
        let mayLastForever: Bool
        let source: IPAddress?
    }

    /// Reads a certificate, so that what is wrong with its form has a reason, too.
    static func read(_ blob: [UInt8]) throws(CertificateDistrust) -> Certificate {
        do throws(KeyError) {
            return try Certificate(blob: blob)
        } catch {
            throw CertificateDistrust(error)
        }
    }

    /// 1. type, 2. authority and what it is for, 3. signature, 4. time, 5. options, 6. names, 7. cluster.
    static func judge(
        _ certificate: Certificate, _ demand: Demand, authorities: TrustedAuthorities, now: UnixTime
    ) throws(CertificateDistrust) -> AcceptedCertificate {
        guard certificate.kind == demand.use else { throw .wrongType(certificate.kind) }
        let authority = try findAuthority(of: certificate, demand, authorities)
        do throws(KeyError) { try authorities.verifySignature(of: certificate) } catch { throw CertificateDistrust(error) }
        try checkTime(certificate, demand, now)
        try checkCriticalOptions(certificate, demand)
        if demand.principals.isEmpty {
            guard certificate.validPrincipals.isEmpty else { throw .principalNotListed("") }
        } else {
            guard !certificate.validPrincipals.isEmpty else { throw .noPrincipals }
            guard demand.principals.contains(where: certificate.validPrincipals.contains) else {
                throw .principalNotListed(demand.principals[0])
            }
        }
        try checkCluster(certificate, authority, authorities)
        return AcceptedCertificate(
            certificate: certificate, authority: authority, forceCommand: certificate.criticalOptions[CriticalOption.forceCommand])
    }

    private static func findAuthority(
        of certificate: Certificate, _ demand: Demand, _ authorities: TrustedAuthorities
    ) throws(CertificateDistrust) -> TrustedAuthority {
        let known = authorities.with(key: certificate.signatureKey)
        guard !known.isEmpty else { throw .unknownAuthority(fingerprint: certificate.signatureKey.fingerprint) }
        let forUse = known.filter { $0.use == demand.use }
        guard let first = forUse.first else { throw .authorityNotForUse(demand.use) }
        guard let cluster = demand.cluster else { return first }
        guard let match = forUse.first(where: { $0.cluster == cluster }) else { throw .authorityNotForCluster(first.cluster) }
        return match
    }

    private static func checkTime(_ certificate: Certificate, _ demand: Demand, _ now: UnixTime) throws(CertificateDistrust) {
        let seconds = UInt64(max(0, now.seconds))
        guard seconds >= certificate.validAfter else { throw .notYetValid }
        guard seconds < certificate.validBefore else { throw .expired }
        guard certificate.validBefore != Certificate.forever || demand.mayLastForever else { throw .neverExpires }
    }

    private static func checkCriticalOptions(_ certificate: Certificate, _ demand: Demand) throws(CertificateDistrust) {
        for option in certificate.criticalOptions.options {
            guard demand.criticalOptions.contains(option.name) else { throw .unknownCriticalOption(option.name) }
            guard let value = certificate.criticalOptions[option.name] else { throw .malformedOption(option.name) }
            if option.name == CriticalOption.sourceAddress { try checkSource(value, demand.source) }
        }
    }

    /// A comma list of addresses and ranges, one of which must hold the peer's; a peer without an address has none of them.
    private static func checkSource(_ list: String, _ source: IPAddress?) throws(CertificateDistrust) {
        var isInside = false
        for word in list.split(separator: ",", omittingEmptySubsequences: false) {
            let text = String(word)
            if let range = AddressRange(text) {
                if let source, range.contains(source.unmapped) { isInside = true }
            } else if let address = IPAddress(text) {
                if let source, address.unmapped == source.unmapped { isInside = true }
            } else {
                throw .malformedOption(CriticalOption.sourceAddress)
            }
        }
        guard isInside else { throw .sourceAddress }
    }

    /// A key of one cluster may never speak for another: neither by its authority extension nor by a name `HOST.OTHERCLUSTER`.
    private static func checkCluster(
        _ certificate: Certificate, _ authority: TrustedAuthority, _ authorities: TrustedAuthorities
    ) throws(CertificateDistrust) {
        if certificate.extensions.contains(CertificateExtension.authority) {
            guard let named = certificate.extensions[CertificateExtension.authority] else {
                throw .malformedOption(CertificateExtension.authority)
            }
            guard named == authority.cluster else { throw .clusterNotOfAuthority(named) }
        }
        guard certificate.kind == .host else { return }
        for name in certificate.validPrincipals + [certificate.keyID] {
            if let meant = authorities.cluster(ofHost: name), meant != authority.cluster { throw .clusterNotOfAuthority(meant) }
        }
    }
}

extension CertificateDistrust {
    init(_ error: KeyError) {
        switch error {
        case .signatureKeyIsCertificate: self = .authorityIsCertificate
        case .unacceptableKeySize(let bits): self = .weakKey(bits: bits)
        case .signatureAlgorithmNotAllowed(let name), .signatureAlgorithmDoesNotFitKey(let name): self = .algorithmNotAllowed(name)
        case .badSignature, .userNotPresent: self = .badSignature
        case .malformed, .badText, .unsupportedKeyType, .invalidKey, .signingFailed, .encrypted, .unknownCertificateType, .notACertificate,
            .optionsNotInOrder, .badRequest:
            self = .malformed(error)
        }
    }
}
