import Base
import Crypto
import SSHWire
import Testing

/// What a key type is to `ssh-keygen`.
struct KeyKind: Sendable, CustomTestStringConvertible {
    let type: KeyType
    let arguments: String
    var testDescription: String { type.rawValue }

    static let all = [
        KeyKind(type: .ed25519, arguments: "-t ed25519"), KeyKind(type: .ecdsaP256, arguments: "-t ecdsa -b 256"),
        KeyKind(type: .ecdsaP384, arguments: "-t ecdsa -b 384"), KeyKind(type: .ecdsaP521, arguments: "-t ecdsa -b 521"),
        KeyKind(type: .rsa, arguments: "-t rsa -b 2048"),
    ]
}

@Suite("Public keys, private keys and their files")
struct KeyTests {
    let openSSH: OpenSSH
    let randomness = SeededRandomness(seed: 7)

    init() throws {
        openSSH = try OpenSSH()
    }

    @Test(arguments: KeyKind.all)
    func `a key of ssh-keygen is read, written and fingerprinted as OpenSSH does`(kind: KeyKind) throws {
        try openSSH.makeKey("key", kind.arguments)
        let text = try openSSH.read("key.pub").split(separator: "\n")[0]
        let key = try PublicKey(text: String(text))
        #expect(key.type == kind.type)
        #expect(key.text(comment: "a comment") == text)
        #expect(try PublicKey(blob: key.blob) == key)
        #expect(try openSSH.run("ssh-keygen -l -f key.pub").contains(" \(key.fingerprint) "))
    }

