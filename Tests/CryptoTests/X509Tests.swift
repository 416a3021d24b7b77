import Base
import Testing

@testable import Crypto

@Suite("X.509 for the API (RFC 5280)")
struct X509Tests {
    static let now = UnixTime(seconds: 1_800_000_000)
    static let year = Duration.seconds(365 * 86_400)

    struct Authority {
        let key = ECDSA.PrivateKey.generate(.nistp256, randomness: SystemRandomness())
        let issuer: CertificateIssuer

        init(_ name: String) throws {
            let template = CertificateTemplate(
                commonName: name, notBefore: X509Tests.now, notAfter: X509Tests.now + X509Tests.year, isAuthority: true)
            issuer = try CertificateIssuer(
                certificate: CertificateIssuer.selfSigned(template, key: key, randomness: SystemRandomness()), key: key)
        }

        func issue(_ change: (inout CertificateTemplate) -> Void = { _ in }) throws -> X509Certificate {
            var template = CertificateTemplate(
                commonName: "alice", organizations: ["admin", "dev"], organizationalUnits: ["hub"],
                dnsNames: ["node-1", "node-1.hub"], ipAddresses: ["127.0.0.1", "::1"], notBefore: X509Tests.now,
                notAfter: X509Tests.now + .seconds(3600), uses: [.client, .server])
            change(&template)
            let key = ECDSA.PrivateKey.generate(.nistp256, randomness: SystemRandomness())
            return try issuer.issue(template, for: key.publicKey, randomness: SystemRandomness())
        }
    }

    @Test func `what was asked for stands in the certificate, as DER and as PEM`() throws {
        let authority = try Authority("hub")
        let issued = try authority.issue()
        for certificate in try [issued, X509Certificate(der: issued.der), X509Certificate(pem: issued.pem)] {
            #expect(certificate == issued)
            #expect(certificate.commonName == "alice")
            #expect(certificate.organizations == ["admin", "dev"])
            #expect(certificate.organizationalUnits == ["hub"])
            #expect(certificate.dnsNames == ["node-1", "node-1.hub"])
            #expect(certificate.ipAddresses == ["127.0.0.1", "::1"])
            #expect(certificate.notBefore == Self.now)
            #expect(certificate.notAfter == Self.now + .seconds(3600))
            #expect(!certificate.isAuthority)
            #expect(certificate.uses == [.client, .server])
            #expect(certificate.serialNumber.utf8.count == 32)
        }
        #expect(authority.issuer.certificate.isAuthority)
        #expect(authority.issuer.certificate.publicKeyDER == authority.key.publicKey.der)
        #expect(authority.issuer.certificate.publicKeyPin == "sha256:" + Hex.encode(Digest.sha256(authority.key.publicKey.der)))
        #expect(issued.serialNumber != (try authority.issue().serialNumber))
    }

    @Test func `a name with commas stays one name`() throws {
        let issued = try Authority("hub").issue {
            $0.commonName = "alice,O=admin/O=admin"
            $0.dnsNames = ["a,DNS:evil.example", "b"]
        }
        #expect(issued.commonName == "alice,O=admin/O=admin")
        #expect(issued.dnsNames == ["a,DNS:evil.example", "b"])
        #expect(issued.organizations == ["admin", "dev"])
    }

    @Test func `long names such as a UUID with its cluster fit`() throws {
        let name = "0f1e2d3c-0000-4000-8000-123456789abc." + String(repeating: "c", count: 60)
        #expect(try Authority("hub").issue { $0.commonName = name }.commonName == name)
    }

    @Test(arguments: ["", "a\u{0}b", "a\nb", String(repeating: "x", count: 256)])
    func `a name that is empty, too long or has control characters is not certified`(name: String) throws {
        let authority = try Authority("hub")
        #expect(throws: CryptoError.self) { try authority.issue { $0.commonName = name } }
        #expect(throws: CryptoError.self) { try authority.issue { $0.dnsNames = [name] } }
        #expect(throws: CryptoError.self) { try authority.issue { $0.ipAddresses = [name] } }
    }

    @Test func `the authority that vouches is found among several`() throws {
        let hub = try Authority("hub")
        let east = try Authority("east")
        // The same name and another key: told apart by the key's identifier.
        let hubAgain = try Authority("hub")
        let authorities = [east, hub, hubAgain].map(\.issuer.certificate)
        for authority in [hub, east, hubAgain] {
            let found = try CertificateChain.verify(authority.issue(), authorities: authorities, use: .client, at: Self.now)
            #expect(found == authority.issuer.certificate)
        }
    }

