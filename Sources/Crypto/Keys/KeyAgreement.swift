package import Base
internal import COpenSSL

/// The groups that a shared secret is agreed in.
package enum AgreementCurve: Sendable, Hashable, CaseIterable {
    case x25519, nistp256, nistp384, nistp521

    fileprivate var curve: EllipticCurve? {
        switch self {
        case .x25519: nil
        case .nistp256: .nistp256
        case .nistp384: .nistp384
        case .nistp521: .nistp521
        }
    }
}

/// One side's ephemeral key of a key exchange (RFC 8731, RFC 5656 §4).
package struct KeyAgreement: Sendable {
    package let curve: AgreementCurve
    /// 32 bytes for X25519, else the uncompressed point.
    package let publicKey: [UInt8]
    private let key: KeyHandle

    package static func generate(_ curve: AgreementCurve, randomness: any Randomness) -> KeyAgreement {
        do throws(CryptoError) {
            let secret = try curve.curve?.randomScalar(randomness) ?? randomness.bytes(32)
            return try KeyAgreement(curve, secret: secret)
        } catch {
            preconditionFailure("a fresh key is refused: \(error)")
        }
    }

    init(_ curve: AgreementCurve, secret: [UInt8]) throws(CryptoError) {
        self.curve = curve
        if let curve = curve.curve {
            (key, publicKey) = try curve.privateKey(scalar: secret)
        } else {
            key = try unsafe KeyHandle(EVP_PKEY_new_raw_private_key_ex(nil, "X25519", nil, secret, secret.count))
            publicKey = key.rawPublicKey()
        }
    }

    /// 32 bytes for X25519, else the x coordinate in the field's width.
    ///
    /// - Throws: ``CryptoError/badKey(_:)`` for a point of another size or beside the curve, ``CryptoError/weakSharedSecret`` for an all-zero
    ///   result (RFC 8731 §3).
    package func sharedSecret(with peer: [UInt8]) throws(CryptoError) -> [UInt8] {
        let other: KeyHandle
        if let curve = curve.curve {
            other = try curve.publicKey(point: peer)
        } else {
            guard peer.count == 32 else { throw .badKey("an X25519 key has 32 bytes") }
            other = try unsafe KeyHandle(EVP_PKEY_new_raw_public_key_ex(nil, "X25519", nil, peer, peer.count))
        }
        let secret = try key.derive(with: other)
        guard secret.reduce(0, |) != 0 else { throw .weakSharedSecret }
        return secret
    }
}

extension KeyHandle {
    /// The 32 bytes of an X25519 or Ed25519 key.
    func rawPublicKey() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 32)
        var count = bytes.count
        OpenSSLError.require(unsafe EVP_PKEY_get_raw_public_key(pointer, &bytes, &count), "EVP_PKEY_get_raw_public_key")
        return bytes
    }
}
