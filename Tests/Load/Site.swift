import Base
import ClusterModel
import SSHEngine
import SSHWire

/// One leaf cluster: an authority of its own, and a proxy with a certificate of it. Both keys follow from the number.
struct Site {
    let name: String
    private let number: Int
    private let authority: PrivateKey

    /// Below the 20,000 descriptors that a process usually may have.
    static let countMax = 19_000
    /// As many sites as an office might have behind one address.
    private static let sitesPerAddress = 50

    init(number: Int) {
        self.number = number
        name = "site\(number)"
        authority = PrivateKey.generate(randomness: SeededRandomness(seed: UInt64(number) << 1))
    }

    /// What the hub must know of it.
    var document: String {
        """
        ---
        kind: cert_authority
        version: v1
        metadata:
          name: host/\(name)
        spec:
          type: host
          cluster_name: \(name)
          public_keys: ["\(authority.publicKey.text())"]

        """
    }

    /// The address in 127.0.0.0/8 that it dials from: a hub sees many.
    var source: [UInt8] {
        let address = number / Self.sitesPerAddress
        return [127, 78, UInt8(address / 250), UInt8(1 + address % 250)]
    }

    func credential(now: UnixTime) throws -> (user: String, UserCredential) {
        let randomness = SeededRandomness(seed: UInt64(number) << 1 | 1)
        let key = PrivateKey.generate(randomness: randomness)
        let uuid = randomness.uuid()
        let request = CertificateSigner.Request(
            kind: .host, publicKey: key.publicKey, keyID: "\(uuid).\(name)", validPrincipals: [uuid, "\(uuid).\(name)"],
            validAfter: now + .seconds(-60), validBefore: now + .seconds(86_400),
            extensions: CertificateOptions(values: [
                CertificateExtension.authority: name, CertificateExtension.role: SystemRole.proxy.rawValue,
            ]))
        let certificate = try CertificateSigner(key: authority, randomness: randomness).sign(request)
        return (request.keyID, UserCredential(identity: .certificate(certificate), signer: .key(key)))
    }
}
