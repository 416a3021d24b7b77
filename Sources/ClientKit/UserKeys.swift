package import Base
internal import Crypto
package import SSHWire

/// Fresh keys of a user: one for SSH, and one for the auth API where a certificate for it is wanted too.
package struct UserKeys: Sendable {
    package let ssh: PrivateKey
    private let tls: ECDSA.PrivateKey
    private let randomness: any Randomness

    package init(randomness: any Randomness) {
        self.randomness = randomness
        ssh = PrivateKey.generate(randomness: randomness)
        tls = ECDSA.PrivateKey.generate(.nistp256, randomness: randomness)
    }

    /// `ssh-ed25519 AAAA…`
    package var sshPublicKey: String { ssh.publicKey.text() }
    /// `openssh-key-v1` PEM.
    package var sshPrivateKey: String { PrivateKeyFile(key: ssh).text(randomness: randomness) }
    /// SubjectPublicKeyInfo DER in base 64.
    package var tlsPublicKey: String { Base64.encode(tls.publicKey.der) }
    /// PKCS #8 PEM.
    package var tlsPrivateKey: String { PrivateKeyPEM.ecdsa(tls).pem }
}
