import Base
import Testing

@testable import Crypto

private func bytes(_ hex: String) -> [UInt8] {
    Hex.decode(hex) ?? []
}

@Suite("AES-GCM packets (RFC 5647)")
struct AESGCMTests {
    struct Vector: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let key: String
        let cipherText: String
        /// Of the first packet and of one with the same plain text after it.
        let tags: [String]
    }

    static let nonce = bytes("cafebabefacedbaddecaf888")
    static let plainText = bytes(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255")
    /// Key, nonce, plain and cipher text are the specification's; its tags cover no packet length, so these are from pyca/cryptography.
    static let vectors = [
        Vector(
            testDescription: "McGrew, Viega: test case 3 (128)", key: "feffe9928665731c6d6a8f9467308308",
            cipherText:
                "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
            tags: ["e6114f6468325271e9b03b510a6dff85", "18b9f3f32d9bd01561a21b00a1e07be5"]),
        Vector(
            testDescription: "McGrew, Viega: test case 15 (256)", key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            cipherText:
                "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
            tags: ["4c94d832c068679ac9246e9aa8d1987a", "244a3a9811a09e1e9d1e8a41224a1e32"]),
    ]

    @Test(arguments: vectors)
    func `a packet is sealed as the specification says, and the next with the next nonce`(vector: Vector) {
        let cipher = AESGCM(key: bytes(vector.key), nonce: Self.nonce, encrypting: true)
        let header: [UInt8] = [0, 0, 0, 64]
        var packet = header + Self.plainText + [UInt8](repeating: 0, count: 16)
        var region = packet.mutableSpan
        cipher.seal(&region)
        #expect(Hex.encode(packet) == "00000040" + vector.cipherText + vector.tags[0])
        packet = header + Self.plainText + [UInt8](repeating: 0, count: 16)
        region = packet.mutableSpan
        cipher.seal(&region)
        #expect(Hex.encode(Array(packet.suffix(16))) == vector.tags[1])
    }

    @Test(arguments: vectors)
    func `pieces are sealed as the whole`(vector: Vector) {
        for (first, last) in [(0, 64), (1, 63), (10, 50), (16, 48), (64, 64), (0, 0)] {
            let cipher = AESGCM(key: bytes(vector.key), nonce: Self.nonce, encrypting: true)
            var packet = [UInt8](repeating: 0xaa, count: 84)
            var region = packet.mutableSpan
            let header = [0, 0, 0, 64] + Self.plainText[..<first]
            let body = Array(Self.plainText[first..<last])
            let padding = Array(Self.plainText[last...])
            cipher.seal(header: header.span, body: body.span, padding: padding.span, into: &region)
            #expect(Hex.encode(packet) == "00000040" + vector.cipherText + vector.tags[0])
        }
    }

    @Test(arguments: vectors)
    func `packets open in place, in their order only`(vector: Vector) throws {
        let cipher = AESGCM(key: bytes(vector.key), nonce: Self.nonce, encrypting: false)
        var packet = bytes("00000040" + vector.cipherText + vector.tags[0])
        var region = packet.mutableSpan
        try cipher.open(&region)
        #expect(packet == [0, 0, 0, 64] + Self.plainText + bytes(vector.tags[0]))
        #expect(throws: CryptoError.authenticationFailed) {
            var again = bytes("00000040" + vector.cipherText + vector.tags[0])
            var region = again.mutableSpan
            try cipher.open(&region)
        }
    }

    @Test(arguments: [0, 3, 4, 40, 67, 68, 83])
    func `a packet with one bit turned over does not open`(position: Int) {
        let cipher = AESGCM(key: bytes(Self.vectors[0].key), nonce: Self.nonce, encrypting: false)
        var packet = bytes("00000040" + Self.vectors[0].cipherText + Self.vectors[0].tags[0])
        packet[position] ^= 0x10
        #expect(throws: CryptoError.authenticationFailed) {
            var region = packet.mutableSpan
            try cipher.open(&region)
        }
    }

    @Test func `the counter carries over all its 8 bytes and not into the fixed field`() throws {
        let key = [UInt8](repeating: 1, count: 16)
        let sealing = AESGCM(key: key, nonce: [9, 9, 9, 9] + [UInt8](repeating: 0xff, count: 8), encrypting: true)
        for nonce in [[9, 9, 9, 9] + [UInt8](repeating: 0xff, count: 8), [9, 9, 9, 9] + [UInt8](repeating: 0, count: 8)] {
            var packet = [0, 0, 0, 1, 42] + [UInt8](repeating: 0, count: 16)
            var region = packet.mutableSpan
            sealing.seal(&region)
            region = packet.mutableSpan
            try AESGCM(key: key, nonce: nonce, encrypting: false).open(&region)
            #expect(packet[4] == 42)
        }
    }
}

@Suite("chacha20-poly1305@openssh.com")
struct ChaChaPolyTests {
    struct Vector: Sendable {
        let sequenceNumber: UInt32
        let sealed: String
    }

