import Base
import ClientKit
import ClusterModel
import Crypto
import SSHWire

/// A cluster's authorities and the certificates that they make.
struct TestCluster {
    let name: String
    let user: PrivateKey
    let host: PrivateKey
    let randomness = SeededRandomness(seed: 7)

    static let now = UnixTime(seconds: 1_800_000_000)

    init(_ name: String, seed: UInt64) {
        let randomness = SeededRandomness(seed: seed)
        self.name = name
        user = PrivateKey.generate(randomness: randomness)
        host = PrivateKey.generate(randomness: randomness)
    }

    var hostAuthority: CertificateAuthority { CertificateAuthority(type: .host, cluster: name, publicKeys: [host.publicKey.text()]) }

    func sign(
        _ kind: CertificateKind, key: PublicKey, id: String, principals: [String], cluster: String? = nil, role: String? = nil,
        validFor: Duration = .seconds(3600)
    ) throws -> Certificate {
        var values = [CertificateExtension.authority: cluster ?? name]
        values[CertificateExtension.role] = role
        return try CertificateSigner(key: kind == .user ? user : host, randomness: randomness).sign(
            CertificateSigner.Request(
                kind: kind, publicKey: key, keyID: id, validPrincipals: principals, validAfter: Self.now + .seconds(-7200),
                validBefore: Self.now + validFor, extensions: CertificateOptions(values: values)))
    }

    func userCertificate(_ key: PrivateKey, logins: [String] = ["root", "deploy"], validFor: Duration = .seconds(3600)) throws
        -> Certificate
    {
        try sign(.user, key: key.publicKey, id: "alice", principals: logins, validFor: validFor)
    }

    func identity(trusting others: [TestCluster] = [], logins: [String] = ["root", "deploy"]) throws -> ClientIdentity {
        let keys = UserKeys(randomness: randomness)
        return try ClientIdentity(
            privateKey: keys.sshPrivateKey, certificate: try userCertificate(keys.ssh, logins: logins).text(),
            knownHosts: IdentityFile.lines([hostAuthority] + others.map(\.hostAuthority)), name: "test")
    }
}
