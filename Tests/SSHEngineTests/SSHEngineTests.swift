import Base
import SSHWire
import Testing

@testable import SSHEngine

struct Suite3: Sendable, CustomTestStringConvertible {
    let keyExchange: String
    let cipher: String
    let mac: String
    var testDescription: String { "\(keyExchange) \(cipher) \(mac)" }

    static let all: [Suite3] = AlgorithmNames.keyExchange.flatMap { method in
        AlgorithmNames.ciphers.flatMap { cipher in
            (cipher.hasSuffix("ctr") ? AlgorithmNames.macs : [""]).map { Suite3(keyExchange: method, cipher: cipher, mac: $0) }
        }
    }
}

@Suite("Two engines in memory")
struct SSHEngineTests {
    private static func configure(_ configuration: EngineConfiguration, _ suite: Suite3) -> EngineConfiguration {
        var changed = configuration
        changed.algorithms.keyExchange = [suite.keyExchange]
        changed.algorithms.cipher = [suite.cipher]
        if !suite.mac.isEmpty { changed.algorithms.mac = [suite.mac] }
        return changed
    }

    @Test(arguments: Suite3.all)
    func `every method, cipher and MAC carries data both ways`(suite: Suite3) {
        let pair = EnginePair(
            client: Self.configure(EnginePair.clientConfiguration(), suite), server: Self.configure(EnginePair.serverConfiguration(), suite)
        )
        pair.drive()
        #expect(pair.clientSide.error == nil)
        #expect(pair.serverSide.error == nil)
        #expect(pair.clientSide.isAuthenticated && pair.serverSide.isAuthenticated)
        #expect(pair.clientSide.exchanges.first?.cipherFromClient == suite.cipher)
        #expect(pair.clientSide.exchanges.first?.isStrict == true)
        let channel = pair.openChannel()
        let data = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        pair.client.send(data.span, on: channel.client)
        pair.server.send(data.span, on: channel.server)
        pair.server.sendExtended([1, 2, 3].span, type: 1, on: channel.server)
        pair.drive()
        #expect(pair.serverSide.received[channel.server] == data)
        #expect(pair.clientSide.received[channel.client] == data)
        #expect(pair.clientSide.extended[channel.client] == [1, 2, 3])
    }

    @Test(arguments: [1, 2, 3, 7, 16, 100, 1000])
    func `delivery in chunks of any size changes nothing`(chunk: Int) {
        for cipher in ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"] {
            let suite = Suite3(keyExchange: "curve25519-sha256", cipher: cipher, mac: "hmac-sha2-256")
            let pair = EnginePair(
                client: Self.configure(EnginePair.clientConfiguration(), suite),
                server: Self.configure(EnginePair.serverConfiguration(), suite))
            pair.chunk = chunk
            pair.drive()
            let channel = pair.openChannel()
            let data = (0..<40_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
            pair.client.send(data.span, on: channel.client)
            pair.drive()
            #expect(pair.serverSide.error == nil)
            #expect(pair.serverSide.received[channel.server] == data)
        }
    }

    @Test func `both sides have the same session identifier, and keep it over a rekey`() {
        let pair = EnginePair()
        pair.drive()
        let first = pair.client.sessionIdentifier
        #expect(first.count == 32)
        #expect(pair.serverSession == first)
        pair.client.rekey()
        pair.drive()
        #expect(pair.serverSide.exchanges.count == 2)
        #expect(pair.clientSide.exchanges.last?.isRekey == true)
        #expect(pair.serverSession == first)
        #expect(pair.clientSide.offers.count == 1, "the same host key is asked about once")
    }

    @Test func `both sides may begin a rekey at once`() {
        let pair = EnginePair()
        pair.drive()
        pair.client.rekey()
        pair.server.rekey()
        pair.drive()
        #expect(pair.clientSide.error == nil && pair.serverSide.error == nil)
        #expect(pair.clientSide.exchanges.count == 2)
        #expect(pair.serverSide.exchanges.count == 2)
    }

    @Test func `rekeys by bytes under load from both sides neither lose nor stall`() {
        var client = EnginePair.clientConfiguration()
        client.rekey.bytesMax = 1 << 20
        var server = EnginePair.serverConfiguration()
        server.rekey.bytesMax = 700_000
        let pair = EnginePair(client: client, server: server)
        pair.drive()
        let channel = pair.openChannel()
        pair.clientSide.source = (channel.client, 12_000_000)
        pair.serverSide.source = (channel.server, 9_000_000)
        pair.drive()
        #expect(pair.clientSide.error == nil && pair.serverSide.error == nil)
        #expect(pair.serverSide.received[channel.server]?.count == 12_000_000)
        #expect(pair.clientSide.received[channel.client]?.count == 9_000_000)
        #expect(pair.clientSide.exchanges.count > 10)
    }

