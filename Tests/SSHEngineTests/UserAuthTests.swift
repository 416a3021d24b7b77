import Base
import SSHWire
import Testing

@testable import SSHEngine

@Suite("RFC 4252 user authentication")
struct UserAuthTests {
    private static let other = PrivateKey.generate(randomness: SeededRandomness(seed: 31))

    private static func credential(_ key: PrivateKey, _ signer: UserCredential.Signer? = nil) -> UserCredential {
        UserCredential(identity: .certificate(EnginePair.userCertificate(key: key)), signer: signer ?? .key(key))
    }

    @Test func `a client tries its keys in turn, and the one that signed is the one that is judged`() {
        let pair = EnginePair(
            client: EnginePair.clientConfiguration(credentials: [Self.credential(Self.other), Self.credential(EnginePair.userKey)]))
        pair.answersUser = { $0.identity.publicKey == EnginePair.userKey.publicKey ? .accept : .reject }
        pair.drive()
        #expect(pair.serverSide.isAuthenticated)
        #expect(pair.serverSide.attempts.map(\.identity.publicKey) == [Self.other.publicKey, EnginePair.userKey.publicKey])
        #expect(pair.serverSide.attempts.map(\.isProven) == [true, true])
    }

    @Test func `a client without a way in says what the server would take`() {
        let pair = EnginePair()
        pair.answersUser = { _ in .reject }
        pair.drive()
        #expect(pair.clientSide.error == SSHError(.credentialsExhausted(methodsThatCanContinue: ["publickey"])))
        let bare = EnginePair(client: EnginePair.clientConfiguration(credentials: []))
        bare.drive()
        #expect(bare.clientSide.error == SSHError(.credentialsExhausted(methodsThatCanContinue: ["publickey"])))
    }

    @Test func `somebody else may hold the key`() {
        let pair = EnginePair(client: EnginePair.clientConfiguration(credentials: [Self.credential(EnginePair.userKey, .external)]))
        pair.drive()
        #expect(pair.serverSide.isAuthenticated)
    }

    @Test(arguments: [KeyType.rsa, .ecdsaP256, .ecdsaP384, .ecdsaP521])
    func `every type of key logs in`(type: KeyType) throws {
        let key = try PrivateKey(generating: type, rsaBits: 2048, randomness: SeededRandomness(seed: 33))
        let pair = EnginePair(client: EnginePair.clientConfiguration(credentials: [Self.credential(key)]))
        pair.drive()
        #expect(pair.serverSide.isAuthenticated)
        #expect(pair.serverSide.attempts.first?.algorithm == type.signatureAlgorithms.first?.certificateName)
    }

    @Test func `what a client sends ahead waits for the answer`() throws {
        let pair = EnginePair()
        pair.answersUser = { _ in nil }
        pair.drive()
        #expect(pair.wantsInput.server == false)
        #expect(!pair.clientSide.isAuthenticated)
        guard case .userAuthAttempted(let token, _)? = pair.serverSide.events.last else {
            Issue.record("nobody was asked")
            return
        }
        try pair.server.resolve(userAuth: token, .accept)
        pair.drive()
        #expect(pair.clientSide.isAuthenticated && pair.serverSide.isAuthenticated)
    }

    @Test func `a host key that is refused ends the client with the reason`() {
        let pair = EnginePair()
        pair.answersHostKey = { _ in .reject(reason: "unknown") }
        pair.drive()
        #expect(pair.clientSide.error == SSHError(.hostKeyRefused("unknown")))
        #expect(pair.clientSide.offers.first?.identity.isCertificate == true)
        #expect(pair.serverSide.attempts.isEmpty, "no user name before the host is known")
        guard case .disconnected(.hostKeyNotVerifiable, "host key not verifiable")? = pair.serverSide.events.last else {
            Issue.record("the server was not told")
            return
        }
    }

    @Test func `input beyond a bound is not kept for a question that stays open`() {
        let pair = EnginePair()
        pair.answersUser = { _ in nil }
        pair.drive()
        pair.deliver([UInt8](repeating: 0, count: 1 << 20), toServer: true)
        #expect(pair.serverSide.error == nil)
        pair.deliver([0], toServer: true)
        #expect(pair.serverSide.error == SSHError(.inputHeld(1)))
    }

