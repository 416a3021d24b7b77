import Base
import Testing

@testable import Crypto

private func bytes(_ hex: String) -> [UInt8] {
    Hex.decode(hex) ?? []
}

@Suite("Key agreement (RFC 8731, RFC 5656 §4)")
struct KeyAgreementTests {
    @Test func `X25519 agrees as in RFC 7748 §6.1`() throws {
        let alice = try KeyAgreement(.x25519, secret: bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
        let bob = try KeyAgreement(.x25519, secret: bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
        #expect(Hex.encode(alice.publicKey) == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        let secret = try alice.sharedSecret(with: bob.publicKey)
        #expect(Hex.encode(secret) == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
        #expect(try bob.sharedSecret(with: alice.publicKey) == secret)
    }

    @Test func `ECDH over P-256 agrees as in RFC 5903 §8.1`() throws {
        let initiator = try KeyAgreement(.nistp256, secret: bytes("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433"))
        let secret = try initiator.sharedSecret(
            with: bytes(
                "04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf6356fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab"
            ))
        #expect(Hex.encode(secret) == "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de")
    }

    @Test(arguments: AgreementCurve.allCases)
    func `two fresh keys agree`(curve: AgreementCurve) throws {
        let one = KeyAgreement.generate(curve, randomness: SystemRandomness())
        let other = KeyAgreement.generate(curve, randomness: SystemRandomness())
        #expect(one.publicKey != other.publicKey)
        #expect(try one.sharedSecret(with: other.publicKey) == other.sharedSecret(with: one.publicKey))
    }

    @Test(arguments: AgreementCurve.allCases)
    func `the same randomness gives the same key`(curve: AgreementCurve) {
        let keys = (0..<2).map { _ in KeyAgreement.generate(curve, randomness: SeededRandomness(seed: 5)).publicKey }
        #expect(keys[0] == keys[1])
    }

    /// Points of small order on Curve25519 and its twist.
    @Test(arguments: [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ])
    func `a peer that forces an all-zero secret is refused`(point: String) {
        #expect(throws: CryptoError.weakSharedSecret) {
            try KeyAgreement.generate(.x25519, randomness: SystemRandomness()).sharedSecret(with: bytes(point))
        }
    }

    @Test(arguments: AgreementCurve.allCases)
    func `a key of another size is refused`(curve: AgreementCurve) {
        let own = KeyAgreement.generate(curve, randomness: SystemRandomness())
        for peer in [[], [0], Array(own.publicKey.dropLast()), own.publicKey + [0]] {
            #expect(throws: CryptoError.self) { try own.sharedSecret(with: peer) }
        }
    }

    @Test(arguments: [AgreementCurve.nistp256, .nistp384, .nistp521])
    func `a point beside the curve, a compressed one and one above the field are refused`(curve: AgreementCurve) {
        let own = KeyAgreement.generate(curve, randomness: SystemRandomness())
        var beside = own.publicKey
        beside[beside.count - 1] ^= 1
        var compressed = Array(own.publicKey[...((own.publicKey.count - 1) / 2)])
        compressed[0] = 2
        let above = [4] + [UInt8](repeating: 0xff, count: own.publicKey.count - 1)
        var hybrid = own.publicKey
        hybrid[0] = 6 | (hybrid[hybrid.count - 1] & 1)
        for peer in [beside, compressed, above, hybrid] {
            #expect(throws: CryptoError.self) { try own.sharedSecret(with: peer) }
        }
    }
}

@Suite("Ed25519 (RFC 8032)")
struct Ed25519Tests {
    static let seed = bytes("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")

    @Test func `test 2 of §7.1 signs and verifies`() throws {
        let key = try Ed25519.PrivateKey(seed: Self.seed)
        #expect(Hex.encode(key.publicKey.bytes) == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
        let signature = key.sign([0x72])
        #expect(
            Hex.encode(signature)
                == "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        )
        #expect(key.publicKey.isValid(signature: signature, for: [0x72]))
    }

    @Test func `an empty message signs and verifies`() throws {
        let key = try Ed25519.PrivateKey(seed: Self.seed)
        #expect(key.publicKey.isValid(signature: key.sign([]), for: []))
        #expect(!key.publicKey.isValid(signature: key.sign([]), for: [0]))
    }

    @Test func `a changed message or signature is refused`() throws {
        let key = try Ed25519.PrivateKey(seed: Self.seed)
        let signature = key.sign([1, 2, 3])
        #expect(!key.publicKey.isValid(signature: signature, for: [1, 2, 4]))
        for index in [0, 31, 32, 63] {
            var changed = signature
            changed[index] ^= 1
            #expect(!key.publicKey.isValid(signature: changed, for: [1, 2, 3]))
        }
        for wrong in [[], Array(signature.dropLast()), signature + [0]] {
            #expect(!key.publicKey.isValid(signature: wrong, for: [1, 2, 3]))
        }
    }

    @Test func `keys of another size are refused`() {
        #expect(throws: CryptoError.self) { try Ed25519.PrivateKey(seed: [1]) }
        #expect(throws: CryptoError.self) { try Ed25519.PublicKey([UInt8](repeating: 1, count: 33)) }
    }
}

@Suite("ECDSA (RFC 5656)")
struct ECDSATests {
    @Test func `a signature of RFC 6979 A.2.5 is valid`() throws {
        let key = try ECDSA.PrivateKey(
            curve: .nistp256, scalar: bytes("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"))
        #expect(
            Hex.encode(key.publicKey.point)
                == "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
        )
        let signature = ECDSA.Signature(
            r: bytes("efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"),
            s: bytes("f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"))
        #expect(key.publicKey.isValid(signature, for: Array("sample".utf8)))
        #expect(!key.publicKey.isValid(signature, for: Array("samplf".utf8)))
    }

