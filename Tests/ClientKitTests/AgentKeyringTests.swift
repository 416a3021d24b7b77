import Base
import ClientKit
import Crypto
import SSHWire
import Testing

@Suite("What tsh agent holds (draft-ietf-sshm-ssh-agent)")
struct AgentKeyringTests {
    let cluster = TestCluster("hub", seed: 1)
    let key = PrivateKey.generate(randomness: SeededRandomness(seed: 5))
    let now = TestCluster.now

    private func login() throws -> AgentIdentity {
        AgentIdentity(key: key, certificate: try cluster.userCertificate(key), comment: "teleport:alice@hub")
    }

    @Test func `a login is its certificate first, then its key`() throws {
        var keyring = AgentKeyring()
        let login = try login()
        let certificate = try #require(login.certificate)
        #expect(
            keyring.answer(.requestIdentities, logins: [login], now: now)
                == .identities([
                    .init(key: certificate.blob, comment: "teleport:alice@hub"),
                    .init(key: key.publicKey.blob, comment: "teleport:alice@hub"),
                ]))
    }

    @Test func `it signs by either name, and for no key that it has not`() throws {
        var keyring = AgentKeyring()
        let login = try login()
        for blob in [try #require(login.certificate).blob, key.publicKey.blob] {
            guard case .signature(let bytes) = keyring.answer(.sign(key: blob, data: [1, 2, 3], flags: 0), logins: [login], now: now) else {
                Issue.record("no signature")
                continue
            }
            #expect(bytes == (try key.sign([1, 2, 3])).encoded())
        }
        let other = PrivateKey.generate(randomness: SeededRandomness(seed: 6))
        #expect(keyring.answer(.sign(key: other.publicKey.blob, data: [], flags: 0), logins: [login], now: now) == .failure)
        #expect(keyring.answer(.sign(key: key.publicKey.blob, data: [], flags: 0), logins: [], now: now) == .failure)
    }

    @Test func `an RSA key signs with SHA-2 alone`() throws {
        var keyring = AgentKeyring()
        let rsa = try PrivateKey(generating: .rsa, rsaBits: 2048, randomness: SeededRandomness(seed: 5))
        #expect(keyring.answer(.add(AgentIdentity(key: rsa, comment: "")), logins: [], now: now) == .success)
        func algorithm(_ flags: UInt32) throws -> String? {
            guard case .signature(let bytes) = keyring.answer(.sign(key: rsa.publicKey.blob, data: [1], flags: flags), logins: [], now: now)
            else { return nil }
            return try Signature(decoding: bytes).algorithmName
        }
        #expect(try algorithm(2) == "rsa-sha2-256")
        #expect(try algorithm(4) == "rsa-sha2-512")
        #expect(try algorithm(0) == nil)
    }

    @Test func `what it was given stays for its lifetime, or until it is removed`() throws {
        var keyring = AgentKeyring()
        func count(_ time: UnixTime) -> Int {
            guard case .identities(let identities) = keyring.answer(.requestIdentities, logins: [], now: time) else { return -1 }
            return identities.count
        }
        let given = AgentIdentity(key: key, comment: "given", lifetime: 60)
        #expect(keyring.answer(.add(given), logins: [], now: now) == .success)
        #expect(keyring.answer(.add(given), logins: [], now: now) == .success)
        #expect(count(now + .seconds(59)) == 1)
        #expect(count(now + .seconds(60)) == 0)
        #expect(keyring.answer(.add(given), logins: [], now: now) == .success)
        #expect(keyring.answer(.remove(key: [1]), logins: [], now: now) == .failure)
        #expect(keyring.answer(.remove(key: key.publicKey.blob), logins: [], now: now) == .success)
        #expect(count(now) == 0)
        #expect(keyring.answer(.add(given), logins: [], now: now) == .success)
        #expect(keyring.answer(.removeAll, logins: [], now: now) == .success)
        #expect(count(now) == 0)
    }

    @Test func `a key whose use has to be confirmed is refused: nobody can be asked`() {
        var keyring = AgentKeyring()
        #expect(keyring.answer(.add(AgentIdentity(key: key, comment: "", confirms: true)), logins: [], now: now) == .failure)
        #expect(keyring.answer(.other(22), logins: [], now: now) == .failure)
    }
}
