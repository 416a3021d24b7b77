package import SSHWire

/// Names one open question of the engine. Until it is answered, nothing more is read from the peer.
package struct DecisionToken: Hashable, Sendable {
    let number: UInt64
}

/// The key that a server showed, after its signature over the exchange has been verified.
package struct HostKeyOffer: Sendable {
    /// The algorithm that was agreed on, such as `ssh-ed25519-cert-v01@openssh.com`.
    package let algorithm: String
    /// The key or certificate as it was sent: what known_hosts compares.
    package let blob: [UInt8]
    package let identity: KeyIdentity
}

/// A bare key, or a certificate over one.
package enum KeyIdentity: Sendable {
    case key(PublicKey)
    case certificate(Certificate)

    /// Reads a blob, which must be of the kind that `algorithm` names.
    init(blob: [UInt8], algorithm: PublicKeyAlgorithm) throws(KeyError) {
        if algorithm.isCertificate {
            self = .certificate(try Certificate(blob: blob))
        } else {
            self = .key(try PublicKey(blob: blob))
        }
        guard publicKey.type == algorithm.signature.keyType else { throw .signatureAlgorithmDoesNotFitKey(algorithm.name) }
    }

    /// The key that signs: a certificate's own, not its authority's.
    package var publicKey: PublicKey {
        switch self {
        case .key(let key): key
        case .certificate(let certificate): certificate.publicKey
        }
    }

    package var blob: [UInt8] {
        switch self {
        case .key(let key): key.blob
        case .certificate(let certificate): certificate.blob
        }
    }

    package var isCertificate: Bool {
        switch self {
        case .key: false
        case .certificate: true
        }
    }
}

/// One user's try to log in with a key (RFC 4252 §7).
package struct UserAuthAttempt: Sendable {
    package let user: String
    package let algorithm: String
    package let blob: [UInt8]
    package let identity: KeyIdentity
    /// Whether the signature has been verified. Where false, the client only asks whether this key would do: the answer must have no other effect.
    package let isProven: Bool
}

package enum UserAuthAnswer: Equatable, Sendable {
    case accept
    case reject
}

package enum HostKeyAnswer: Equatable, Sendable {
    case accept
    /// The reason is for our own user and log.
    case reject(reason: String)
}

/// Something to be signed by whoever holds the key: an agent, a hardware key.
package struct SignatureRequest: Sendable {
    /// The position in ``ClientOptions/credentials``.
    package let credential: Int
    /// The signature algorithm that the server accepts, such as `rsa-sha2-512`.
    package let algorithm: String
    package let publicKeyBlob: [UInt8]
    package let bytes: [UInt8]
}
