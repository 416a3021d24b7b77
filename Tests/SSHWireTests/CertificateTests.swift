import Base
import SSHWire
import Testing

/// A certificate written field by field, so that each can be wrong.
struct HandMadeCertificate {
    var typeName = "ssh-ed25519-cert-v01@openssh.com"
    var nonce = [UInt8](repeating: 3, count: 32)
    var subject: [UInt8]
    var serial: UInt64 = 5
    var kind: UInt32 = 1
    var keyID: [UInt8] = Array("alice".utf8)
    var principals: [[UInt8]] = [Array("root".utf8)]
    var validAfter: UInt64 = 100
    var validBefore: UInt64 = 200
    var criticalOptions: [(String, [UInt8])] = []
    var extensions: [(String, [UInt8])] = []
    var reserved: [UInt8] = []
    var signatureKey: [UInt8]
    let authority: any SigningKey
    var algorithm: SignatureAlgorithm

    init(authority: any SigningKey, subject: PublicKey) {
        self.authority = authority
        signatureKey = authority.publicKey.blob
        var writer = ByteWriter()
        writer.writeString(Array(subject.blob.suffix(32)))
        self.subject = writer.finish()
        algorithm = authority.publicKey.type.signatureAlgorithms[0]
    }

    func blob() throws -> [UInt8] {
        var writer = ByteWriter()
        writer.writeText(typeName)
        writer.writeString(nonce)
        writer.writeRaw(subject)
        writer.writeUInt64(serial)
        writer.writeUInt32(kind)
        writer.writeString(keyID)
        var list = ByteWriter()
        for principal in principals { list.writeString(principal) }
        writer.writeString(list.finish())
        writer.writeUInt64(validAfter)
        writer.writeUInt64(validBefore)
        for options in [criticalOptions, extensions] {
            var list = ByteWriter()
            for (name, data) in options {
                list.writeText(name)
                list.writeString(data)
            }
            writer.writeString(list.finish())
        }
        writer.writeString(reserved)
        writer.writeString(signatureKey)
        writer.writeString(try authority.sign(writer.bytes, with: algorithm).encoded())
        return writer.finish()
    }
}

@Suite("Certificates (draft-miller-ssh-cert)")
struct CertificateTests {
    static let randomness = SeededRandomness(seed: 11)
    let authority = PrivateKey.generate(randomness: randomness)
    let subject = PrivateKey.generate(randomness: randomness)

    var handMade: HandMadeCertificate { HandMadeCertificate(authority: authority, subject: subject.publicKey) }

    // MARK: ssh-keygen's certificates

    @Test(arguments: KeyKind.all)
    func `a certificate of ssh-keygen is read and its signature verified`(kind: KeyKind) throws {
        let openSSH = try OpenSSH()
        try openSSH.makeKey("ca", "-t ed25519")
        try openSSH.makeKey("user", kind.arguments)
        try openSSH.run(
            "ssh-keygen -q -s ca -I alice@hub -n root,deploy -z 77 -V 20300101000000Z:20300102000000Z -O force-command=uptime "
                + "-O source-address=10.0.0.0/8 -O no-x11-forwarding -O extension:teleport-roles='[\"admin\"]' user.pub")
        let text = try openSSH.read("user-cert.pub")
        let certificate = try Certificate(text: text)
        #expect(certificate.publicKey == (try PublicKey(text: try openSSH.read("user.pub"))))
        #expect(certificate.signatureKey == (try PublicKey(text: try openSSH.read("ca.pub"))))
        #expect(certificate.kind == .user)
        #expect(certificate.keyID == "alice@hub")
        #expect(certificate.validPrincipals == ["root", "deploy"])
        #expect(certificate.serial == 77)
        #expect(certificate.validAfter == 1_893_456_000)
        #expect(certificate.validBefore == 1_893_542_400)
        #expect(certificate.criticalOptions.names == [CriticalOption.forceCommand, CriticalOption.sourceAddress])
        #expect(certificate.criticalOptions[CriticalOption.forceCommand] == "uptime")
        #expect(certificate.extensions[CertificateExtension.roles] == #"["admin"]"#)
        #expect(certificate.extensions.contains(CertificateExtension.permitPTY))
        #expect(!certificate.extensions.contains(CertificateExtension.permitX11Forwarding))
        #expect(certificate.text(comment: "a comment") + "\n" == text)
        try certificate.verifySignature()
    }