    private func reason(
        _ certificate: X509Certificate, intermediates: [X509Certificate] = [], _ authorities: [X509Certificate],
        use: CertificateUse = .client, at now: UnixTime = now
    ) -> String? {
        do throws(CertificateRefusal) {
            _ = try CertificateChain.verify(certificate, intermediates: intermediates, authorities: authorities, use: use, at: now)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test func `each fault has its reason`() throws {
        let hub = try Authority("hub")
        let east = try Authority("east")
        let trusted = [hub.issuer.certificate]
        let good = try hub.issue()
        #expect(reason(good, trusted) == nil)
        #expect(reason(good, trusted, use: .server) == nil)
        #expect(reason(try east.issue(), trusted) == "unable to get local issuer certificate")
        #expect(reason(good, []) == "unable to get local issuer certificate")
        #expect(reason(good, trusted, at: UnixTime(seconds: Self.now.seconds - 1)) == "certificate is not yet valid")
        #expect(reason(good, trusted, at: Self.now + .seconds(3601)) == "certificate has expired")
        #expect(reason(try hub.issue { $0.uses = [.client] }, trusted, use: .server) == "the certificate is not for a server")
        #expect(reason(try hub.issue { $0.uses = [.server] }, trusted) == "the certificate is not for a client")
        #expect(reason(try hub.issue { $0.uses = [] }, trusted) == "the certificate is not for a client")
        #expect(
            reason(try hub.issue { $0.isAuthority = true }, trusted) == "an authority's certificate does not stand for a client")
        #expect(reason(try Authority("evil").issuer.certificate, trusted) == "the certificate is not for a client")
    }

    @Test func `an authority that came with the peer is not trusted, nor is a leaf that signs`() throws {
        let hub = try Authority("hub")
        let evil = try Authority("evil")
        #expect(reason(try evil.issue(), intermediates: [evil.issuer.certificate], [hub.issuer.certificate]) != nil)
        let key = ECDSA.PrivateKey.generate(.nistp256, randomness: SystemRandomness())
        let leaf = try hub.issuer.issue(
            CertificateTemplate(commonName: "leaf", notBefore: Self.now, notAfter: Self.now + Self.year, uses: [.client]),
            for: key.publicKey, randomness: SystemRandomness())
        #expect(throws: CryptoError.badEncoding("leaf is no certificate authority")) { try CertificateIssuer(certificate: leaf, key: key) }
    }

    @Test func `a changed certificate does not verify`() throws {
        let hub = try Authority("hub")
        let issued = try hub.issue()
        var der = issued.der
        der[der.count - 1] ^= 1
        let changed = try X509Certificate(der: der)
        #expect(reason(changed, [hub.issuer.certificate]) == "certificate signature failure")
    }

    @Test func `bytes that are no certificate are refused, and so are bytes after one`() throws {
        let der = try Authority("hub").issue().der
        for bytes in [[], [0x30], Array(der.dropLast()), der + [0], [UInt8](repeating: 0xff, count: 300)] {
            #expect(throws: CryptoError.self) { try X509Certificate(der: bytes) }
        }
        #expect(throws: CryptoError.self) { try X509Certificate(pem: "") }
        #expect(throws: CryptoError.self) { try X509Certificate(pem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") }
    }

    @Test func `a bundle is read whole and in its order`() throws {
        let certificates = try ["a", "b", "c"].map { try Authority($0).issuer.certificate }
        let bundle = "# comment\n" + certificates.map(\.pem).joined(separator: "\n")
        #expect(try X509Certificate.all(pem: bundle) == certificates)
        #expect(try X509Certificate.all(pem: "").isEmpty)
        #expect(throws: CryptoError.self) { try X509Certificate.all(pem: String(bundle.dropLast(60))) }
    }

    @Test func `an issuer needs the key of its certificate`() throws {
        let other = ECDSA.PrivateKey.generate(.nistp256, randomness: SystemRandomness())
        let hub = try Authority("hub")
        #expect(throws: CryptoError.badKey("the key is not that of the certificate")) {
            try CertificateIssuer(certificate: hub.issuer.certificate, key: other)
        }
    }
}
