import Base
import SSHWire
import Testing

@testable import SSHEngine

@Suite("Which certificates are believed")
struct CertificateCheckTests {
    private static let randomness = SeededRandomness(seed: 21)
    private static let userAuthority = PrivateKey.generate(randomness: SeededRandomness(seed: 22))
    private static let hostAuthority = PrivateKey.generate(randomness: SeededRandomness(seed: 23))
    private static let eastHostAuthority = PrivateKey.generate(randomness: SeededRandomness(seed: 24))
    private static let eastUserAuthority = PrivateKey.generate(randomness: SeededRandomness(seed: 25))
    private static let stranger = PrivateKey.generate(randomness: SeededRandomness(seed: 26))
    private static let subject = PrivateKey.generate(randomness: SeededRandomness(seed: 27)).publicKey
    private static let begin = UnixTime(seconds: 1_800_000_000)
    private static let end = UnixTime(seconds: 1_800_043_200)
    private static let middle = UnixTime(seconds: 1_800_001_000)

    private static let authorities = TrustedAuthorities([
        TrustedAuthority(key: userAuthority.publicKey, use: .user, cluster: "hub"),
        TrustedAuthority(key: hostAuthority.publicKey, use: .host, cluster: "hub"),
        TrustedAuthority(key: eastHostAuthority.publicKey, use: .host, cluster: "east"),
        TrustedAuthority(key: eastUserAuthority.publicKey, use: .user, cluster: "east"),
    ])

    private static func make(
        by key: PrivateKey, _ kind: CertificateKind, id: String = "alice", principals: [String] = ["root", "alice"],
        validBefore: UnixTime = end, options: CertificateOptions = CertificateOptions(),
        extensions: CertificateOptions = CertificateOptions()
    ) throws -> Certificate {
        try CertificateSigner(key: key, randomness: randomness).sign(
            CertificateSigner.Request(
                kind: kind, publicKey: subject, keyID: id, validPrincipals: principals, validAfter: begin, validBefore: validBefore,
                criticalOptions: options, extensions: extensions))
    }

    private func user(
        _ certificate: Certificate, _ wanted: UserCertificateCheck.Wanted = .principal("root"), cluster: String? = nil,
        source: IPAddress? = IPAddress("10.1.2.3"), now: UnixTime = middle
    ) -> CertificateDistrust? {
        do throws(CertificateDistrust) {
            _ = try UserCertificateCheck(authorities: Self.authorities)
                .judge(certificate, wanted: wanted, cluster: cluster, source: source, now: now)
            return nil
        } catch {
            return error
        }
    }

    private func host(_ certificate: Certificate, _ name: String = "db1", cluster: String? = nil, now: UnixTime = middle)
        -> CertificateDistrust?
    {
        do throws(CertificateDistrust) {
            _ = try HostCertificateCheck(authorities: Self.authorities).judge(certificate, name: name, cluster: cluster, now: now)
            return nil
        } catch {
            return error
        }
    }

    @Test func `a good user certificate is believed, with its cluster and command`() throws {
        let certificate = try Self.make(
            by: Self.userAuthority, .user,
            options: CertificateOptions(values: ["force-command": "uptime", "source-address": "10.0.0.0/8,::1"]))
        let accepted = try UserCertificateCheck(authorities: Self.authorities)
            .judge(certificate, wanted: .principal("alice"), source: IPAddress("10.1.2.3"), now: Self.middle)
        #expect(accepted.authority.cluster == "hub")
        #expect(accepted.forceCommand == "uptime")
    }

    @Test func `wrong type`() throws {
        #expect(user(try Self.make(by: Self.userAuthority, .host)) == .wrongType(.host))
        #expect(host(try Self.make(by: Self.hostAuthority, .user)) == .wrongType(.user))
    }

    @Test func `unknown authority`() throws {
        let fingerprint = Self.stranger.publicKey.fingerprint
        #expect(user(try Self.make(by: Self.stranger, .user)) == .unknownAuthority(fingerprint: fingerprint))
    }