    @Test(arguments: KeyKind.all)
    func `a private key of ssh-keygen signs what its public half verifies`(kind: KeyKind) throws {
        try openSSH.makeKey("key", kind.arguments)
        let file = try PrivateKeyFile(text: try openSSH.read("key"))
        #expect(file.comment == "a comment")
        #expect(file.key.publicKey == (try PublicKey(text: try openSSH.read("key.pub"))))
        for algorithm in kind.type.signatureAlgorithms {
            let signature = try file.key.sign([1, 2, 3], with: algorithm)
            try file.key.publicKey.verify(try Signature(decoding: signature.encoded()), over: [1, 2, 3])
            #expect(throws: KeyError.badSignature) { try file.key.publicKey.verify(signature, over: [1, 2, 4]) }
            #expect(throws: KeyError.signatureAlgorithmNotAllowed(algorithm.rawValue)) {
                try file.key.publicKey.verify(signature, over: [1, 2, 3], allowed: SignatureAlgorithm.allCases.filter { $0 != algorithm })
            }
        }
        let other = SignatureAlgorithm.allCases.filter { $0.keyType != kind.type }
        for algorithm in other {
            #expect(throws: KeyError.signatureAlgorithmDoesNotFitKey(algorithm.rawValue)) { try file.key.sign([1], with: algorithm) }
        }
        let foreign = try PrivateKey(generating: kind.type == .ed25519 ? .ecdsaP256 : .ed25519, randomness: randomness).sign([1, 2, 3])
        #expect(throws: KeyError.signatureAlgorithmDoesNotFitKey(foreign.algorithmName)) {
            try file.key.publicKey.verify(foreign, over: [1, 2, 3])
        }
    }

    @Test(arguments: KeyKind.all)
    func `a key file of ours is read by ssh-keygen and by us`(kind: KeyKind) throws {
        let key = try PrivateKey(generating: kind.type, rsaBits: 2048, randomness: randomness)
        let text = PrivateKeyFile(key: key, comment: "ours").text(randomness: randomness)
        try openSSH.write(text, to: "key")
        #expect(try openSSH.run("ssh-keygen -y -f key") == key.publicKey.text(comment: "ours") + "\n")
        let file = try PrivateKeyFile(text: text)
        #expect(file.key.publicKey == key.publicKey)
        #expect(file.comment == "ours")
        // And what ssh-keygen makes of it has the same key.
        try openSSH.run("ssh-keygen -q -p -N '' -f key -m PKCS8")
        #expect(try PrivateKeyFile(text: try openSSH.read("key")).key.publicKey == key.publicKey)
    }

    @Test(arguments: KeyKind.all)
    func `a PEM file is read`(kind: KeyKind) throws {
        try openSSH.makeKey("key", kind.arguments + " -m PKCS8")
        #expect(try PrivateKeyFile(text: try openSSH.read("key")).key.publicKey == (try PublicKey(text: try openSSH.read("key.pub"))))
    }

    @Test(arguments: ["RFC4716", "PKCS8"])
    func `an encrypted file is refused as such`(format: String) throws {
        try openSSH.run("ssh-keygen -q -t ecdsa -N secret -m \(format) -f key")
        let text = try openSSH.read("key")
        #expect(throws: KeyError.encrypted) { try PrivateKeyFile(text: text) }
    }

    @Test func `a damaged private key file is refused, wherever the damage`() throws {
        let key = PrivateKey.generate(randomness: randomness)
        let text = PrivateKeyFile(key: key, comment: "c").text(randomness: randomness)
        let lines = text.split(separator: "\n")
        let bytes = try #require(Base64.decode(lines.dropFirst().dropLast().joined()))
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 1
            let file = [String(lines[0]), Base64.encode(damaged), String(lines[lines.count - 1])].joined(separator: "\n")
            // The name of the KDF's options and the comment are all that nothing else depends on.
            if let read = try? PrivateKeyFile(text: file) { #expect(read.key.publicKey == key.publicKey && read.comment != "c") }
        }
        for bad in ["", "x", lines[0] + "\n", text.replacing("-----END", with: "----END"), String(text.dropFirst(40))] {
            #expect(throws: KeyError.self) { try PrivateKeyFile(text: bad) }
        }
        #expect(throws: KeyError.self) { try PrivateKeyFile(text: String(repeating: "a", count: PrivateKeyFile.textBytesMax + 1)) }
    }

    @Test func `RSA below 2048 bits is refused`() throws {
        try openSSH.makeKey("weak", "-t rsa -b 1024")
        let weak = try openSSH.read("weak.pub")
        #expect(throws: KeyError.unacceptableKeySize(bits: 1024)) { try PublicKey(text: weak) }
        let file = try openSSH.read("weak")
        #expect(throws: KeyError.unacceptableKeySize(bits: 1024)) { try PrivateKeyFile(text: file) }
        try openSSH.makeKey("odd", "-t rsa -b 2047")
        let odd = try openSSH.read("odd.pub")
        #expect(throws: KeyError.unacceptableKeySize(bits: 2047)) { try PublicKey(text: odd) }
        #expect(throws: KeyError.unacceptableKeySize(bits: 1024)) {
            try PrivateKey(generating: .rsa, rsaBits: 1024, randomness: randomness)
        }
    }

    @Test func `a SHA-1 signature of an RSA key is not allowed`() throws {
        let key = try PrivateKey(generating: .rsa, rsaBits: 2048, randomness: randomness)
        var writer = ByteWriter()
        writer.writeText("ssh-rsa")
        writer.writeString(try key.sign([1], with: .rsaSHA256).bytes)
        let signature = try Signature(decoding: writer.finish())
        #expect(throws: KeyError.signatureAlgorithmNotAllowed("ssh-rsa")) { try key.publicKey.verify(signature, over: [1]) }
    }

    @Test func `an RSA signature said to be of another hash is wrong`() throws {
        let key = try PrivateKey(generating: .rsa, rsaBits: 2048, randomness: randomness)
        let signature = Signature(.rsaSHA512, bytes: try key.sign([1], with: .rsaSHA256).bytes)
        #expect(throws: KeyError.badSignature) { try key.publicKey.verify(signature, over: [1]) }
        let long = Signature(.rsaSHA256, bytes: [0] + (try key.sign([1], with: .rsaSHA256).bytes))
        #expect(throws: KeyError.badSignature) { try key.publicKey.verify(long, over: [1]) }
    }

    struct BadBlob: Sendable, CustomTestStringConvertible {
        let name: String
        let blob: [UInt8]
        let error: KeyError
        var testDescription: String { name }

        init(_ name: String, _ error: KeyError, _ fields: [[UInt8]]) {
            self.name = name
            self.error = error
            var writer = ByteWriter()
            for field in fields { writer.writeString(field) }
            blob = writer.finish()
        }
    }

    static let badBlobs = [
        BadBlob("Ed25519 of 31 bytes (CVE-2020-9283)", .invalidKey, [utf8("ssh-ed25519"), .init(repeating: 1, count: 31)]),
        BadBlob("Ed25519 of none", .invalidKey, [utf8("ssh-ed25519"), []]),
        BadBlob("Ed25519 of 33", .malformed(.tooLong(33)), [utf8("ssh-ed25519"), .init(repeating: 1, count: 33)]),
        BadBlob("Ed25519 with more", .malformed(.trailingBytes(4)), [utf8("ssh-ed25519"), .init(repeating: 1, count: 32), []]),
        BadBlob("Ed25519 without", .malformed(.truncated(needed: 4)), [utf8("ssh-ed25519")]),
        BadBlob("security key of 31", .invalidKey, [utf8("sk-ssh-ed25519@openssh.com"), .init(repeating: 1, count: 31), utf8("ssh:")]),
        BadBlob(
            "curve that is not the type's", .invalidKey,
            [utf8("ecdsa-sha2-nistp256"), utf8("nistp384"), [4] + .init(repeating: 1, count: 64)]),
        BadBlob("point off the curve", .invalidKey, [utf8("ecdsa-sha2-nistp256"), utf8("nistp256"), [4] + .init(repeating: 1, count: 64)]),
        BadBlob("point at infinity", .invalidKey, [utf8("ecdsa-sha2-nistp256"), utf8("nistp256"), [0]]),
        BadBlob("compressed point", .invalidKey, [utf8("ecdsa-sha2-nistp256"), utf8("nistp256"), [2] + .init(repeating: 1, count: 32)]),
        BadBlob("no point", .invalidKey, [utf8("ecdsa-sha2-nistp256"), utf8("nistp256"), []]),
        BadBlob("RSA exponent 1", .invalidKey, [utf8("ssh-rsa"), [1], [0, 0xff] + .init(repeating: 0xff, count: 255)]),
        BadBlob("RSA exponent 0", .invalidKey, [utf8("ssh-rsa"), [], [0, 0xff] + .init(repeating: 0xff, count: 255)]),
        BadBlob("RSA exponent even", .invalidKey, [utf8("ssh-rsa"), [4], [0, 0xff] + .init(repeating: 0xff, count: 255)]),
        BadBlob("RSA exponent long", .malformed(.tooLong(10)), [utf8("ssh-rsa"), .init(repeating: 1, count: 10), [1]]),
        BadBlob("RSA modulus negative", .malformed(.badMPInt), [utf8("ssh-rsa"), [3], .init(repeating: 0xff, count: 256)]),
        BadBlob("RSA modulus padded", .malformed(.badMPInt), [utf8("ssh-rsa"), [3], [0, 1] + .init(repeating: 0xff, count: 255)]),
        BadBlob("RSA modulus none", .unacceptableKeySize(bits: 0), [utf8("ssh-rsa"), [3], []]),
        BadBlob("RSA modulus huge", .malformed(.tooLong(2050)), [utf8("ssh-rsa"), [3], .init(repeating: 1, count: 2050)]),
        BadBlob("DSA", .unsupportedKeyType("ssh-dss"), [utf8("ssh-dss")]),
        BadBlob("certificate", .unsupportedKeyType("ssh-ed25519-cert-v01@openssh.com"), [utf8("ssh-ed25519-cert-v01@openssh.com")]),
        BadBlob("no name", .malformed(.badName), [[]]),
        BadBlob("nothing", .malformed(.truncated(needed: 4)), []),
    ]

    @Test(arguments: badBlobs)
    func `a malformed public key is refused`(bad: BadBlob) {
        #expect(throws: bad.error) { try PublicKey(blob: bad.blob) }
    }

    @Test func `an RSA modulus may have 16384 bits and no more`() throws {
        func blob(bits: Int) -> [UInt8] {
            var modulus = [UInt8](repeating: 0xff, count: (bits + 7) / 8)
            if bits % 8 != 0 { modulus[0] = UInt8(1 << (bits % 8) - 1) }
            var writer = ByteWriter()
            writer.writeText("ssh-rsa")
            writer.writeMPInt([1, 0, 1])
            writer.writeMPInt(modulus)
            return writer.finish()
        }
        for bits in [2048, 16384] { #expect(try PublicKey(blob: blob(bits: bits)).type == .rsa) }
        #expect(throws: KeyError.unacceptableKeySize(bits: 2047)) { try PublicKey(blob: blob(bits: 2047)) }
        #expect(throws: KeyError.malformed(.tooLong(2050))) { try PublicKey(blob: blob(bits: 16392)) }
    }

    @Test func `an ECDSA signature with a malformed integer is refused`() throws {
        let key = try PrivateKey(generating: .ecdsaP256, randomness: randomness)
        var negative = ByteWriter()
        negative.writeString([0x80])
        negative.writeString([1])
        let bytes = negative.finish()
        #expect(throws: KeyError.malformed(.badMPInt)) { try key.publicKey.verify(Signature(.ecdsaP256, bytes: bytes), over: []) }
        #expect(throws: KeyError.badSignature) {
            try key.publicKey.verify(Signature(.ecdsaP256, bytes: [0, 0, 0, 0, 0, 0, 0, 0]), over: [])
        }
        #expect(throws: KeyError.malformed(.trailingBytes(1))) {
            try key.publicKey.verify(Signature(.ecdsaP256, bytes: [0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0]), over: [])
        }
    }

    private static func utf8(_ text: String) -> [UInt8] { Array(text.utf8) }
}