    static let key = [UInt8](0..<64)
    static let plainText = bytes("0461207061796c6f6164206f66206e696e65746500000000")
    /// Made from OpenSSH's description with pyca/cryptography's ChaCha20 and Poly1305.
    static let vectors = [
        Vector(
            sequenceNumber: 0, sealed: "94450e411cd96241cc9fcabe72057c0ec963204e96d48790e1ad5b5c15de750c420f86d97e6c373b12af5761"),
        Vector(
            sequenceNumber: 7, sealed: "a39afcb22c2735332ffa46310d099b9fb1afbd455ad744537ee33d83eb788177d54f662f56a7fb33ef5162de"),
    ]

    @Test func `the key streams are those of RFC 8439 appendix A.1`() {
        let cipher = ChaChaPoly(key: [UInt8](repeating: 0, count: 64))
        let length = cipher.packetLength([0, 0, 0, 0].span, sequenceNumber: 0)
        #expect(length == 0x76b8_e0ad)
        var packet = [UInt8](repeating: 0, count: 4 + 16 + 16)
        var region = packet.mutableSpan
        cipher.seal(&region, sequenceNumber: 0)
        #expect(Hex.encode(Array(packet[4..<20])) == "9f07e7be5551387a98ba977c732d080d")
    }

    @Test(arguments: vectors)
    func `a packet is sealed and opened as OpenSSH says, with contexts that are kept`(vector: Vector) throws {
        let cipher = ChaChaPoly(key: Self.key)
        for _ in 0..<2 {
            var packet = [0, 0, 0, 24] + Self.plainText + [UInt8](repeating: 0, count: 16)
            var region = packet.mutableSpan
            cipher.seal(&region, sequenceNumber: vector.sequenceNumber)
            #expect(Hex.encode(packet) == vector.sealed)
            let length = cipher.packetLength(Array(packet[..<4]).span, sequenceNumber: vector.sequenceNumber)
            #expect(length == 24)
            region = packet.mutableSpan
            try cipher.open(&region, sequenceNumber: vector.sequenceNumber)
            #expect(Array(packet[..<28]) == [0, 0, 0, 24] + Self.plainText)
        }
    }

    @Test(arguments: vectors)
    func `pieces are sealed as the whole`(vector: Vector) {
        let cipher = ChaChaPoly(key: Self.key)
        for (first, last) in [(0, 24), (1, 20), (10, 10), (24, 24)] {
            var packet = [UInt8](repeating: 0xaa, count: 44)
            var region = packet.mutableSpan
            let header = [0, 0, 0, 24] + Self.plainText[..<first]
            let body = Array(Self.plainText[first..<last])
            let padding = Array(Self.plainText[last...])
            cipher.seal(
                header: header.span, body: body.span, padding: padding.span, into: &region, sequenceNumber: vector.sequenceNumber)
            #expect(Hex.encode(packet) == vector.sealed)
        }
    }

    @Test(arguments: [0, 3, 4, 27, 28, 43])
    func `a packet with one bit turned over does not open, and is not decrypted`(position: Int) {
        let cipher = ChaChaPoly(key: Self.key)
        var packet = bytes(Self.vectors[0].sealed)
        packet[position] ^= 1
        let before = packet
        #expect(throws: CryptoError.authenticationFailed) {
            var region = packet.mutableSpan
            try cipher.open(&region, sequenceNumber: 0)
        }
        #expect(packet == before)
    }

    @Test func `a packet does not open under another sequence number`() {
        #expect(throws: CryptoError.authenticationFailed) {
            var packet = bytes(Self.vectors[0].sealed)
            var region = packet.mutableSpan
            try ChaChaPoly(key: Self.key).open(&region, sequenceNumber: 7)
        }
    }
}

@Suite("AES-CTR (RFC 4344 §4)")
struct AESCTRTests {
    struct Vector: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let key: String
        let cipherText: String
    }

    static let counter = bytes("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
    static let plainText = bytes("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    static let vectors = [
        Vector(
            testDescription: "SP 800-38A F.5.1", key: "2b7e151628aed2a6abf7158809cf4f3c",
            cipherText: "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"),
        Vector(
            testDescription: "SP 800-38A F.5.3", key: "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
            cipherText: "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94"),
        Vector(
            testDescription: "SP 800-38A F.5.5", key: "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            cipherText: "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"),
    ]

    @Test(arguments: vectors)
    func `the stream goes on from packet to packet`(vector: Vector) {
        let cipher = AESCTR(key: bytes(vector.key), counter: Self.counter)
        var first = Array(Self.plainText[..<7])
        var region = first.mutableSpan
        cipher.apply(&region)
        var second = [UInt8](repeating: 0, count: 25)
        region = second.mutableSpan
        cipher.apply(Array(Self.plainText[7...]).span, into: &region)
        #expect(Hex.encode(first + second) == vector.cipherText)
    }
}