    @Test func `an authority for another use`() throws {
        #expect(user(try Self.make(by: Self.hostAuthority, .user)) == .authorityNotForUse(.user))
        #expect(host(try Self.make(by: Self.userAuthority, .host, principals: ["db1"])) == .authorityNotForUse(.host))
    }

    @Test func `an authority of another cluster`() throws {
        #expect(user(try Self.make(by: Self.eastUserAuthority, .user), cluster: "hub") == .authorityNotForCluster("east"))
        #expect(
            host(try Self.make(by: Self.eastHostAuthority, .host, principals: ["db1"]), cluster: "hub") == .authorityNotForCluster("east"))
        #expect(host(try Self.make(by: Self.eastHostAuthority, .host, principals: ["db1"]), cluster: "east") == nil)
    }

    @Test func `an authority whose key is a certificate`() throws {
        let inner = try Self.make(by: Self.userAuthority, .user)
        let outer = try Self.make(by: Self.userAuthority, .user)
        // The same certificate, with the authority's key put into a certificate (CVE-2025-49825).
        let key = Self.userAuthority.publicKey.blob
        let at = try #require(Self.position(of: key, in: outer.blob))
        var blob = Array(outer.blob[..<(at - 4)])
        var length = ByteWriter()
        length.writeString(inner.blob)
        blob += length.finish() + outer.blob[(at + key.count)...]
        #expect(throws: CertificateDistrust.authorityIsCertificate) {
            try UserCertificateCheck(authorities: Self.authorities)
                .judge(blob: blob, wanted: .principal("root"), source: nil, now: Self.middle)
        }
    }

    @Test func `a changed byte`() throws {
        let certificate = try Self.make(by: Self.userAuthority, .user)
        var blob = certificate.blob
        let at = try #require(Self.position(of: Array("root".utf8), in: blob))
        blob[at] = UInt8(ascii: "t")
        #expect(user(try Certificate(blob: blob), .principal("toot")) == .badSignature)
    }

    @Test func `a certificate that was believed before is judged anew, and what differs from it in a bit is refused`() throws {
        let certificate = try Self.make(by: Self.userAuthority, .user)
        #expect(user(certificate) == nil)
        #expect(user(certificate) == nil)
        #expect(user(certificate, .principal("bob")) == .principalNotListed("bob"))
        #expect(user(certificate, now: Self.end) == .expired)
        for position in [certificate.blob.count - 1, certificate.blob.count - 40] {
            var forged = certificate.blob
            forged[position] ^= 1
            #expect(user(try Certificate(blob: forged)) == .badSignature)
        }
    }

    @Test func `a signature by SHA-1`() throws {
        let certificate = try Self.make(by: Self.userAuthority, .user)
        var signature = ByteWriter()
        signature.writeText("ssh-rsa")
        signature.writeString([UInt8](repeating: 1, count: 256))
        var blob = Array(certificate.blob[..<(certificate.blob.count - certificate.signature.encoded().count - 4)])
        var field = ByteWriter()
        field.writeString(signature.finish())
        blob += field.finish()
        #expect(user(try Certificate(blob: blob)) == .algorithmNotAllowed("ssh-rsa"))
    }

    @Test func `an RSA key below 2048 bits`() {
        #expect(CertificateDistrust(KeyError.unacceptableKeySize(bits: 1024)) == .weakKey(bits: 1024))
    }

    @Test func `before and after its time, to the second`() throws {
        let certificate = try Self.make(by: Self.userAuthority, .user)
        #expect(user(certificate, now: UnixTime(seconds: Self.begin.seconds - 1)) == .notYetValid)
        #expect(user(certificate, now: Self.begin) == nil)
        #expect(user(certificate, now: UnixTime(seconds: Self.end.seconds - 1)) == nil)
        #expect(user(certificate, now: Self.end) == .expired)
        #expect(user(certificate, now: UnixTime(seconds: -1)) == .notYetValid)
    }

    @Test func `a user's certificate that never expires`() throws {
        var blob = try Self.make(by: Self.userAuthority, .user).blob
        let before = ByteWriterBytes.uint64(UInt64(Self.end.seconds))
        let at = try #require(Self.position(of: before, in: blob))
        for index in at..<at + 8 { blob[index] = 0xff }
        // Signed anew by the authority: only the time is wrong.
        let resigned = try Self.sign(Array(blob), by: Self.userAuthority)
        #expect(user(resigned) == .neverExpires)
    }

    @Test func `no principals are nobody, not anybody`() throws {
        let option = CertificateOptions(values: [CriticalOption.site: "branch"])
        let nobody = try Self.make(by: Self.userAuthority, .user, principals: [], options: option)
        #expect(user(nobody) == .unknownCriticalOption(CriticalOption.site))
        let host = try Self.make(by: Self.hostAuthority, .host, principals: ["db1"])
        #expect(self.host(host, "db2") == .principalNotListed("db2"))
        let empty = try Self.withoutPrincipals(by: Self.hostAuthority)
        #expect(self.host(empty) == .noPrincipals)
    }

    @Test func `a name that is not listed`() throws {
        let certificate = try Self.make(by: Self.userAuthority, .user)
        #expect(user(certificate, .principal("bob")) == .principalNotListed("bob"))
        #expect(user(certificate, .principal("")) == .principalNotListed(""))
        #expect(user(certificate, .principal("Root")) == .principalNotListed("Root"))
        #expect(user(certificate, .principalOrKeyID("carol")) == .principalNotListed("carol"))
        #expect(user(try Self.make(by: Self.userAuthority, .user, id: "carol"), .principalOrKeyID("carol")) == nil)
    }

    @Test func `an unknown critical option`() throws {
        let options = CertificateOptions(flags: ["verify-required"])
        #expect(user(try Self.make(by: Self.userAuthority, .user, options: options)) == .unknownCriticalOption("verify-required"))
        let forced = CertificateOptions(values: ["force-command": "x"])
        #expect(
            host(try Self.make(by: Self.hostAuthority, .host, principals: ["db1"], options: forced))
                == .unknownCriticalOption("force-command"))
    }

    struct Source: Sendable {
        let list: String
        let address: String?
        let distrust: CertificateDistrust?
    }

    @Test(arguments: [
        Source(list: "10.1.2.3", address: "10.1.2.3", distrust: nil), Source(list: "10.1.2.0/24", address: "10.1.2.3", distrust: nil),
        Source(list: "192.168.0.1,10.0.0.0/8", address: "10.1.2.3", distrust: nil),
        Source(list: "10.1.2.3", address: "::ffff:10.1.2.3", distrust: nil), Source(list: "::1", address: "::1", distrust: nil),
        Source(list: "10.1.2.4", address: "10.1.2.3", distrust: .sourceAddress),
        Source(list: "10.1.3.0/24", address: "10.1.2.3", distrust: .sourceAddress),
        Source(list: "10.1.2.3", address: nil, distrust: .sourceAddress),
        Source(list: "", address: "10.1.2.3", distrust: .malformedOption("source-address")),
        Source(list: "10.1.2.3,", address: "10.1.2.3", distrust: .malformedOption("source-address")),
        Source(list: "10.1.2.3/33", address: "10.1.2.3", distrust: .malformedOption("source-address")),
        Source(list: "example.com", address: "10.1.2.3", distrust: .malformedOption("source-address")),
    ])
    func `the peer's address`(source: Source) throws {
        let certificate = try Self.make(by: Self.userAuthority, .user, options: CertificateOptions(values: ["source-address": source.list]))
        #expect(user(certificate, source: source.address.flatMap { IPAddress($0) }) == source.distrust)
    }

    @Test func `a certificate that names another cluster than its authority's`() throws {
        let extended = CertificateOptions(values: [CertificateExtension.authority: "hub"])
        let forged = try Self.make(by: Self.eastHostAuthority, .host, principals: ["db1"], extensions: extended)
        #expect(host(forged) == .clusterNotOfAuthority("hub"))
        #expect(host(try Self.make(by: Self.eastHostAuthority, .host, principals: ["db1", "db1.hub"])) == .clusterNotOfAuthority("hub"))
        #expect(
            host(try Self.make(by: Self.eastHostAuthority, .host, id: "uuid.hub", principals: ["db1"])) == .clusterNotOfAuthority("hub"))
        #expect(host(try Self.make(by: Self.eastHostAuthority, .host, principals: ["db1", "hub"])) == .clusterNotOfAuthority("hub"))
        #expect(host(try Self.make(by: Self.eastHostAuthority, .host, id: "uuid.east", principals: ["db1", "db1.east"])) == nil)
        let user = try Self.make(by: Self.eastUserAuthority, .user, extensions: extended)
        #expect(self.user(user) == .clusterNotOfAuthority("hub"))
    }

    @Test func `a longer cluster name is not taken for the shorter it ends with`() throws {
        let authority = Self.stranger
        let check = HostCertificateCheck(
            authorities: TrustedAuthorities(
                Array(Self.authorities) + [TrustedAuthority(key: authority.publicKey, use: .host, cluster: "far.east")]))
        let certificate = try Self.make(by: authority, .host, id: "uuid.far.east", principals: ["db1.far.east"])
        #expect(try check.judge(certificate, name: "db1.far.east", now: Self.middle).authority.cluster == "far.east")
        let forged = try Self.make(by: Self.eastHostAuthority, .host, id: "uuid.far.east", principals: ["db1"])
        #expect(throws: CertificateDistrust.clusterNotOfAuthority("far.east")) { try check.judge(forged, name: "db1", now: Self.middle) }
    }

    @Test func `a site's credential is good for its site and nothing else`() throws {
        let option = CertificateOptions(values: [CriticalOption.site: "branch"])
        let certificate = try Self.make(by: Self.userAuthority, .user, principals: [], options: option)
        #expect(user(certificate, .site("branch")) == nil)
        #expect(user(certificate, .site("other")) == .principalNotListed("other"))
        #expect(user(certificate, .principalOrKeyID("alice")) == .unknownCriticalOption(CriticalOption.site))
        #expect(user(try Self.make(by: Self.userAuthority, .user), .site("branch")) == .principalNotListed(""))
    }

    // MARK: Certificates that no signer of ours makes

    private static func position(of needle: [UInt8], in bytes: [UInt8]) -> Int? {
        guard bytes.count >= needle.count else { return nil }
        return (0...bytes.count - needle.count).first { Array(bytes[$0..<$0 + needle.count]) == needle }
    }

    /// The certificate with its signature made anew.
    private static func sign(_ blob: [UInt8], by key: PrivateKey) throws -> Certificate {
        let old = try Certificate(blob: blob)
        let body = Array(blob[..<(blob.count - old.signature.encoded().count - 4)])
        var field = ByteWriter()
        field.writeString(try key.sign(body).encoded())
        return try Certificate(blob: body + field.finish())
    }

    private static func withoutPrincipals(by key: PrivateKey) throws -> Certificate {
        let blob = try make(by: key, .host, principals: ["db1"]).blob
        var list = ByteWriter()
        list.writeText("db1")
        var field = ByteWriter()
        field.writeString(list.finish())
        let principals = field.finish()
        let at = try #require(position(of: principals, in: blob))
        return try sign(Array(blob[..<at]) + [0, 0, 0, 0] + blob[(at + principals.count)...], by: key)
    }
}

private enum ByteWriterBytes {
    static func uint64(_ value: UInt64) -> [UInt8] {
        var writer = ByteWriter()
        writer.writeUInt64(value)
        return writer.finish()
    }
}