    @Test(arguments: ECDSA.Curve.allCases)
    func `what a fresh key signs is valid for it alone`(curve: ECDSA.Curve) throws {
        let key = ECDSA.PrivateKey.generate(curve, randomness: SystemRandomness())
        let message = Array("message".utf8)
        let signature = key.sign(message)
        #expect(key.publicKey.isValid(signature, for: message))
        #expect(!ECDSA.PrivateKey.generate(curve, randomness: SystemRandomness()).publicKey.isValid(signature, for: message))
        #expect(!key.publicKey.isValid(ECDSA.Signature(r: signature.s, s: signature.r), for: message))
        let again = try ECDSA.PrivateKey(curve: curve, scalar: key.scalar)
        #expect(again.publicKey == key.publicKey)
        #expect(try ECDSA.PublicKey(der: key.publicKey.der) == key.publicKey)
    }

    @Test(arguments: ECDSA.Curve.allCases)
    func `zeros, nothing and huge numbers are no signature`(curve: ECDSA.Curve) {
        let key = ECDSA.PrivateKey.generate(curve, randomness: SystemRandomness())
        let numbers: [[UInt8]] = [[], [0], [1], [UInt8](repeating: 0xff, count: curve.fieldBytes), [UInt8](repeating: 0xff, count: 9000)]
        for r in numbers {
            for s in numbers { #expect(!key.publicKey.isValid(ECDSA.Signature(r: r, s: s), for: [1])) }
        }
    }

    @Test(arguments: ECDSA.Curve.allCases)
    func `a scalar outside the group is refused`(curve: ECDSA.Curve) {
        for scalar in [[], [0], [UInt8](repeating: 0xff, count: curve.fieldBytes), [UInt8](repeating: 1, count: curve.fieldBytes + 1)] {
            #expect(throws: CryptoError.self) { try ECDSA.PrivateKey(curve: curve, scalar: scalar) }
        }
    }

    @Test func `a public key of another kind, or with bytes after it, is refused`() {
        let key = ECDSA.PrivateKey.generate(.nistp256, randomness: SystemRandomness()).publicKey
        #expect(throws: CryptoError.self) { try ECDSA.PublicKey(der: key.der + [0]) }
        #expect(throws: CryptoError.self) { try ECDSA.PublicKey(der: []) }
        let ed25519 = bytes("302a300506032b65700321003d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
        #expect(throws: CryptoError.badKey("not an elliptic curve key")) { try ECDSA.PublicKey(der: ed25519) }
        #expect(throws: CryptoError.self) { try ECDSA.PublicKey(curve: .nistp384, point: key.point) }
    }
}

@Suite("RSA (RFC 8332)")
struct RSATests {
    static let key = try? RSA.PrivateKey.generate(bits: 2048)

    @Test(arguments: [RSA.Hash.sha256, .sha512])
    func `what is signed is valid under its hash alone`(hash: RSA.Hash) throws {
        let key = try #require(Self.key)
        let signature = key.sign([1, 2, 3], with: hash)
        #expect(key.publicKey.bitCount == 2048)
        #expect(signature.count == 256)
        #expect(key.publicKey.isValid(signature: signature, for: [1, 2, 3], with: hash))
        #expect(!key.publicKey.isValid(signature: signature, for: [1, 2, 3], with: hash == .sha256 ? .sha512 : .sha256))
        #expect(!key.publicKey.isValid(signature: signature, for: [1, 2], with: hash))
        #expect(!key.publicKey.isValid(signature: [0] + signature, for: [1, 2, 3], with: hash))
        #expect(!key.publicKey.isValid(signature: Array(signature.dropLast()), for: [1, 2, 3], with: hash))
    }

    @Test func `parts make the key again; parts of two keys make none`() throws {
        let key = try #require(Self.key)
        let public0 = try RSA.PublicKey(n: [0] + key.components.n, e: key.components.e)
        #expect(public0 == key.publicKey)
        let again = try RSA.PrivateKey(key.components)
        #expect(key.publicKey.isValid(signature: again.sign([9], with: .sha256), for: [9], with: .sha256))
        var mixed = key.components
        mixed.d[20] ^= 1
        #expect(throws: CryptoError.self) { try RSA.PrivateKey(mixed) }
        mixed = key.components
        mixed.p = mixed.q
        #expect(throws: CryptoError.self) { try RSA.PrivateKey(mixed) }
        mixed = key.components
        mixed.p = []
        #expect(throws: CryptoError.self) { try RSA.PrivateKey(mixed) }
    }

    @Test func `sizes and exponents that no key has are refused`() throws {
        let n = try #require(Self.key).components.n
        #expect(throws: CryptoError.self) { try RSA.PublicKey(n: [], e: [1, 0, 1]) }
        #expect(throws: CryptoError.self) { try RSA.PublicKey(n: Array(n.suffix(64)), e: [1, 0, 1]) }
        #expect(throws: CryptoError.self) { try RSA.PublicKey(n: n.dropLast() + [0], e: [1, 0, 1]) }
        #expect(throws: CryptoError.self) { try RSA.PublicKey(n: [UInt8](repeating: 0xff, count: 2049), e: [1, 0, 1]) }
        for e: [UInt8] in [[], [0], [1], [2], [UInt8](repeating: 0xff, count: 9)] {
            #expect(throws: CryptoError.self) { try RSA.PublicKey(n: n, e: e) }
        }
        #expect(throws: CryptoError.self) { try RSA.PrivateKey.generate(bits: 1024) }
    }
}