    @Test(arguments: KeyKind.all)
    func `an authority of any kind is verified`(kind: KeyKind) throws {
        let openSSH = try OpenSSH()
        try openSSH.makeKey("ca", kind.arguments)
        try openSSH.makeKey("host", "-t ed25519")
        try openSSH.run("ssh-keygen -q -s ca -h -I id -n db1,db1.east -V always:forever host.pub")
        let certificate = try Certificate(text: try openSSH.read("host-cert.pub"))
        #expect(certificate.kind == .host)
        #expect(certificate.validAfter == 0)
        #expect(certificate.validBefore == Certificate.forever)
        try certificate.verifySignature()
    }

    @Test func `a certificate signed with SHA-1 is not believed`() throws {
        let openSSH = try OpenSSH()
        try openSSH.makeKey("ca", "-t rsa -b 2048")
        try openSSH.makeKey("user", "-t ed25519")
        try openSSH.run("ssh-keygen -q -s ca -t ssh-rsa -I id -n root user.pub")
        let certificate = try Certificate(text: try openSSH.read("user-cert.pub"))
        #expect(throws: KeyError.signatureAlgorithmNotAllowed("ssh-rsa")) { try certificate.verifySignature() }
        try openSSH.run("ssh-keygen -q -s ca -t rsa-sha2-256 -I id -n root user.pub")
        let better = try Certificate(text: try openSSH.read("user-cert.pub"))
        try better.verifySignature()
        #expect(throws: KeyError.signatureAlgorithmNotAllowed("rsa-sha2-256")) {
            try better.verifySignature(allowed: [.rsaSHA512, .ed25519])
        }
    }

    @Test func `an authority with an RSA key below 2048 bits is refused`() throws {
        let openSSH = try OpenSSH()
        try openSSH.makeKey("ca", "-t rsa -b 1024")
        try openSSH.makeKey("user", "-t ed25519")
        try openSSH.run("ssh-keygen -q -s ca -I id -n root user.pub")
        let text = try openSSH.read("user-cert.pub")
        #expect(throws: KeyError.unacceptableKeySize(bits: 1024)) { try Certificate(text: text) }
    }

    // MARK: Our certificates

    @Test(arguments: KeyKind.all)
    func `ssh-keygen reads our certificates as they were meant`(kind: KeyKind) throws {
        let openSSH = try OpenSSH()
        let user = try PrivateKey(generating: kind.type, rsaBits: 2048, randomness: Self.randomness)
        let signer = CertificateSigner(key: authority, randomness: Self.randomness)
        let certificate = try signer.sign(
            CertificateSigner.Request(
                kind: .user, publicKey: user.publicKey, keyID: "alice", validPrincipals: ["root", "deploy"],
                validAfter: UnixTime(seconds: 1_893_456_000), validBefore: UnixTime(seconds: 1_893_542_400),
                criticalOptions: CertificateOptions(values: ["source-address": "127.0.0.1/32", "force-command": "uptime"]),
                extensions: CertificateOptions(flags: ["permit-pty", "permit-agent-forwarding"], values: ["teleport-roles": "[]"])))
        try certificate.verifySignature()
        try openSSH.write(certificate.text(comment: "c") + "\n", to: "user-cert.pub")
        let shown = try openSSH.run("TZ=UTC ssh-keygen -L -f user-cert.pub")
        for line in [
            "Type: \(certificate.typeName) user certificate", "Public key: ", "Signing CA: ED25519 \(authority.publicKey.fingerprint)",
            "Key ID: \"alice\"", "Serial: \(certificate.serial)", "Valid: from 2030-01-01T00:00:00 to 2030-01-02T00:00:00",
            "                root\n                deploy\n", "force-command uptime", "source-address 127.0.0.1/32",
            "permit-agent-forwarding\n", "permit-pty\n", "teleport-roles UNKNOWN OPTION",
        ] { #expect(shown.contains(line), "\(shown)") }
        #expect(shown.contains(user.publicKey.fingerprint))
    }

    @Test func `each certificate has its own nonce and serial number`() throws {
        let signer = CertificateSigner(key: authority, randomness: Self.randomness)
        let first = try signer.sign(request())
        let second = try signer.sign(request())
        #expect(first.nonce.count == 32)
        #expect(first.nonce != second.nonce)
        #expect(first.serial != second.serial)
    }

    private func request(
        _ validAfter: Int64 = 100, _ validBefore: Int64 = 200, principals: [String] = ["root"], keyID: String = "alice",
        critical: CertificateOptions = CertificateOptions()
    ) -> CertificateSigner.Request {
        CertificateSigner.Request(
            kind: .user, publicKey: subject.publicKey, keyID: keyID, validPrincipals: principals,
            validAfter: UnixTime(seconds: validAfter), validBefore: UnixTime(seconds: validBefore), criticalOptions: critical)
    }

    @Test(arguments: [(-1, 200), (.min, 200), (-5, -1), (200, 200), (200, 100), (0, 0)] as [(Int64, Int64)])
    func `times before 1970 and ends before beginnings are not signed`(validAfter: Int64, validBefore: Int64) {
        let signer = CertificateSigner(key: authority, randomness: Self.randomness)
        #expect(throws: KeyError.self) { try signer.sign(request(validAfter, validBefore)) }
    }

    @Test func `times go into the certificate as they are`() throws {
        let signer = CertificateSigner(key: authority, randomness: Self.randomness)
        let certificate = try signer.sign(request(0, .max))
        #expect(certificate.validAfter == 0)
        #expect(certificate.validBefore == UInt64(Int64.max))
    }

    @Test func `a certificate for anybody is not signed, but a site's credential is`() throws {
        let signer = CertificateSigner(key: authority, randomness: Self.randomness)
        #expect(throws: KeyError.self) { try signer.sign(request(principals: [])) }
        let site = CertificateOptions(values: [CriticalOption.site: "east"])
        let certificate = try signer.sign(request(principals: [], critical: site))
        #expect(certificate.validPrincipals.isEmpty)
        #expect(certificate.criticalOptions[CriticalOption.site] == "east")
    }

    @Test func `what reading would refuse is not signed`() {
        let signer = CertificateSigner(key: authority, randomness: Self.randomness)
        for bad in [
            request(principals: [""]), request(principals: ["a\nb"]), request(keyID: "a\0"),
            request(keyID: String(repeating: "a", count: 1025)), request(principals: .init(repeating: "a", count: 257)),
            request(critical: CertificateOptions(flags: ["two words"])),
        ] {
            #expect(throws: KeyError.self) { try signer.sign(bad) }
        }
    }

    // MARK: Hand-made certificates

    @Test func `a hand-made certificate is what the others are changed from`() throws {
        let certificate = try Certificate(blob: try handMade.blob())
        try certificate.verifySignature()
        #expect(certificate.validAfter == 100 && certificate.validBefore == 200 && certificate.serial == 5)
    }

    @Test func `a certificate whose signature key is a certificate is refused`() throws {
        let inner = try Certificate(blob: try handMade.blob())
        var outer = HandMadeCertificate(authority: subject, subject: subject.publicKey)
        outer.signatureKey = inner.blob
        let blob = try outer.blob()
        #expect(throws: KeyError.signatureKeyIsCertificate) { try Certificate(blob: blob) }
        outer.signatureKey = blob
        let nested = try outer.blob()
        #expect(throws: KeyError.signatureKeyIsCertificate) { try Certificate(blob: nested) }
    }

    @Test(arguments: KeyType.allCases.map(\.certificateName) + ["ssh-dss-cert-v01@openssh.com", "ssh-ed25519-cert-v02@openssh.com"])
    func `a signature key that calls itself a certificate is refused by its name`(name: String) throws {
        var certificate = handMade
        var writer = ByteWriter()
        writer.writeText(name)
        writer.writeString([UInt8](repeating: 1, count: 32))
        certificate.signatureKey = writer.finish()
        let blob = try certificate.blob()
        #expect(throws: KeyError.signatureKeyIsCertificate) { try Certificate(blob: blob) }
    }

    @Test func `a signature key of a type that is not allowed is refused`() throws {
        var certificate = handMade
        var writer = ByteWriter()
        writer.writeText("ssh-dss")
        certificate.signatureKey = writer.finish()
        let blob = try certificate.blob()
        #expect(throws: KeyError.unsupportedKeyType("ssh-dss")) { try Certificate(blob: blob) }
    }

    @Test func `another authority's key in the certificate does not verify`() throws {
        var certificate = handMade
        certificate.signatureKey = subject.publicKey.blob
        let read = try Certificate(blob: try certificate.blob())
        #expect(throws: KeyError.badSignature) { try read.verifySignature() }
    }

    @Test func `a bare key is no certificate and a certificate no bare key`() throws {
        #expect(throws: KeyError.notACertificate) { try Certificate(blob: subject.publicKey.blob) }
        let blob = try handMade.blob()
        #expect(throws: KeyError.unsupportedKeyType("ssh-ed25519-cert-v01@openssh.com")) { try PublicKey(blob: blob) }
    }

    struct Change: Sendable, CustomTestStringConvertible {
        let name: String
        let error: KeyError?
        let apply: @Sendable (inout HandMadeCertificate) -> Void
        var testDescription: String { name }

        init(_ name: String, _ error: KeyError?, _ apply: @escaping @Sendable (inout HandMadeCertificate) -> Void) {
            self.name = name
            self.error = error
            self.apply = apply
        }
    }

    static let changes = [
        Change("type 0", .unknownCertificateType(0)) { $0.kind = 0 },
        Change("type host", nil) { $0.kind = 2 },
        Change("type 3", .unknownCertificateType(3)) { $0.kind = 3 },
        Change("type beyond a byte", .unknownCertificateType(0x0100_0001)) { $0.kind = 0x0100_0001 },
        Change("unknown key type", .unsupportedKeyType("ssh-dss-cert-v01@openssh.com")) { $0.typeName = "ssh-dss-cert-v01@openssh.com" },
        Change("key type v00", .unsupportedKeyType("ssh-rsa-cert-v00@openssh.com")) { $0.typeName = "ssh-rsa-cert-v00@openssh.com" },
        Change("key of 31 bytes", .invalidKey) { $0.subject = [0, 0, 0, 31] + [UInt8](repeating: 1, count: 31) },
        Change("no nonce", nil) { $0.nonce = [] },
        Change("nonce at the limit", nil) { $0.nonce = [UInt8](repeating: 1, count: 1024) },
        Change("nonce past the limit", .malformed(.tooLong(1025))) { $0.nonce = [UInt8](repeating: 1, count: 1025) },
        Change("key id at the limit", nil) { $0.keyID = [UInt8](repeating: 65, count: 1024) },
        Change("key id past the limit", .malformed(.tooLong(1025))) { $0.keyID = [UInt8](repeating: 65, count: 1025) },
        Change("key id with a line end", .malformed(.badValue("control character"))) { $0.keyID = Array("a\nb".utf8) },
        Change("key id not UTF-8", .malformed(.notUTF8)) { $0.keyID = [0xff] },
        Change("no principals", nil) { $0.principals = [] },
        Change("principals at the limit", nil) { $0.principals = .init(repeating: [65], count: 256) },
        Change("principals past the limit", .malformed(.tooLong(257))) { $0.principals = .init(repeating: [65], count: 257) },
        Change("empty principal", .malformed(.badValue("empty principal"))) { $0.principals = [[65], []] },
        Change("principal with a NUL", .malformed(.badValue("control character"))) { $0.principals = [Array("root\0x".utf8)] },
        Change("principal at the limit", nil) { $0.principals = [[UInt8](repeating: 65, count: 256)] },
        Change("principal past the limit", .malformed(.tooLong(257))) { $0.principals = [[UInt8](repeating: 65, count: 257)] },
        Change("valid always", nil) { ($0.validAfter, $0.validBefore) = (0, .max) },
        Change("end before the beginning", nil) { ($0.validAfter, $0.validBefore) = (.max, 0) },
        Change("unknown critical option", nil) { $0.criticalOptions = [("verify-required", [])] },
        Change("critical option twice", .optionsNotInOrder("force-command")) {
            $0.criticalOptions = [("force-command", []), ("force-command", [])]
        },
        Change("critical options out of order", .optionsNotInOrder("force-command")) {
            $0.criticalOptions = [("source-address", []), ("force-command", [])]
        },
        Change("extension twice", .optionsNotInOrder("permit-pty")) { $0.extensions = [("permit-pty", []), ("permit-pty", [])] },
        Change("extension twice with another between", .optionsNotInOrder("a")) { $0.extensions = [("a", []), ("b", []), ("a", [])] },
        Change("extensions in order of bytes", nil) { $0.extensions = [("Z", []), ("a", []), ("aa", [])] },
        Change("extension without a name", .malformed(.badName)) { $0.extensions = [("", [])] },
        Change("extension with a blank", .malformed(.badName)) { $0.extensions = [("a b", [])] },
        Change("extensions at the limit", nil) { $0.extensions = (0..<64).map { ("x\(100 + $0)", []) } },
        Change("extensions past the limit", .malformed(.tooLong(65))) { $0.extensions = (0..<65).map { ("x\(100 + $0)", []) } },
        Change("extension data at the limit", nil) { $0.extensions = [("a", [UInt8](repeating: 1, count: 16384))] },
        Change("extension data past the limit", .malformed(.tooLong(16385))) {
            $0.extensions = [("a", [UInt8](repeating: 1, count: 16385))]
        },
        Change("reserved not empty", nil) { $0.reserved = [1, 2, 3] },
        Change("no signature key", .malformed(.truncated(needed: 4))) { $0.signatureKey = [] },
        Change("larger than any certificate", .malformed(.tooLong(33121))) { $0.reserved = .init(repeating: 0, count: 32768) },
    ]

    @Test(arguments: changes)
    func `one field changed is refused, or read and verified`(change: Change) throws {
        var certificate = handMade
        change.apply(&certificate)
        let blob = try certificate.blob()
        if let error = change.error {
            if case .malformed(.tooLong(let count)) = error, count > 32768 {
                #expect(throws: KeyError.malformed(.tooLong(blob.count))) { try Certificate(blob: blob) }
            } else {
                #expect(throws: error) { try Certificate(blob: blob) }
            }
        } else {
            try Certificate(blob: blob).verifySignature()
        }
    }

    @Test func `a certificate cut anywhere, or with a byte too many, is refused`() throws {
        let blob = try handMade.blob()
        for count in 0..<blob.count { #expect(throws: KeyError.self) { try Certificate(blob: Array(blob[..<count])) } }
        #expect(throws: KeyError.malformed(.trailingBytes(1))) { try Certificate(blob: blob + [0]) }
    }

    @Test func `a certificate with any bit changed is refused or does not verify`() throws {
        var certificate = handMade
        certificate.criticalOptions = [("force-command", [0, 0, 0, 1, 65])]
        certificate.extensions = [("permit-pty", [])]
        let blob = try certificate.blob()
        for index in blob.indices {
            for bit in [1, 0x80] as [UInt8] {
                var changed = blob
                changed[index] ^= bit
                #expect(throws: KeyError.self) { try Certificate(blob: changed).verifySignature() }
            }
        }
    }

    @Test func `an option's value is one string inside its data`() throws {
        var certificate = handMade
        certificate.extensions = [
            ("a", []), ("b", [0, 0, 0, 1, 65]), ("c", [65]), ("d", [0, 0, 0, 1, 65, 66]), ("e", [0, 0, 0, 1, 0xff]), ("f", [0, 0, 0, 0]),
        ]
        let extensions = try Certificate(blob: try certificate.blob()).extensions
        #expect(extensions["a"] == nil && extensions.contains("a"))
        #expect(extensions["b"] == "A")
        #expect(extensions["c"] == nil && extensions["d"] == nil && extensions["e"] == nil && extensions["none"] == nil)
        #expect(extensions["f"]?.isEmpty == true)
    }

    @Test(arguments: ["", "ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519-cert-v01@openssh.com !!!", "x AAAA"])
    func `text that is no certificate is refused`(text: String) {
        #expect(throws: KeyError.self) { try Certificate(text: text) }
    }

    @Test func `text whose first word is another type is refused`() throws {
        let text = try Certificate(blob: try handMade.blob()).text()
        #expect(throws: KeyError.self) { try Certificate(text: text.replacing("ssh-ed25519-cert", with: "ssh-rsa-cert")) }
        #expect(try Certificate(text: text + " a comment\n").keyID == "alice")
    }
}