@Suite("Security keys (PROTOCOL.u2f)")
struct SecurityKeyTests {
    let randomness = SeededRandomness(seed: 1)

    /// A security key in software, as PROTOCOL.u2f says what it signs.
    func sign(_ data: [UInt8], flags: UInt8) throws -> (key: PublicKey, signature: Signature) {
        let device = Ed25519.PrivateKey.generate(randomness: randomness)
        var key = ByteWriter()
        key.writeText("sk-ssh-ed25519@openssh.com")
        key.writeString(device.publicKey.bytes)
        key.writeText("ssh:")
        var signed = ByteWriter()
        signed.writeRaw(Digest.sha256(Array("ssh:".utf8)))
        signed.writeByte(flags)
        signed.writeUInt32(42)
        signed.writeRaw(Digest.sha256(data))
        var signature = ByteWriter()
        signature.writeText("sk-ssh-ed25519@openssh.com")
        signature.writeString(device.sign(signed.finish()))
        signature.writeByte(flags)
        signature.writeUInt32(42)
        return (try PublicKey(blob: key.finish()), try Signature(decoding: signature.finish()))
    }

    @Test func `a touched key's signature is verified over flags and counter`() throws {
        let (key, signature) = try sign([1, 2], flags: 1)
        try key.verify(signature, over: [1, 2])
        #expect(throws: KeyError.badSignature) { try key.verify(signature, over: [1]) }
        var changed = signature.encoded()
        changed[changed.count - 1] ^= 1
        #expect(throws: KeyError.badSignature) { try key.verify(try Signature(decoding: changed), over: [1, 2]) }
    }

    @Test func `a key that was not touched is refused`() throws {
        let (key, signature) = try sign([1, 2], flags: 0)
        #expect(throws: KeyError.userNotPresent) { try key.verify(signature, over: [1, 2]) }
    }

    @Test func `a plain Ed25519 signature is none of a security key`() throws {
        let (key, signature) = try sign([1, 2], flags: 1)
        #expect(throws: KeyError.signatureAlgorithmDoesNotFitKey("ssh-ed25519")) {
            try key.verify(Signature(.ed25519, bytes: signature.bytes), over: [1, 2])
        }
    }
}
