import Base
import Testing

@testable import Crypto

@Suite("Private keys as PEM (RFC 7468)")
struct PrivateKeyPEMTests {
    /// `openssl ecparam -name prime256v1 -genkey`; made for this test.
    static let sec1 = """
        -----BEGIN EC PRIVATE KEY-----
        MHcCAQEEIGBcTfMijmUSwEqh2ZW2k/2tTuCq6IdlQe2RPut5cS4zoAoGCCqGSM49
        AwEHoUQDQgAE94M9+WH54kSGWYcywgaER64OUTKpPVOXoyn6eGVmzuxs+q+D7+XS
        abR0gZYi9G6kHF+mOIiFg77UverIl7O1Tw==
        -----END EC PRIVATE KEY-----
        """
    /// `openssl genrsa -traditional`; made for this test.
    static let pkcs1 = """
        -----BEGIN RSA PRIVATE KEY-----
        MIIEpQIBAAKCAQEAzZAWwtL6VB6z0ehEYx9NxcthRvL5zd7I9u1oU9LT31ZOjRl1
        Ba83IZ7se+d2HDguUYMdrrzkK0esTXBxdJBz0jZgMrSlp8jM3Hc7P8Df/wySUuqv
        dJW9n1wuVC/8vA8i5JXnFrdHxMJogpq6pzXT/vis6orjkhu1GkZ5CuF/1ciu3Q56
        Vt7WWEZDdTMiiI+g60GkiydmD2aY4Kfy6QV/6nUeC5wQnoUn/r9J0rJ6ER6A9/rN
        HkLA5NLCgjJYzusE0Dr3IwHWH0UOEpIFZl8hn2KyAGKFbE4fSlf9820baDKmYI6c
        bolp0jObvvm0YWkGJ96F0kMjHDDjAS1BDROioQIDAQABAoIBAAGIH8zLaFpODSNI
        z6Fk1FovbX/rL6SGqu0A3G+fNxUjfCfr0RwB8/NfFyJWWXpc6m6w30TIB1vZk6eD
        MXO7v7Kw1Tk8gI1gOxNPm8JSI0Mn7HtT4ItCAkLus5FM1x1uQBF3qtxf4M/u7kse
        mLpmLbBxOT3hS4BBPsmBjd1ofDC3Q+fWBF74JkPW710YL9tJg9bejNAQEZaJ1YlG
        YCJr6dY801zTf1/KlPpDKbfgt6MkH6ZIuDAjAjem/1SXUlI9dGnmpg6VrIUolPDn
        T/JqeT4pzvI+HDpCFIV1aa8ohrO65ZxX5WpgyRgybnWHy+ar1RMMEP5jhShWwvTo
        m9/sioECgYEA5sf9D32hIV332K5GcD1q9O5nUjpm5aDELW+l/2wZBig14Jwkyne+
        s1XaPE33lbP8sVXHUnKXvVkJb040TwRxEE3s0/Coi5/JHqmq/YVoutnW5olh56Z8
        /nCMDtnjb7o932Ur6R8MWA6P7D3zVoAhGGyPS9WcefqW4OPLR3nsq4ECgYEA5Aag
        gMqE9cYfluDIDzV4xpZHNwNgeUyNP3bixlTHg34Lv48oAvtN5C/89tMV70yY1kit
        V6fpaDXZWwUgPY7l7fdjA4GlsL5N7ohnMwHh9J3G1986KkilMWiua7qPVH3jj7sd
        oTIgBKbG+OYEMOmHn6+awikSTFo+U96bDGFhByECgYEAyNwnFORy6Wev35dPF0Fd
        ZfBZXOgXxqQ2GpWiFL0wynsU6Xj9THsML2n5l6MEafdNZ8sQwGGcT+C+pXGbdWqY
        PWiVR6GeEGfx1A44FI+Yp4gR0nSgEc6F2655ODPMD+I5F8Ymga/UPo/uE9+XeyHp
        rChQT+CLYF8KEpIwyvUDWAECgYEA3cp4WW0isG/6D+YpkWmARSCsuhzFvJYyGRXI
        9AJIYWS7hqJ215eaJqZqlaWxgyXszxi3yjffdmZSOQ8eUeHpUXI705BKGkSwRqBU
        SK+/GRBR9W0CBVjNnOZmKRC4EwWzzvzAkCbSL9QMWtJYJz8ulKrYi5wpWSy5zRgL
        lZouJyECgYEAnOpJKAsmOEZLqLvTPpAL/dGRrJGBI0aUSlaU9nWiN+U29MB8f68x
        EyDBc+kUaiHgpLXpE2WrBhbGC2aHQ1T3bVQ0IRcm8bLsGRQtN3oUpX/vxJ8fB+kX
        cAk0Xm8xXqOvI3kq2FUXQtbqwy92hZx7SzwYZ2KnVvnN9twOp8ygZSo=
        -----END RSA PRIVATE KEY-----
        """
    /// `openssl genpkey -algorithm ed25519`; made for this test.
    static let pkcs8 = """
        -----BEGIN PRIVATE KEY-----
        MC4CAQAwBQYDK2VwBCIEIOZcx84VfCq4ZECgzuI1vxlNv3JsnuLvVDIRQSQyx+Z9
        -----END PRIVATE KEY-----
        """
    /// The first of these under a password.
    static let encrypted = """
        -----BEGIN ENCRYPTED PRIVATE KEY-----
        MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAifOfbQM0CQLgICCAAw
        DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEKKNYtpicoJHGzP1RElrT8sEgZB4
        8a+ZqrCVbGc0EdT9I5LHjzyhNio8xtAg95MAyTFBmBD6Ijr+vQ8J/oCS2QQCw0lD
        k1OnaCUyRg82Olos4zbOsl39KkX7Nr9mvr2ubdzKREPjzphibObbPFvCx3Qypfcp
        i/QR/qMpc+a1QtZJRPoQSN+gUkufprPuuIcaPGSSk/ngcdVrGXOVQFvYYeu2Up8=
        -----END ENCRYPTED PRIVATE KEY-----
        """

