internal import Base

/// What a certificate is for.
package enum CertificateKind: UInt32, Sendable {
    case user = 1
    case host = 2
}

/// An OpenSSH certificate (draft-miller-ssh-cert §2.1; PROTOCOL.certkeys).
///
/// Reading it says only that it is well formed. Whether its authority signed it is ``verifySignature(allowed:)``; whether it is to be
/// believed, with authority, time, names and options, is decided in SSHEngine, for every caller in one function.
package struct Certificate: Hashable, Sendable {
    /// As in OpenSSH.
    package static let principalsMax = 256
    package static let keyIDBytesMax = 1024
    /// A certificate that never expires.
    package static let forever = UInt64.max

    package let nonce: [UInt8]
    /// The key that is certified.
    package let publicKey: PublicKey
    package let serial: UInt64
    package let kind: CertificateKind
    package let keyID: String
    package let validPrincipals: [String]
    /// Seconds since 1970; the first second in which it is valid.
    package let validAfter: UInt64
    /// Seconds since 1970; the first second in which it is no longer valid.
    package let validBefore: UInt64
    package let criticalOptions: CertificateOptions
    package let extensions: CertificateOptions
    /// The authority's key, never itself a certificate.
    package let signatureKey: PublicKey
    package let signature: Signature
    /// The certificate as it goes over the wire.
    package let blob: [UInt8]
    /// The first bytes of ``blob``, up to the signature: what is signed.
    private let signedCount: Int

    package init(blob: [UInt8]) throws(KeyError) {
        guard blob.count <= FieldLimit.keyBlob else { throw .malformed(.tooLong(blob.count)) }
        var reader = ByteReader(blob.span)
        let head = try KeyError.reading(Head(parsing: &reader))
        guard let type = KeyType(certificateName: head.typeName) else {
            throw KeyType(rawValue: head.typeName) == nil ? .unsupportedKeyType(head.typeName) : .notACertificate
        }
        let publicKey = try PublicKey(type, fieldsFrom: &reader)
        let body = try KeyError.reading(Body(parsing: &reader))
        guard let kind = CertificateKind(rawValue: body.kind) else { throw .unknownCertificateType(body.kind) }
        self.blob = blob
        self.publicKey = publicKey
        self.kind = kind
        nonce = head.nonce
        serial = body.serial
        keyID = body.keyID
        validPrincipals = body.validPrincipals
        validAfter = body.validAfter
        validBefore = body.validBefore
        signature = body.signature
        signedCount = body.signedCount
        criticalOptions = try CertificateOptions(parsing: body.criticalOptions.span)
        extensions = try CertificateOptions(parsing: body.extensions.span)
        signatureKey = try Self.readSignatureKey(body.signatureKey)
    }

    /// Reads `TYPE BASE64 [COMMENT]`, as a `-cert.pub` file has it.
    package init(text: String) throws(KeyError) {
        let words = text.split(maxSplits: 2, whereSeparator: { $0 == " " || $0 == "\t" || $0.isNewline })
        guard words.count >= 2, let blob = Base64.decode(words[1]) else { throw .badText("not a certificate's text") }
        try self.init(blob: blob)
        guard words[0] == publicKey.type.certificateName else { throw .badText("not a certificate's text") }
    }

    /// The name that starts the blob.
    package var typeName: String { publicKey.type.certificateName }

    /// `TYPE BASE64 COMMENT`: the line of a `-cert.pub` file, without its end.
    package func text(comment: String = "") -> String {
        let line = typeName + " " + Base64.encode(blob)
        return comment.isEmpty ? line : line + " " + comment
    }

    /// Says that the holder of ``signatureKey`` signed this, by an algorithm in `allowed`. It says nothing about who that is.
    package func verifySignature(allowed: [SignatureAlgorithm] = SignatureAlgorithm.allCases) throws(KeyError) {
        try signatureKey.verify(signature, over: Array(blob[..<signedCount]), allowed: allowed)
    }

    package static func == (left: Certificate, right: Certificate) -> Bool { left.blob == right.blob }

    package func hash(into hasher: inout Hasher) { hasher.combine(blob) }

    private static func readSignatureKey(_ blob: [UInt8]) throws(KeyError) -> PublicKey {
        do throws(KeyError) {
            return try PublicKey(blob: blob)
        } catch .unsupportedKeyType(let name) where KeyType(certificateName: name) != nil || name.contains("-cert-") {
            throw .signatureKeyIsCertificate
        }
    }
}

/// The fields before the certified key.
private struct Head {
    static let nonceBytesMax = 1024

    let typeName: String
    let nonce: [UInt8]

    init(parsing reader: inout ByteReader) throws(WireError) {
        typeName = try reader.readName()
        nonce = try reader.readString(max: Self.nonceBytesMax)
    }
}

/// The fields after the certified key.
private struct Body {
    let serial: UInt64
    let kind: UInt32
    let keyID: String
    let validPrincipals: [String]
    let validAfter: UInt64
    let validBefore: UInt64
    let criticalOptions: [UInt8]
    let extensions: [UInt8]
    let signatureKey: [UInt8]
    /// Where the signature begins.
    let signedCount: Int
    let signature: Signature

    init(parsing reader: inout ByteReader) throws(WireError) {
        serial = try reader.readUInt64()
        kind = try reader.readUInt32()
        keyID = try reader.readPlainText(max: Certificate.keyIDBytesMax)
        validPrincipals = try Self.readPrincipals(try reader.readStringSpan())
        validAfter = try reader.readUInt64()
        validBefore = try reader.readUInt64()
        criticalOptions = try reader.readString()
        extensions = try reader.readString()
        // Reserved: whatever it holds is signed and not looked at.
        _ = try reader.readStringSpan()
        signatureKey = try reader.readString()
        signedCount = reader.offset
        signature = try Signature(decoding: try reader.readStringSpan())
        try reader.finish()
    }

    private static func readPrincipals(_ bytes: Span<UInt8>) throws(WireError) -> [String] {
        var reader = ByteReader(bytes)
        var principals: [String] = []
        while reader.remaining > 0 {
            guard principals.count < Certificate.principalsMax else { throw .tooLong(principals.count + 1) }
            let principal = try reader.readPlainText(max: FieldLimit.user)
            guard !principal.isEmpty else { throw .badValue("empty principal") }
            principals.append(principal)
        }
        return principals
    }
}
