import Base
import Crypto
import HTTPClient
import HTTPServer

/// An authority of a test and what it issues.
struct TestAuthority: Sendable {
    static let now = SystemClockForTests.start
    let key: ECDSA.PrivateKey
    let certificate: X509Certificate

    init(_ name: String) throws {
        key = ECDSA.PrivateKey.generate(.nistp256, randomness: SystemRandomness())
        certificate = try CertificateIssuer.selfSigned(
            CertificateTemplate(
                commonName: name, notBefore: Self.now + .seconds(-3600), notAfter: Self.now + .seconds(86400), isAuthority: true),
            key: key, randomness: SystemRandomness())
    }

    func issue(
        _ name: String, uses: Set<CertificateUse>, notBefore: Duration = .seconds(-60), notAfter: Duration = .seconds(3600)
    ) throws -> (certificate: X509Certificate, key: ECDSA.PrivateKey) {
        let key = ECDSA.PrivateKey.generate(.nistp256, randomness: SystemRandomness())
        let issuer = try CertificateIssuer(certificate: certificate, key: self.key)
        let certificate = try issuer.issue(
            CertificateTemplate(
                commonName: name, organizations: ["Node"], dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"],
                notBefore: Self.now + notBefore, notAfter: Self.now + notAfter, uses: uses),
            for: key.publicKey, randomness: SystemRandomness())
        return (certificate, key)
    }

    func serverIdentity(_ name: String = "server") throws -> HTTPServerIdentity {
        let (certificate, key) = try issue(name, uses: [.server])
        return HTTPServerIdentity(certificates: certificate.pem, privateKey: SecretBytes(Array(PrivateKeyPEM.ecdsa(key).pem.utf8)))
    }

    func clientIdentity(
        _ name: String = "client", uses: Set<CertificateUse> = [.client], notAfter: Duration = .seconds(3600)
    ) throws -> HTTPClientTLS.Identity {
        let (certificate, key) = try issue(name, uses: uses, notAfter: notAfter)
        return HTTPClientTLS.Identity(
            certificates: certificate.pem, privateKey: SecretBytes(Array(PrivateKeyPEM.ecdsa(key).pem.utf8)))
    }

    func trust(_ identity: HTTPClientTLS.Identity? = nil) -> HTTPClientTLS {
        HTTPClientTLS(server: .authorities(certificate.pem), identity: identity)
    }
}