    @Test func `keys of OpenSSL's programs are read, written as PKCS#8 and read again`() throws {
        guard case .ecdsa(let ecdsa) = try PrivateKeyPEM(pem: Self.sec1), case .rsa(let rsa) = try PrivateKeyPEM(pem: Self.pkcs1),
            case .ed25519(let ed25519) = try PrivateKeyPEM(pem: Self.pkcs8)
        else {
            Issue.record("another kind of key")
            return
        }
        #expect(PrivateKeyPEM.ed25519(ed25519).pem == Self.pkcs8 + "\n")
        #expect(PrivateKeyPEM.ecdsa(ecdsa).pem.hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
        guard case .ecdsa(let ecdsaAgain) = try PrivateKeyPEM(pem: PrivateKeyPEM.ecdsa(ecdsa).pem),
            case .rsa(let rsaAgain) = try PrivateKeyPEM(pem: PrivateKeyPEM.rsa(rsa).pem)
        else {
            Issue.record("another kind of key")
            return
        }
        #expect(ecdsaAgain.scalar == ecdsa.scalar)
        #expect(rsaAgain.components == rsa.components)
    }

    @Test(arguments: ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", encrypted, String(pkcs1.prefix(400))])
    func `text that is no key, or one under a password, is refused without asking anybody`(text: String) {
        #expect(throws: CryptoError.self) { try PrivateKeyPEM(pem: text) }
    }
}

@Suite("scrypt (RFC 7914)")
struct PasswordHashTests {
    @Test func `the vectors of §12 come out`() {
        let first = PasswordHash.scrypt([], salt: [], n: 16, r: 1, p: 1, count: 64)
        #expect(
            first.map(Hex.encode)
                == "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"
        )
        let second = PasswordHash.scrypt(Array("password".utf8), salt: Array("NaCl".utf8), n: 1024, r: 8, p: 16, count: 64)
        #expect(
            second.map(Hex.encode)
                == "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640"
        )
    }

    @Test func `a password fits its own hash alone`() {
        let hash = PasswordHash.hash(password: Array("correct horse".utf8), randomness: SeededRandomness(seed: 1))
        #expect(hash.hasPrefix("$scrypt$ln=15,r=8,p=1$"))
        #expect(PasswordHash.verify(password: Array("correct horse".utf8), against: hash))
        #expect(!PasswordHash.verify(password: Array("correct hors".utf8), against: hash))
        #expect(!PasswordHash.verify(password: [], against: hash))
    }

    @Test func `parameters are read from the text`() {
        let salt = Base64.encode(Array("NaCl".utf8), padded: false)
        guard let derived = PasswordHash.scrypt([1], salt: Array("NaCl".utf8), n: 16, r: 1, p: 1, count: 32) else {
            Issue.record("scrypt refused")
            return
        }
        #expect(PasswordHash.verify(password: [1], against: "$scrypt$ln=4,r=1,p=1$\(salt)$\(Base64.encode(derived, padded: false))"))
    }

    @Test(arguments: [
        "", "$", "$scrypt$", "$scrypt$ln=15,r=8,p=1$AAAA$", "$scrypt$ln=15,r=8,p=1$AAAA$AAAA", "$bcrypt$ln=1,r=8,p=1$AAAA$AAAA",
        "$scrypt$ln=63,r=8,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=20,r=32,p=4$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=-1,r=8,p=1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ])
    func `text of another form, or with ruinous parameters, fits no password`(text: String) {
        #expect(!PasswordHash.verify(password: [1], against: text))
    }
}
