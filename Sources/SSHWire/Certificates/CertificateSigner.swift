package import Base

/// Makes certificates with an authority's key.
package struct CertificateSigner: Sendable {
    /// What a certificate shall say.
    package struct Request: Sendable {
        package var kind: CertificateKind
        package var publicKey: PublicKey
        package var keyID: String
        package var validPrincipals: [String]
        package var validAfter: UnixTime
        package var validBefore: UnixTime
        package var criticalOptions: CertificateOptions
        package var extensions: CertificateOptions

        package init(
            kind: CertificateKind, publicKey: PublicKey, keyID: String, validPrincipals: [String], validAfter: UnixTime,
            validBefore: UnixTime, criticalOptions: CertificateOptions = CertificateOptions(),
            extensions: CertificateOptions = CertificateOptions()
        ) {
            self.kind = kind
            self.publicKey = publicKey
            self.keyID = keyID
            self.validPrincipals = validPrincipals
            self.validAfter = validAfter
            self.validBefore = validBefore
            self.criticalOptions = criticalOptions
            self.extensions = extensions
        }
    }

    private static let nonceBytes = 32

    private let key: any SigningKey
    private let randomness: any Randomness

    /// - Parameter randomness: nonces and serial numbers.
    package init(key: any SigningKey, randomness: any Randomness) {
        self.key = key
        self.randomness = randomness
    }

    /// The authority's public half.
    package var publicKey: PublicKey { key.publicKey }

    /// - Throws: ``KeyError/badRequest(_:)`` for times before 1970 or in the wrong order, for no principals (which OpenSSH reads as *any*;
    ///   a site's credential has none, and is refused by every `sshd` for its critical option), and for what reading would refuse.
    package func sign(_ request: Request) throws(KeyError) -> Certificate {
        guard let validAfter = UInt64(exactly: request.validAfter.seconds), let validBefore = UInt64(exactly: request.validBefore.seconds)
        else { throw .badRequest("a certificate cannot be valid before 1970") }
        guard validAfter < validBefore else { throw .badRequest("a certificate must end after it begins") }
        guard !request.validPrincipals.isEmpty || request.criticalOptions.contains(CriticalOption.site) else {
            throw .badRequest("a certificate without principals would be for anybody")
        }
        var writer = ByteWriter(capacity: 1024)
        writer.writeText(request.publicKey.type.certificateName)
        writer.writeString(randomness.bytes(Self.nonceBytes))
        request.publicKey.writeFields(to: &writer)
        writer.writeUInt64(randomness.uint64())
        writer.writeUInt32(request.kind.rawValue)
        writer.writeText(request.keyID)
        var principals = ByteWriter()
        for principal in request.validPrincipals { principals.writeText(principal) }
        writer.writeString(principals.finish())
        writer.writeUInt64(validAfter)
        writer.writeUInt64(validBefore)
        writer.writeString(request.criticalOptions.encoded())
        writer.writeString(request.extensions.encoded())
        writer.writeString([])
        writer.writeString(key.publicKey.blob)
        writer.writeString(try key.sign(writer.bytes).encoded())
        do throws(KeyError) {
            return try Certificate(blob: writer.finish())
        } catch {
            throw .badRequest("the certificate would be \(error.explanation)")
        }
    }
}