    @Test func `a rekey falls due by time`() throws {
        let pair = EnginePair()
        pair.drive()
        let deadline = try #require(pair.clientDeadline)
        #expect(deadline == pair.now + .seconds(3600))
        try pair.client.handleDeadline(now: pair.now + .seconds(3599))
        #expect(pair.clientOutputCount == 0)
        pair.now = deadline
        try pair.client.handleDeadline(now: deadline)
        pair.drive()
        #expect(pair.serverSide.exchanges.count == 2)
        #expect(pair.clientDeadline == deadline + .seconds(3600))
    }

    @Test func `a peer that does not finish a rekey is left`() throws {
        let pair = EnginePair()
        pair.drive()
        pair.client.rekey()
        let deadline = try #require(pair.clientDeadline)
        #expect(deadline == pair.now + .seconds(60))
        #expect(throws: SSHError(.keyExchangeTimeout)) { try pair.client.handleDeadline(now: deadline) }
    }

    @Test func `commands during a rekey wait and leave in order`() {
        let pair = EnginePair()
        pair.drive()
        let channel = pair.openChannel()
        pair.client.rekey()
        let before = pair.client.outputCount
        pair.client.send([1, 2, 3].span, on: channel.client)
        pair.client.sendRequest("window-change", wantsReply: true, on: channel.client)
        pair.client.sendGlobalRequest("yes@example.com", wantsReply: true)
        pair.client.sendEOF(on: channel.client)
        pair.client.closeChannel(channel.client)
        #expect(pair.clientOutputCount == before, "nothing of the upper layers may leave")
        pair.drive()
        #expect(pair.serverSide.error == nil)
        #expect(pair.serverSide.received[channel.server] == [1, 2, 3])
        #expect(pair.serverSide.requests.map(\.type) == ["window-change"])
        #expect(pair.clientSide.globalReplies == [true])
        #expect(pair.serverSide.closed == [channel.server])
        #expect(pair.clientSide.closed == [channel.client])
    }

    @Test func `a server prefers its own cipher`() {
        var client = EnginePair.clientConfiguration()
        client.algorithms.cipher = ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-gcm@openssh.com"]
        let pair = EnginePair(client: client)
        pair.drive()
        #expect(pair.clientSide.exchanges.first?.cipherFromServer == "aes128-gcm@openssh.com")
        pair.server.rekey()
        pair.drive()
        pair.client.rekey()
        pair.drive()
        #expect(pair.clientSide.exchanges.map(\.cipherFromServer) == Array(repeating: "aes128-gcm@openssh.com", count: 3))
    }

    @Test func `a server without a preference takes the client's`() {
        var client = EnginePair.clientConfiguration()
        client.algorithms.cipher = ["chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com"]
        var options = ServerOptions(hostKeys: [HostKey(key: EnginePair.hostKey, certificate: nil)])
        options.prefersOwnOrder = false
        let pair = EnginePair(client: client, server: EngineConfiguration(role: .server(options)))
        pair.drive()
        #expect(pair.clientSide.exchanges.first?.cipherFromServer == "chacha20-poly1305@openssh.com")
        #expect(pair.clientSide.exchanges.first?.hostKey == "ssh-ed25519")
    }

    @Test func `no common cipher ends both sides with its name`() {
        var client = EnginePair.clientConfiguration()
        client.algorithms.cipher = ["aes256-ctr"]
        var server = EnginePair.serverConfiguration()
        server.algorithms.cipher = ["aes128-gcm@openssh.com"]
        let pair = EnginePair(client: client, server: server)
        pair.drive()
        #expect(pair.serverSide.error == SSHError(.noCommonAlgorithm(.cipherClientToServer)))
    }

    @Test func `a connection with nothing to write owns no buffer`() {
        let pair = EnginePair()
        pair.drive()
        let channel = pair.openChannel()
        pair.client.send([UInt8](repeating: 1, count: 500_000).span, on: channel.client)
        #expect(pair.clientStorageBytes >= 500_000)
        pair.drive()
        #expect(pair.clientStorageBytes == 0)
        pair.client.sendGlobalRequest("keepalive@openssh.com", wantsReply: true)
        #expect(pair.clientStorageBytes == BufferPool.smallBytes)
    }

    @Test func `a good-bye reaches the peer and ends both`() {
        let pair = EnginePair()
        pair.drive()
        pair.client.disconnect(reason: .byApplication, message: "bye\u{1b}[2J")
        pair.drive()
        guard case .disconnected(.byApplication, "bye[2J")? = pair.serverSide.events.last else {
            Issue.record("no disconnect")
            return
        }
        #expect(pair.wantsInput == (false, false))
        #expect(pair.serverDeadline == nil)
    }
}
