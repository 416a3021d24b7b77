import Base
import SSHWire
import Testing

@testable import SSHEngine

@Suite("going ahead of answers")
struct GoingAheadTests {
    private static func client(_ keys: [PrivateKey] = [EnginePair.userKey], signer: UserCredential.Signer? = nil) -> EngineConfiguration {
        let credentials = keys.map {
            UserCredential(identity: .certificate(EnginePair.userCertificate(key: $0)), signer: signer ?? .key($0))
        }
        var options = ClientOptions(user: "alice", credentials: credentials)
        options.goesAhead = true
        return EngineConfiguration(role: .client(options))
    }

    /// A pair whose client opens a session behind its login, asks for a command and sends it data.
    private static func pair(
        client: EngineConfiguration = client(), server: EngineConfiguration = EnginePair.serverConfiguration()
    ) -> EnginePair {
        let pair = EnginePair(client: client, server: server)
        pair.loginSent = { engine in
            guard let id = engine.openSessionAhead() else { return }
            engine.sendRequest("exec", payload: [1], wantsReply: true, on: id)
            engine.send([2, 3].span, on: id)
        }
        return pair
    }

    // MARK: The key share

    @Test func `a right guess of the method saves a round trip`() {
        let patient = EnginePair().roundTrips { $0.clientSide.isAuthenticated }
        let ahead = Self.pair().roundTrips { $0.clientSide.isAuthenticated }
        #expect(patient == 3 && ahead == 2)
    }

    static let otherFavourites: [(methods: [String], agreed: String)] = [
        (["sntrup761x25519-sha512@openssh.com", "curve25519-sha256"], "curve25519-sha256"),
        (["ecdh-sha2-nistp384"], "ecdh-sha2-nistp384"),
    ]

    @Test(arguments: otherFavourites)
    func `a wrong guess is dropped, and the keys are made as without one`(methods: [String], agreed: String) {
        var server = EnginePair.serverConfiguration()
        server.algorithms.keyExchange = methods
        let pair = Self.pair(server: server)
        #expect(pair.roundTrips { $0.clientSide.isAuthenticated } == 3)
        #expect(pair.clientSide.exchanges.map(\.keyExchange) == [agreed])
        #expect(pair.clientSide.exchanges.map(\.isStrict) == [true])
        pair.client.rekey()
        pair.drive()
        #expect(pair.clientSide.exchanges.count == 2 && pair.clientSide.error == nil && pair.serverSide.error == nil)
    }

    // MARK: The session

    @Test func `a session's command and data go out with the login, and are taken in their order`() {
        let pair = Self.pair()
        #expect(pair.roundTrips { !$0.clientSide.requestReplies.isEmpty } == 2)
        #expect(pair.clientSide.requestReplies == [true])
        #expect(pair.serverSide.requests.map(\.type) == ["exec"])
        #expect(pair.serverSide.received.values.map { $0 } == [[2, 3]])
        #expect(pair.clientSide.opened.count == 1, "the server's word comes, too")
    }

    @Test func `a key that somebody else holds signs once the service is there`() {
        let pair = Self.pair(client: Self.client(signer: .external))
        #expect(pair.roundTrips { !$0.clientSide.requestReplies.isEmpty } == 3)
    }

    @Test func `all of it waits while the server makes up its mind`() throws {
        let pair = Self.pair()
        pair.answersUser = { _ in nil }
        pair.drive()
        #expect(pair.serverSide.opened.isEmpty)
        guard case .userAuthAttempted(let token, _)? = pair.serverSide.events.last else {
            Issue.record("nobody was asked")
            return
        }
        try pair.server.resolve(userAuth: token, .accept)
        pair.drive()
        #expect(pair.serverSide.requests.map(\.type) == ["exec"])
        #expect(pair.clientSide.requestReplies == [true])
    }

