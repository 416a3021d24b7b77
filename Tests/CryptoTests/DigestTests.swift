import Base
import Testing

@testable import Crypto

@Suite("Digests and HMAC")
struct DigestTests {
    @Test func `the hash of abc is that of FIPS 180-4's example`() {
        let abc = Array("abc".utf8)
        #expect(Hex.encode(Digest.sha256(abc)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            Hex.encode(Digest.sha384(abc))
                == "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7")
        #expect(
            Hex.encode(Digest.sha512(abc))
                == "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        )
    }

    @Test(arguments: [DigestAlgorithm.sha256, .sha384, .sha512])
    func `pieces hash as the whole does`(algorithm: DigestAlgorithm) {
        var stream = DigestStream(algorithm)
        stream.update([])
        for byte in 0..<200 { stream.update([UInt8(byte)]) }
        let digest = stream.finish()
        #expect(digest == Digest.hash(Array(0..<200), with: algorithm))
        #expect(digest.count == algorithm.byteCount)
    }

    struct MACVector: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let algorithm: HMAC.Algorithm
        let key: [UInt8]
        let message: String
        let tag: String
    }

    static let macs = [
        MACVector(
            testDescription: "RFC 2202 §3 case 1", algorithm: .sha1, key: [UInt8](repeating: 0x0b, count: 20), message: "Hi There",
            tag: "b617318655057264e28bc0b6fb378c8ef146be00"),
        MACVector(
            testDescription: "RFC 4231 §4.2, SHA-256", algorithm: .sha256, key: [UInt8](repeating: 0x0b, count: 20), message: "Hi There",
            tag: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        MACVector(
            testDescription: "RFC 4231 §4.3, SHA-256", algorithm: .sha256, key: Array("Jefe".utf8), message: "what do ya want for nothing?",
            tag: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        MACVector(
            testDescription: "RFC 4231 §4.2, SHA-512", algorithm: .sha512, key: [UInt8](repeating: 0x0b, count: 20), message: "Hi There",
            tag:
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"
        ),
        MACVector(
            testDescription: "an empty key (RFC 2104)", algorithm: .sha256, key: [], message: "",
            tag: "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"),
    ]

    @Test(arguments: macs)
    func `HMAC is that of the RFC`(vector: MACVector) {
        #expect(Hex.encode(HMAC.authenticate(Array(vector.message.utf8), key: vector.key, with: vector.algorithm)) == vector.tag)
    }

    @Test(arguments: [
        (HMAC.Algorithm.sha256, "b07953d16c5bf64923601476d4a19f33dffcbaaa01454cf7575b5c57bdcbc8ea"),
        (
            .sha512,
            "2ef99ab74ca7a55a2e01228d01ee1404fcb2a747f1e78a460c26938b32915dfcdd57dafdc42a35698114189391ebf80fd26d5102bba66abc9b4b621ac5120859"
        ),
    ])
    func `a packet's MAC covers its sequence number, with a context that is kept`(algorithm: HMAC.Algorithm, expected: String) {
        let mac = HMAC(algorithm, key: [UInt8](repeating: UInt8(ascii: "k"), count: 32))
        let packet = Array("packet".utf8)
        for _ in 0..<2 {
            var tag = [UInt8](repeating: 0, count: algorithm.byteCount)
            var room = tag.mutableSpan
            mac.authenticate(packet.span, sequenceNumber: 3, into: &room)
            #expect(Hex.encode(tag) == expected)
            func isValid(_ tag: [UInt8], _ packet: String = "packet", _ sequenceNumber: UInt32 = 3) -> Bool {
                mac.isValid(tag.span, for: Array(packet.utf8).span, sequenceNumber: sequenceNumber)
            }
            #expect(isValid(tag))
            #expect(!isValid(tag, "packet", 4))
            #expect(!isValid(tag, "packeu"))
            #expect(!isValid(Array(tag.dropLast())))
            tag[tag.count - 1] ^= 1
            #expect(!isValid(tag))
        }
    }

    @Test func `system randomness does not repeat itself`() {
        let randomness = SystemRandomness()
        #expect(randomness.bytes(0).isEmpty)
        #expect(randomness.bytes(33).count == 33)
        #expect(randomness.bytes(16) != randomness.bytes(16))
    }
}
