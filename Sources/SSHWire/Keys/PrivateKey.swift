package import Base
internal import Crypto

/// What can sign: a private key in memory, or one that lives elsewhere.
package protocol SigningKey: Sendable {
    var publicKey: PublicKey { get }
    /// - Throws: ``KeyError/signatureAlgorithmDoesNotFitKey(_:)`` for an algorithm of another key type.
    func sign(_ data: [UInt8], with algorithm: SignatureAlgorithm) throws(KeyError) -> Signature
}

extension SigningKey {
    /// Signs with the best algorithm of the key's type.
    package func sign(_ data: [UInt8]) throws(KeyError) -> Signature {
        guard let algorithm = publicKey.type.signatureAlgorithms.first else { throw .signingFailed }
        return try sign(data, with: algorithm)
    }
}

/// A private key, decoded once and ready to sign.
package struct PrivateKey: SigningKey {
    private enum Material: Sendable {
        case ed25519(Ed25519.PrivateKey)
        case ecdsa(ECDSA.PrivateKey)
        case rsa(RSA.PrivateKey)
    }

    package let publicKey: PublicKey
    private let material: Material

    package var type: KeyType { publicKey.type }

    private init(_ material: Material) throws(KeyError) {
        self.material = material
        switch material {
        case .ed25519(let key): publicKey = PublicKey(key.publicKey)
        case .ecdsa(let key): publicKey = PublicKey(key.publicKey)
        case .rsa(let key): publicKey = try PublicKey(key.publicKey)
        }
    }

    /// A new Ed25519 key, which is what we make ourselves everywhere.
    package static func generate(randomness: any Randomness) -> PrivateKey {
        PrivateKey(Ed25519.PrivateKey.generate(randomness: randomness))
    }

    private init(_ key: Ed25519.PrivateKey) {
        material = .ed25519(key)
        publicKey = PublicKey(key.publicKey)
    }

    /// A new key of any type but a security key's.
    ///
    /// - Parameter rsaBits: the modulus of an RSA key; its randomness is OpenSSL's own.
    package init(generating type: KeyType, rsaBits: Int = 3072, randomness: any Randomness) throws(KeyError) {
        switch type {
        case .ed25519:
            self = Self.generate(randomness: randomness)
        case .ecdsaP256:
            try self.init(.ecdsa(.generate(.nistp256, randomness: randomness)))
        case .ecdsaP384:
            try self.init(.ecdsa(.generate(.nistp384, randomness: randomness)))
        case .ecdsaP521:
            try self.init(.ecdsa(.generate(.nistp521, randomness: randomness)))
        case .rsa:
            guard rsaBits >= PublicKey.rsaBitsMin, rsaBits <= PublicKey.rsaBitsMax else { throw .unacceptableKeySize(bits: rsaBits) }
            let key: RSA.PrivateKey
            do throws(CryptoError) { key = try RSA.PrivateKey.generate(bits: rsaBits) } catch { throw .signingFailed }
            try self.init(.rsa(key))
        case .skEd25519:
            throw .unsupportedKeyType(type.rawValue)
        }
    }

    /// PKCS#8, SEC1 or PKCS#1.
    package init(pem: String) throws(KeyError) {
        let decoded: PrivateKeyPEM
        do throws(CryptoError) { decoded = try PrivateKeyPEM(pem: pem) } catch { throw .badText("not a PEM private key") }
        switch decoded {
        case .ed25519(let key): try self.init(.ed25519(key))
        case .ecdsa(let key): try self.init(.ecdsa(key))
        case .rsa(let key): try self.init(.rsa(key))
        }
    }

    package func sign(_ data: [UInt8], with algorithm: SignatureAlgorithm) throws(KeyError) -> Signature {
        guard algorithm.keyType == type else { throw .signatureAlgorithmDoesNotFitKey(algorithm.rawValue) }
        switch material {
        case .ed25519(let key): return Signature(algorithm, bytes: key.sign(data))
        case .ecdsa(let key): return Signature(algorithm, bytes: ECDSASignatureFields(key.sign(data)).encoded())
        case .rsa(let key): return Signature(algorithm, bytes: key.sign(data, with: algorithm == .rsaSHA512 ? .sha512 : .sha256))
        }
    }

    /// Reads the fields that follow the type's name in `openssh-key-v1` files and in what is given to an agent.
    ///
    /// The public half that the fields hold must be that of the private one.
    init(_ type: KeyType, fieldsFrom reader: inout ByteReader) throws(KeyError) {
        switch type {
        case .ed25519:
            let declared = try PublicKey(.ed25519, fieldsFrom: &reader)
            try self.init(ed25519From: &reader)
            guard publicKey == declared else { throw .invalidKey }
        case .ecdsaP256, .ecdsaP384, .ecdsaP521:
            let declared = try PublicKey(type, fieldsFrom: &reader)
            try self.init(type, scalarFrom: &reader)
            guard publicKey == declared else { throw .invalidKey }
        case .rsa:
            let n = try KeyError.reading(reader.readMPInt(max: Self.rsaIntegerBytesMax))
            let e = try KeyError.reading(reader.readMPInt(max: Self.rsaIntegerBytesMax))
            try self.init(n: n, e: e, rsaPrivateFrom: &reader)
        case .skEd25519:
            throw .unsupportedKeyType(type.rawValue)
        }
    }

    /// Reads the fields of a private key whose public half is known already, as an agent gets them with a certificate.
    init(of publicKey: PublicKey, privateFieldsFrom reader: inout ByteReader) throws(KeyError) {
        switch publicKey.type {
        case .ed25519:
            try self.init(.ed25519, fieldsFrom: &reader)
        case .ecdsaP256, .ecdsaP384, .ecdsaP521:
            try self.init(publicKey.type, scalarFrom: &reader)
        case .rsa:
            let (n, e) = try Self.rsaIntegers(of: publicKey)
            try self.init(n: n, e: e, rsaPrivateFrom: &reader)
        case .skEd25519:
            throw .unsupportedKeyType(publicKey.type.rawValue)
        }
        guard self.publicKey == publicKey else { throw .invalidKey }
    }

    private static let rsaIntegerBytesMax = PublicKey.rsaBitsMax / 8 + 1

    private init(ed25519From reader: inout ByteReader) throws(KeyError) {
        let secret = try KeyError.reading(reader.readString(max: 64))
        guard secret.count == 64 else { throw .invalidKey }
        let key = try KeyError.making(Ed25519.PrivateKey(seed: Array(secret[..<32])))
        guard key.publicKey.bytes == Array(secret[32...]) else { throw .invalidKey }
        self.init(key)
    }

    private init(_ type: KeyType, scalarFrom reader: inout ByteReader) throws(KeyError) {
        guard let curve = type.curve else { throw .unsupportedKeyType(type.rawValue) }
        let scalar = try KeyError.reading(reader.readMPInt(max: 67))
        try self.init(.ecdsa(try KeyError.making(ECDSA.PrivateKey(curve: curve, scalar: scalar))))
    }

    private init(n: [UInt8], e: [UInt8], rsaPrivateFrom reader: inout ByteReader) throws(KeyError) {
        let d = try KeyError.reading(reader.readMPInt(max: Self.rsaIntegerBytesMax))
        let iqmp = try KeyError.reading(reader.readMPInt(max: Self.rsaIntegerBytesMax))
        let p = try KeyError.reading(reader.readMPInt(max: Self.rsaIntegerBytesMax))
        let q = try KeyError.reading(reader.readMPInt(max: Self.rsaIntegerBytesMax))
        let components = RSA.PrivateComponents(n: n, e: e, d: d, p: p, q: q, iqmp: iqmp)
        try self.init(.rsa(try KeyError.making(RSA.PrivateKey(components))))
    }

    private static func rsaIntegers(of key: PublicKey) throws(KeyError) -> (n: [UInt8], e: [UInt8]) {
        var reader = ByteReader(key.blob.span)
        _ = try KeyError.reading(reader.readName())
        let e = try KeyError.reading(reader.readMPInt(max: rsaIntegerBytesMax))
        return (try KeyError.reading(reader.readMPInt(max: rsaIntegerBytesMax)), e)
    }

    /// Writes what follows the type's name in `openssh-key-v1` files and in what is given to an agent.
    func writeFields(to writer: inout ByteWriter) {
        switch material {
        case .ed25519, .ecdsa:
            publicKey.writeFields(to: &writer)
            writePrivateFields(to: &writer, withPublicHalf: false)
        case .rsa(let key):
            writer.writeMPInt(key.publicKey.n)
            writer.writeMPInt(key.publicKey.e)
            writePrivateFields(to: &writer, withPublicHalf: false)
        }
    }

    /// - Parameter withPublicHalf: an Ed25519 key given to an agent with a certificate has its public half once more.
    func writePrivateFields(to writer: inout ByteWriter, withPublicHalf: Bool) {
        switch material {
        case .ed25519(let key):
            if withPublicHalf { writer.writeString(key.publicKey.bytes) }
            writer.writeString(key.seed + key.publicKey.bytes)
        case .ecdsa(let key):
            writer.writeMPInt(key.scalar)
        case .rsa(let key):
            let components = key.components
            writer.writeMPInt(components.d)
            writer.writeMPInt(components.iqmp)
            writer.writeMPInt(components.p)
            writer.writeMPInt(components.q)
        }
    }
}
