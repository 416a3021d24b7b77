import Base
import Crypto
import SSHWire
import Testing

@testable import SSHEngine

@Suite("RFC 4253 §7.1 negotiation")
struct NegotiationTests {
    private func offer(
        methods: [String] = ["curve25519-sha256"], hostKeys: [String] = ["ssh-ed25519"], ciphers: [String] = ["aes128-gcm@openssh.com"],
        macs: [String] = ["hmac-sha2-256"], compression: [String] = ["none"], guesses: Bool = false
    ) -> KeyExchangeInitMessage {
        KeyExchangeInitMessage(
            cookie: [UInt8](repeating: 0, count: 16), keyExchange: methods, hostKeys: hostKeys, encryption: ciphers, mac: macs,
            compression: compression, firstKeyExchangePacketFollows: guesses)
    }

    @Test func `the client's first name that the server has wins`() throws {
        let chosen = try Negotiation.choose(
            client: offer(methods: ["ecdh-sha2-nistp521", "curve25519-sha256"], ciphers: ["aes256-ctr", "aes128-gcm@openssh.com"]),
            server: offer(methods: ["curve25519-sha256", "ecdh-sha2-nistp521"], ciphers: ["aes128-gcm@openssh.com", "aes256-ctr"]))
        #expect(chosen.method == .nistp521)
        #expect(chosen.clientToServer == .aesCTR(keyBytes: 32, mac: .sha256, encryptThenMAC: false))
    }

    @Test func `markers are no methods`() {
        let markers = ["ext-info-c", "kex-strict-c-v00@openssh.com", "kex-strict-s-v00@openssh.com"]
        #expect(throws: SSHError(.noCommonAlgorithm(.keyExchange))) {
            try Negotiation.choose(client: offer(methods: markers), server: offer(methods: markers))
        }
    }

    @Test func `a cipher that authenticates by itself needs no common MAC`() throws {
        let chosen = try Negotiation.choose(client: offer(macs: ["hmac-md5"]), server: offer(macs: ["hmac-sha2-512"]))
        #expect(chosen.serverToClient == .aesGCM(keyBytes: 16))
    }

    @Test func `each list without a common name is named`() {
        let cases: [(KeyExchangeInitMessage, NegotiationField)] = [
            (offer(methods: ["diffie-hellman-group1-sha1"]), .keyExchange), (offer(hostKeys: ["ssh-rsa"]), .hostKey),
            (offer(ciphers: ["3des-cbc"]), .cipherClientToServer), (offer(compression: ["zlib"]), .compression),
        ]
        for (client, field) in cases {
            #expect(throws: SSHError(.noCommonAlgorithm(field))) { try Negotiation.choose(client: client, server: offer()) }
        }
        #expect(throws: SSHError(.noCommonAlgorithm(.macClientToServer))) {
            try Negotiation.choose(
                client: offer(ciphers: ["aes128-ctr"], macs: ["hmac-sha1"]), server: offer(ciphers: ["aes128-ctr"], macs: ["hmac-sha2-256"])
            )
        }
    }

    @Test func `names that both sides have and nobody here speaks are refused`() {
        #expect(throws: SSHError(.noCommonAlgorithm(.cipherClientToServer))) {
            try Negotiation.choose(client: offer(ciphers: ["none"]), server: offer(ciphers: ["aes128-ctr"]))
        }
        #expect(PacketAlgorithm(cipher: "none", mac: "none") == nil)
        #expect(PacketAlgorithm(cipher: "aes128-ctr", mac: "hmac-sha1") == nil)
    }

    @Test func `a guess is right when both favour the same`() throws {
        let right = try Negotiation.choose(client: offer(guesses: true), server: offer())
        #expect(!right.clientGuessedWrong)
        let method = try Negotiation.choose(
            client: offer(methods: ["mlkem768x25519-sha256", "curve25519-sha256"], guesses: true), server: offer())
        #expect(method.clientGuessedWrong)
        let hostKey = try Negotiation.choose(
            client: offer(hostKeys: ["ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"], guesses: true), server: offer())
        #expect(hostKey.clientGuessedWrong)
    }

    @Test func `a server's favourite of what both have comes alone`() {
        #expect(Negotiation.favourite(of: ["a", "b", "c"], among: ["c", "b"]) == ["b"])
        #expect(Negotiation.favourite(of: ["a"], among: ["x"]) == ["a"])
    }
}

@Suite("RFC 4253 §7.2 keys")
struct KeyDerivationTests {
    @Test func `a long key goes on with the hash of all before`() {
        let derivation = KeyDerivation(secret: [0x80], exchangeHash: [1, 2], sessionIdentifier: [3], hash: .sha256)
        let long = derivation.key(.keyClientToServer, count: 64)
        // K as an mpint of two bytes, H, then the letter and the session, and after that K, H and the first block.
        let first = Digest.sha256([0, 0, 0, 2, 0, 0x80, 1, 2, 0x43, 3])
        #expect(Array(long.prefix(32)) == first)
        #expect(Array(long.suffix(32)) == Digest.sha256([0, 0, 0, 2, 0, 0x80, 1, 2] + first))
        #expect(derivation.key(.keyClientToServer, count: 16) == Array(first.prefix(16)))
    }

    @Test func `six purposes, six letters`() {
        let purposes: [KeyDerivation.Purpose] = [
            .nonceClientToServer, .nonceServerToClient, .keyClientToServer, .keyServerToClient, .macClientToServer, .macServerToClient,
        ]
        #expect(purposes.map(\.rawValue) == Array("ABCDEF".utf8))
    }
}

@Suite("When keys are exchanged anew")
struct RekeyPolicyTests {
    @Test func `by bytes, packets and time, to the last one`() {
        var limits = RekeyLimits()
        limits.bytesMax = 100
        limits.packetsMax = 10
        limits.intervalMax = .seconds(60)
        let start = Instant(nanoseconds: 0)
        var policy = RekeyPolicy(limits: limits, now: start)
        #expect(!policy.isDue(bytes: 99, packets: 9))
        #expect(policy.isDue(bytes: 100, packets: 0))
        #expect(policy.isDue(bytes: 0, packets: 10))
        #expect(policy.deadline == start + .seconds(60))
        policy.keysTaken(now: start + .seconds(5))
        #expect(policy.deadline == start + .seconds(65))
    }
}

@Suite("What the peer is told and what the log says")
struct SSHErrorTests {
    @Test func `the peer learns nothing of our reasons`() {
        let error = SSHError(.hostKeyRefused("not in known_hosts"))
        #expect(error.peerText == "host key not verifiable")
        #expect(error.disconnectReason == .hostKeyNotVerifiable)
        #expect(error.description == "keyExchange: hostKeyRefused(\"not in known_hosts\")")
    }

    @Test func `who never spoke SSH is told nothing`() {
        #expect(SSHError(.identificationMalformed).disconnectReason == nil)
        #expect(SSHError(.disconnectedByPeer(reason: .byApplication, message: "")).disconnectReason == nil)
    }
}
