internal import Base
internal import Crypto

/// A public key, decoded once and ready to verify (RFC 8709 §4, RFC 5656 §3.1, RFC 4253 §6.6, PROTOCOL.u2f).
///
/// Two keys are equal when their blobs are: reading is strict enough that a key has one blob only.
package struct PublicKey: Hashable, Sendable {
    /// RSA keys below this are refused wherever they come from.
    package static let rsaBitsMin = 2048
    /// OpenSSL's own limit for a modulus.
    package static let rsaBitsMax = 16384
    /// A public exponent above 64 bits only costs time.
    private static let rsaExponentBytesMax = 8
    /// `ssh:` and a word; any longer application is a mistake.
    private static let applicationBytesMax = 1024

    private enum Material: Sendable {
        case ed25519(Ed25519.PublicKey)
        case ecdsa(ECDSA.PublicKey)
        case rsa(RSA.PublicKey)
        case skEd25519(Ed25519.PublicKey, application: [UInt8])
    }

    package let type: KeyType
    /// The key as it goes over the wire.
    package let blob: [UInt8]
    private let material: Material

    package init(blob: [UInt8]) throws(KeyError) {
        var reader = ByteReader(blob.span)
        let name = try KeyError.reading(reader.readName())
        guard let type = KeyType(rawValue: name) else { throw .unsupportedKeyType(name) }
        try self.init(type, fieldsFrom: &reader)
        try KeyError.reading(reader.finish())
    }

    /// Reads what follows the type's name in a key blob, and the nonce in a certificate.
    init(_ type: KeyType, fieldsFrom reader: inout ByteReader) throws(KeyError) {
        self.init(type, try Self.readMaterial(type, &reader))
    }

    private init(_ type: KeyType, _ material: Material) {
        self.type = type
        self.material = material
        var writer = ByteWriter(capacity: 128)
        writer.writeText(type.rawValue)
        Self.writeFields(material, to: &writer)
        blob = writer.finish()
    }

    init(_ key: Ed25519.PublicKey) {
        self.init(.ed25519, .ed25519(key))
    }

    init(_ key: ECDSA.PublicKey) {
        self.init(KeyType(key.curve), .ecdsa(key))
    }

    init(_ key: RSA.PublicKey) throws(KeyError) {
        try Self.checkSize(key)
        self.init(.rsa, .rsa(key))
    }

    /// Reads `TYPE BASE64 [COMMENT]`, the comment dropped.
    package init(text: String) throws(KeyError) {
        self = try AuthorizedKey(line: text).key
    }

    /// `SHA256:` and unpadded Base 64, as `ssh-keygen -l` prints it.
    package var fingerprint: String {
        "SHA256:" + Base64.encode(Digest.sha256(blob), padded: false)
    }

    /// `TYPE BASE64 COMMENT`: a line for `authorized_keys`, `TrustedUserCAKeys` or a `.pub` file, without its end.
    package func text(comment: String = "") -> String {
        let line = type.rawValue + " " + Base64.encode(blob)
        return comment.isEmpty ? line : line + " " + comment
    }

    /// Says that `signature` is this key's, over `data`, by an algorithm in `allowed`.
    package func verify(
        _ signature: Signature, over data: [UInt8], allowed: [SignatureAlgorithm] = SignatureAlgorithm.allCases
    ) throws(KeyError) {
        guard let algorithm = signature.algorithm, allowed.contains(algorithm) else {
            throw .signatureAlgorithmNotAllowed(signature.algorithmName)
        }
        guard algorithm.keyType == type else { throw .signatureAlgorithmDoesNotFitKey(signature.algorithmName) }
        let isValid: Bool
        switch material {
        case .ed25519(let key):
            isValid = key.isValid(signature: signature.bytes, for: data)
        case .ecdsa(let key):
            let pair = try KeyError.reading(ECDSASignatureFields(decoding: signature.bytes))
            isValid = key.isValid(ECDSA.Signature(r: pair.r, s: pair.s), for: data)
        case .rsa(let key):
            isValid = Self.isValid(signature.bytes, of: key, for: data, with: algorithm == .rsaSHA512 ? .sha512 : .sha256)
        case .skEd25519(let key, let application):
            guard let fields = signature.securityKey else { throw .badSignature }
            guard fields.userPresent else { throw .userNotPresent }
            var writer = ByteWriter(capacity: 69)
            writer.writeRaw(Digest.sha256(application))
            writer.writeByte(fields.flags)
            writer.writeUInt32(fields.counter)
            writer.writeRaw(Digest.sha256(data))
            isValid = key.isValid(signature: signature.bytes, for: writer.finish())
        }
        guard isValid else { throw .badSignature }
    }

    /// Some implementations leave leading zeros of the integer out: they are put back.
    private static func isValid(_ integer: [UInt8], of key: RSA.PublicKey, for data: [UInt8], with hash: RSA.Hash) -> Bool {
        let modulusBytes = (key.bitCount + 7) / 8
        guard integer.count <= modulusBytes else { return false }
        return key.isValid(signature: [UInt8](repeating: 0, count: modulusBytes - integer.count) + integer, for: data, with: hash)
    }

    private static func readMaterial(_ type: KeyType, _ reader: inout ByteReader) throws(KeyError) -> Material {
        switch type {
        case .ed25519:
            return .ed25519(try readEd25519(&reader))
        case .skEd25519:
            let key = try readEd25519(&reader)
            return .skEd25519(key, application: try KeyError.reading(reader.readString(max: applicationBytesMax)))
        case .ecdsaP256: return .ecdsa(try readECDSA(.nistp256, &reader))
        case .ecdsaP384: return .ecdsa(try readECDSA(.nistp384, &reader))
        case .ecdsaP521: return .ecdsa(try readECDSA(.nistp521, &reader))
        case .rsa:
            let e = try KeyError.reading(reader.readMPInt(max: rsaExponentBytesMax + 1))
            let n = try KeyError.reading(reader.readMPInt(max: rsaBitsMax / 8 + 1))
            // An exponent of 1 makes every number its own signature; an even one is none at all.
            guard let last = e.last, last & 1 == 1, e != [1] else { throw .invalidKey }
            let bits = n.isEmpty ? 0 : n.count * 8 - n[0].leadingZeroBitCount
            guard bits >= rsaBitsMin, bits <= rsaBitsMax else { throw .unacceptableKeySize(bits: bits) }
            return .rsa(try KeyError.making(RSA.PublicKey(n: n, e: e)))
        }
    }

    private static func readEd25519(_ reader: inout ByteReader) throws(KeyError) -> Ed25519.PublicKey {
        let bytes = try KeyError.reading(reader.readString(max: 32))
        guard bytes.count == 32 else { throw .invalidKey }
        return try KeyError.making(Ed25519.PublicKey(bytes))
    }

    private static func readECDSA(_ curve: ECDSA.Curve, _ reader: inout ByteReader) throws(KeyError) -> ECDSA.PublicKey {
        let name = try KeyError.reading(reader.readName())
        // Uncompressed P-521: a byte and twice 66.
        let point = try KeyError.reading(reader.readString(max: 133))
        // RFC 5656 §3.1 allows compressed points; nobody sends them, and a key shall have one blob only.
        guard name == curve.rawValue, point.first == 4 else { throw .invalidKey }
        return try KeyError.making(ECDSA.PublicKey(curve: curve, point: point))
    }

    private static func checkSize(_ key: RSA.PublicKey) throws(KeyError) {
        guard key.bitCount >= rsaBitsMin, key.bitCount <= rsaBitsMax else { throw .unacceptableKeySize(bits: key.bitCount) }
    }

    /// Writes what follows the type's name in a key blob, and the nonce in a certificate.
    func writeFields(to writer: inout ByteWriter) {
        Self.writeFields(material, to: &writer)
    }

    private static func writeFields(_ material: Material, to writer: inout ByteWriter) {
        switch material {
        case .ed25519(let key):
            writer.writeString(key.bytes)
        case .ecdsa(let key):
            writer.writeText(key.curve.rawValue)
            writer.writeString(key.point)
        case .rsa(let key):
            writer.writeMPInt(key.e)
            writer.writeMPInt(key.n)
        case .skEd25519(let key, let application):
            writer.writeString(key.bytes)
            writer.writeString(application)
        }
    }

    package static func == (left: PublicKey, right: PublicKey) -> Bool { left.blob == right.blob }

    package func hash(into hasher: inout Hasher) { hasher.combine(blob) }
}

/// The bytes of an ECDSA signature (RFC 5656 §3.1.2).
struct ECDSASignatureFields: WireCodable {
    let r: [UInt8]
    let s: [UInt8]

    /// The order of P-521 has 66 bytes; one more for the sign.
    private static let integerBytesMax = 67

    init(_ signature: ECDSA.Signature) {
        r = signature.r
        s = signature.s
    }

    init(parsing reader: inout ByteReader) throws(WireError) {
        r = try reader.readMPInt(max: Self.integerBytesMax)
        s = try reader.readMPInt(max: Self.integerBytesMax)
    }

    func write(to writer: inout ByteWriter) {
        writer.writeMPInt(r)
        writer.writeMPInt(s)
    }
}

extension KeyType {
    init(_ curve: ECDSA.Curve) {
        switch curve {
        case .nistp256: self = .ecdsaP256
        case .nistp384: self = .ecdsaP384
        case .nistp521: self = .ecdsaP521
        }
    }

    /// The curve of an ECDSA type.
    var curve: ECDSA.Curve? {
        switch self {
        case .ecdsaP256: .nistp256
        case .ecdsaP384: .nistp384
        case .ecdsaP521: .nistp521
        case .ed25519, .rsa, .skEd25519: nil
        }
    }
}
