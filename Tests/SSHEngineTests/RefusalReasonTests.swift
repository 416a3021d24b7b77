import Base
import Crypto
import SSHWire
import Testing

@testable import SSHEngine

@Suite("Why a login was refused")
struct RefusalReasonTests {
    private static let key = PrivateKey.generate(randomness: SeededRandomness(seed: 31))

    private static func attempt(_ identity: KeyIdentity) -> UserAuthAttempt {
        UserAuthAttempt(user: "alice", algorithm: "ssh-ed25519", blob: [], identity: identity, isProven: false)
    }

    private static func certificate() throws -> Certificate {
        try CertificateSigner(key: key, randomness: SeededRandomness(seed: 32)).sign(
            CertificateSigner.Request(
                kind: .user, publicKey: key.publicKey, keyID: "alice", validPrincipals: ["alice"], validAfter: UnixTime(seconds: 1),
                validBefore: UnixTime(seconds: 2), criticalOptions: CertificateOptions(), extensions: CertificateOptions()))
    }

    static let distrusts: [(distrust: CertificateDistrust?, reason: RefusalReason)] = [
        (.unknownAuthority(fingerprint: "SHA256:x"), .untrustedAuthority), (.clusterNotOfAuthority("east"), .untrustedAuthority),
        (.authorityNotForUse(.user), .untrustedAuthority), (.expired, .validity), (.notYetValid, .validity), (.neverExpires, .validity),
        (.principalNotListed("root"), .principal), (.noPrincipals, .principal), (.sourceAddress, .sourceAddress),
        (.badSignature, .badCertificate), (.wrongType(.host), .badCertificate), (.unknownCriticalOption("x"), .badCertificate),
        (nil, .access),
    ]

    @Test(arguments: distrusts)
    func `a certificate is refused for one of a few reasons`(line: (distrust: CertificateDistrust?, reason: RefusalReason)) throws {
        let error = TeleportError.accessDenied("no", cause: line.distrust)
        #expect(RefusalReason(error, of: Self.attempt(.certificate(try Self.certificate()))) == line.reason)
    }

    @Test func `a bare key is refused for being one`() {
        let error = TeleportError.accessDenied("no", cause: CertificateDistrust.expired)
        #expect(RefusalReason(error, of: Self.attempt(.key(Self.key.publicKey))) == .noCertificate)
    }
}