    @Test func `who does not log in in time is cut off`() throws {
        let pair = EnginePair()
        pair.answersUser = { _ in nil }
        pair.drive()
        #expect(pair.serverDeadline == pair.now + .seconds(120))
        #expect(throws: SSHError(.authenticationTimeout)) { try pair.server.handleDeadline(now: pair.now + .seconds(120)) }
        guard case .userAuthAttempted(let token, _)? = pair.serverSide.events.last else { return }
        try pair.server.resolve(userAuth: token, .accept)
        #expect(pair.serverSide.isAuthenticated == false, "an answer after the end lets nobody in")
    }

    // MARK: Attacks

    @Test func `a signature over another session is refused`() {
        let raw = RawClient()
        raw.connect()
        raw.requestService()
        raw.sendSignedRequest(session: [UInt8](repeating: 0, count: 32))
        #expect(raw.lastNumber == 51)
        #expect(raw.events.allSatisfy { if case .userAuthAttempted = $0 { false } else { true } })
    }

    @Test func `a certificate signed for with another key is refused`() {
        let raw = RawClient()
        raw.connect()
        raw.requestService()
        raw.sendSignedRequest(key: Self.other, as: EnginePair.userCertificate().blob)
        #expect(raw.lastNumber == 51)
    }

    @Test func `a question about one key gives no right to another`() throws {
        let raw = RawClient()
        raw.connect()
        raw.requestService()
        let certificate = EnginePair.userCertificate()
        let query = UserAuthRequestMessage(
            user: "alice", method: .publicKey(.init(algorithm: certificate.typeName, key: certificate.blob, signature: nil)))
        raw.send(query.payload())
        #expect(raw.lastNumber == 60, "the key would do")
        guard case .userAuthAttempted(_, let asked)? = raw.events.last else {
            Issue.record("nobody was asked")
            return
        }
        #expect(!asked.isProven)
        raw.answersUser = .reject
        raw.sendSignedRequest(key: Self.other)
        #expect(raw.lastNumber == 51)
        guard case .userAuthAttempted(_, let proven)? = raw.events.last else { return }
        #expect(proven.isProven && proven.identity.publicKey == Self.other.publicKey)
    }

    @Test func `ssh-rsa and passwords are no way in`() {
        let raw = RawClient()
        raw.connect()
        raw.requestService()
        raw.sendSignedRequest(algorithm: "ssh-rsa")
        #expect(raw.lastNumber == 51)
        raw.send(UserAuthRequestMessage(user: "alice", method: .other("password")).payload())
        #expect(raw.lastNumber == 51)
        raw.send(UserAuthRequestMessage(user: "alice", method: .none).payload())
        #expect(raw.lastNumber == 51)
        #expect(raw.error == nil)
    }

    @Test func `failures are counted`() {
        let raw = RawClient()
        raw.connect()
        raw.requestService()
        raw.answersUser = .reject
        for _ in 0..<5 { raw.sendSignedRequest() }
        #expect(raw.error == nil)
        raw.sendSignedRequest()
        #expect(raw.lastError == .authenticationAttempts(6))
    }

    @Test func `questions whether a key would do are counted, too`() {
        let raw = RawClient()
        raw.connect()
        raw.requestService()
        let certificate = EnginePair.userCertificate()
        let query = UserAuthRequestMessage(
            user: "alice", method: .publicKey(.init(algorithm: certificate.typeName, key: certificate.blob, signature: nil)))
        for _ in 0..<64 { raw.send(query.payload()) }
        #expect(raw.error == nil)
        raw.send(query.payload())
        #expect(raw.lastError == .authenticationAttempts(65))
    }

    @Test func `the user may not change on the way`() {
        let raw = RawClient()
        raw.connect()
        raw.requestService()
        raw.answersUser = .reject
        raw.sendSignedRequest()
        raw.sendSignedRequest(user: "root")
        #expect(raw.lastError == .userChanged)
    }

    @Test func `another service is not there`() {
        let raw = RawClient()
        raw.connect()
        raw.send(ServiceRequestMessage(service: "ssh-connection").payload())
        #expect(raw.lastError == .serviceUnknown("ssh-connection"))
    }

    @Test func `a login after the login is ignored`() {
        let raw = RawClient()
        raw.logIn()
        raw.sendSignedRequest(user: "root")
        #expect(raw.error == nil)
        #expect(raw.lastNumber == 52)
    }
}