    @Test func `more than the promised window waits for the true one`() {
        let pair = Self.pair()
        let bytes = [UInt8](repeating: 7, count: Int(FirstChannel.windowBytes) + 1)
        pair.loginSent = { engine in
            guard let id = engine.openSessionAhead() else { return }
            engine.send(bytes.span, on: id)
        }
        pair.answersUser = { _ in nil }
        pair.drive()
        guard case .userAuthAttempted(let token, _)? = pair.serverSide.events.last else { return }
        try? pair.server.resolve(userAuth: token, .accept)
        pair.drive()
        #expect(pair.serverSide.received.values.map(\.count) == [bytes.count])
        #expect(pair.serverSide.error == nil && pair.clientSide.error == nil)
    }

    @Test func `a session that is closed at once closes in order`() {
        let pair = Self.pair()
        pair.loginSent = { engine in
            guard let id = engine.openSessionAhead() else { return }
            engine.send([1].span, on: id)
            engine.closeChannel(id)
        }
        pair.drive()
        #expect(pair.serverSide.received.values.map { $0 } == [[1]])
        #expect(pair.clientSide.closed.count == 1 && pair.serverSide.closed.count == 1)
        #expect(pair.channelCounts == (0, 0))
    }

    @Test func `only the first channel is opened on the server's word`() {
        let pair = Self.pair()
        pair.loginSent = { engine in
            #expect(engine.openSessionAhead() != nil)
            #expect(engine.openSessionAhead() == nil)
            #expect(engine.openChannel(type: "session", payload: []) != nil)
        }
        pair.drive()
        #expect(pair.channelCounts == (2, 2))
    }

    @Test func `nothing follows a login that is not the last`() {
        let other = PrivateKey.generate(randomness: SeededRandomness(seed: 31))
        let pair = Self.pair(client: Self.client([other, EnginePair.userKey]))
        pair.answersUser = { $0.identity.publicKey == EnginePair.userKey.publicKey ? .accept : .reject }
        #expect(pair.roundTrips { !$0.clientSide.requestReplies.isEmpty } == 3)
    }

    // MARK: What goes wrong

    @Test func `a login that fails is that and nothing else`() {
        let pair = Self.pair()
        pair.answersUser = { _ in .reject }
        pair.drive()
        #expect(pair.clientSide.error == SSHError(.credentialsExhausted(methodsThatCanContinue: ["publickey"])))
        #expect(pair.serverSide.opened.isEmpty && pair.serverSide.requests.isEmpty)
    }

    @Test func `nothing of the login or the session is said before the host key is accepted`() {
        let pair = Self.pair()
        pair.answersHostKey = { _ in .reject(reason: "unknown") }
        pair.drive()
        #expect(pair.clientSide.error == SSHError(.hostKeyRefused("unknown")))
        #expect(pair.serverSide.attempts.isEmpty && pair.serverSide.opened.isEmpty && pair.serverSide.requests.isEmpty)
    }

    @Test func `a session that is refused after all is refused`() {
        let pair = Self.pair()
        pair.opensChannel = { _ in false }
        pair.drive()
        #expect(pair.clientSide.refused == [.administrativelyProhibited])
    }

    @Test func `a server that keeps less than its word ends the connection`() {
        var server = EnginePair.serverConfiguration()
        server.limits.windowBytes = FirstChannel.windowBytes - 1
        let pair = Self.pair(server: server)
        pair.drive()
        #expect(pair.clientSide.error == SSHError(.channelNotAsPromised(0)))
    }

    @Test func `a server that is none of ours is told nothing ahead of its answers but the guess`() {
        var server = EnginePair.serverConfiguration()
        server.softwareVersion = "OpenSSH_9.2"
        let pair = Self.pair(server: server)
        pair.drive()
        #expect(pair.clientSide.isAuthenticated && pair.serverSide.opened.isEmpty)
    }

    @Test func `a client that is not asked to goes ahead of nothing`() {
        let pair = Self.pair(client: EnginePair.clientConfiguration())
        #expect(pair.roundTrips { $0.clientSide.isAuthenticated } == 3)
        #expect(pair.serverSide.opened.isEmpty)
    }
}
