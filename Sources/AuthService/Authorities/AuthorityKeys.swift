internal import AuthAPI
internal import Base
internal import ClusterModel
internal import Crypto
internal import SSHWire

/// The three authorities of the cluster with their private halves, decoded once.
struct AuthorityKeys: Sendable {
    let cluster: String
    private let user: CertificateSigner
    private let host: CertificateSigner
    private let tls: CertificateIssuer
    private let randomness: any Randomness

    private static let tlsLifetime = Duration.seconds(10 * 365 * 24 * 3600)

    /// Reads what ``generate(cluster:now:randomness:)`` made.
    init(
        cluster: String, secrets: [AuthorityKind: AuthoritySecrets], tlsCertificate: String, randomness: any Randomness
    ) throws(TeleportError) {
        self.cluster = cluster
        self.randomness = randomness
        do {
            user = CertificateSigner(key: try PrivateKeyFile(text: secrets[.user]?.privateKeys.first ?? "").key, randomness: randomness)
            host = CertificateSigner(key: try PrivateKeyFile(text: secrets[.host]?.privateKeys.first ?? "").key, randomness: randomness)
            guard case .ecdsa(let key) = try PrivateKeyPEM(pem: secrets[.tls]?.privateKeys.first ?? "") else {
                throw CryptoError.badKey("a TLS authority has an ECDSA key")
            }
            tls = try CertificateIssuer(certificate: X509Certificate(pem: tlsCertificate), key: key)
        } catch {
            throw TeleportError(.systemError, "the cluster's authorities cannot be read from the store", cause: error)
        }
    }

    /// Ed25519 for SSH, P-256 for TLS.
    static func generate(
        cluster: String, now: UnixTime, randomness: any Randomness
    ) throws(TeleportError) -> [(authority: CertificateAuthority, secrets: AuthoritySecrets)] {
        var made: [(CertificateAuthority, AuthoritySecrets)] = []
        for type in [AuthorityKind.user, .host] {
            let key = PrivateKey.generate(randomness: randomness)
            let comment = "\(type.rawValue) authority of \(cluster)"
            made.append(
                (
                    CertificateAuthority(type: type, cluster: cluster, publicKeys: [key.publicKey.text()]),
                    AuthoritySecrets(
                        type: type, cluster: cluster, privateKeys: [PrivateKeyFile(key: key, comment: comment).text(randomness: randomness)]
                    )
                ))
        }
        let key = ECDSA.PrivateKey.generate(.nistp256, randomness: randomness)
        let template = CertificateTemplate(
            commonName: cluster, organizationalUnits: [cluster], notBefore: now + (.zero - CertificateRequest.clockSkew),
            notAfter: now + tlsLifetime, isAuthority: true)
        do {
            let certificate = try CertificateIssuer.selfSigned(template, key: key, randomness: randomness)
            made.append(
                (
                    CertificateAuthority(type: .tls, cluster: cluster, tlsCertificates: [certificate.pem]),
                    AuthoritySecrets(type: .tls, cluster: cluster, privateKeys: [PrivateKeyPEM.ecdsa(key).pem])
                ))
        } catch {
            throw TeleportError(.systemError, "the TLS authority cannot be made", cause: error)
        }
        return made
    }

    var tlsCertificate: X509Certificate { tls.certificate }

    /// - Returns: the text of the certificate.
    func sign(_ request: CertificateSigner.Request) throws(TeleportError) -> String {
        do {
            return try (request.kind == .user ? user : host).sign(request).text()
        } catch {
            throw .badParameter("this certificate cannot be made: \(error.explanation)", cause: error)
        }
    }

    /// An X.509 certificate for a P-256 key, which comes as SubjectPublicKeyInfo DER in base 64.
    ///
    /// - Returns: PEM.
    func issue(_ template: CertificateTemplate, publicKey: String) throws(TeleportError) -> String {
        do {
            guard let der = Base64.decode(publicKey) else { throw CryptoError.badEncoding("base 64") }
            return try tls.issue(template, for: try ECDSA.PublicKey(der: der), randomness: randomness).pem
        } catch {
            throw .badParameter("the TLS public key is not a P-256 key that can be certified", cause: error)
        }
    }

    /// A key of a user or host that asks for a certificate.
    static func readPublicKey(_ text: String) throws(TeleportError) -> PublicKey {
        guard text.utf8.count <= 16384 else { throw .badParameter("the public key is too long") }
        do { return try PublicKey(text: text) } catch {
            throw .badParameter("the public key cannot be used: \(error.explanation)", cause: error)
        }
    }
}
