import Base
import Crypto
import EventLoop
import Libssh2Client
import SSHWire
import Testing

@Suite("libssh2", .serialized, .timeLimit(.minutes(5)))
struct Libssh2Tests {
    /// The key types whose certificates libssh2 1.10 can log in with.
    static let keys: [UserKey] = [.ecdsaP256, .ecdsaP384, .ecdsaP521]

    /// Does `body` on a connection to db1 as somebody who is logged in.
    private func onNode(
        _ path: Path, key: UserKey = .ecdsaP256, offering names: [Libssh2Method: [String]] = [:],
        _ body: @escaping @Sendable (Libssh2Connection) async throws -> Void
    ) async throws {
        let site = try await InteropSite.shared()
        try await onLoop { eventLoop in
            switch path {
            case .direct:
                let node = try await site.libssh2(over: TCPCarrier(to: site.node, on: eventLoop.inside), names, site.nodeKey)
                try await node.logIn(as: site.login, key, of: site)
                try await body(node)
                await node.close()
            case .tunnel:
                let proxy = try await site.libssh2(over: TCPCarrier(to: site.proxy, on: eventLoop.inside), [:], site.proxyKey)
                try await proxy.logIn(as: site.user, key, of: site)
                let channel = try await proxy.complete { () throws(TeleportError) in
                    try proxy.session.openDirectTCPIP(host: "db1.east", port: 3022)
                }
                let node = try await site.libssh2(over: ChannelCarrier(channel, of: proxy), names, site.nodeKey)
                try await node.logIn(as: site.login, key, of: site)
                try await body(node)
                await node.close()
                await proxy.close()
            }
        }
    }

    @Test(arguments: Path.allCases, keys)
    func `an ECDSA certificate logs in, and a command has its input, outputs and status`(path: Path, key: UserKey) async throws {
        try await onNode(path, key: key) { node in
            let ran = try await node.run("cat; echo oops >&2; exit 3", input: Array("in".utf8))
            #expect(String(decoding: ran.output, as: UTF8.self) == "in")
            #expect(String(decoding: ran.errors, as: UTF8.self) == "oops\n")
            #expect(ran.status == 3)
        }
    }

    @Test(arguments: Path.allCases)
    func `a shell has the terminal that was asked for`(path: Path) async throws {
        try await onNode(path) { node in
            let channel = try await node.complete { () throws(TeleportError) in try node.session.openSession() }
            try await node.complete { () throws(TeleportError) in try channel.requestTerminal("vt100", columns: 101, rows: 33) }
            try await node.complete { () throws(TeleportError) in try channel.startShell() }
            let ran = try await node.run(channel, input: Array("stty size; echo $TERM; exit 4\n".utf8))
            let shown = String(decoding: ran.output, as: UTF8.self)
            #expect(shown.contains("33 101\r\nvt100\r\n") && ran.status == 4, "\(shown)")
        }
    }

    /// What libssh2 1.10 and we have in common.
    static let methods: [(Libssh2Method, String)] = [
        (.keyExchange, "curve25519-sha256"), (.keyExchange, "curve25519-sha256@libssh.org"), (.keyExchange, "ecdh-sha2-nistp256"),
        (.keyExchange, "ecdh-sha2-nistp384"), (.keyExchange, "ecdh-sha2-nistp521"), (.cipher, "aes128-ctr"), (.cipher, "aes192-ctr"),
        (.cipher, "aes256-ctr"), (.mac, "hmac-sha2-256"), (.mac, "hmac-sha2-512"),
    ]

    @Test(arguments: Path.allCases, methods)
    func `each method that both have is agreed on, and carries data both ways`(path: Path, method: (Libssh2Method, String)) async throws {
        let noise = SystemRandomness().bytes(100_000)
        try await onNode(path, offering: [method.0: [method.1]]) { node in
            #expect(Set(node.session.agreed(method.0)) == [method.1])
            let ran = try await node.run("cat", input: noise)
            #expect(ran.output == noise && ran.status == 0)
        }
    }

    @Test(arguments: Path.allCases)
    func `4 MiB through cat come back unchanged, window by window`(path: Path) async throws {
        let noise = SystemRandomness().bytes(4 << 20)
        try await onNode(path) { node in
            let ran = try await node.run("cat", input: noise)
            #expect(ran.output == noise && ran.status == 0)
        }
    }

    @Test(arguments: ["a bare key", "an Ed25519 certificate", "an RSA certificate", "a password"])
    func `nothing else logs in`(what: String) async throws {
        let site = try await InteropSite.shared()
        try await onLoop { eventLoop in
            for (address, hostKey, user) in [(site.node, site.nodeKey, site.login), (site.proxy, site.proxyKey, site.user)] {
                let carrier = try TCPCarrier(to: address, on: eventLoop.inside)
                let connection = try await site.libssh2(over: carrier, [:], hostKey)
                let error = await #expect(throws: TeleportError.self) {
                    switch what {
                    case "a bare key": try await connection.logIn(as: user, .ecdsaP256, of: site, certified: false)
                    case "an Ed25519 certificate": try await connection.logIn(as: user, .ed25519, of: site)
                    case "an RSA certificate": try await connection.logIn(as: user, .rsa, of: site)
                    default:
                        try await connection.complete { () throws(TeleportError) in
                            try connection.session.authenticate(user: user, password: "secret")
                        }
                    }
                }
                #expect(error?.kind == .accessDenied || error?.kind == .badParameter, "\(String(describing: error))")
                await connection.close()
            }
        }
    }
}

extension InteropSite {
    /// A connection whose server has proven that it has `hostKey`.
    fileprivate func libssh2(
        over carrier: any ByteCarrier, _ names: [Libssh2Method: [String]], _ hostKey: PublicKey
    ) async throws -> Libssh2Connection {
        let connection = try Libssh2Connection(over: carrier)
        for (method, names) in names { try connection.session.offer(names, as: method) }
        let shown = try await connection.complete { () throws(TeleportError) in try connection.session.handshake() }
        #expect(shown == hostKey.blob)
        return connection
    }
}

extension Libssh2Connection {
    fileprivate func logIn(as user: String, _ key: UserKey, of site: InteropSite, certified: Bool = true) async throws {
        let publicKey = String(decoding: try FileIO.read(certified ? site.certificate(key) : site.key(key) + ".pub"), as: UTF8.self)
        let privateKey = String(decoding: try FileIO.read(site.key(key)), as: UTF8.self)
        try await complete { () throws(TeleportError) in
            try session.authenticate(user: user, publicKey: publicKey, privateKey: privateKey)
        }
    }

    fileprivate func run(_ command: String, input: [UInt8]) async throws -> Ran {
        let channel = try await complete { () throws(TeleportError) in try session.openSession() }
        try await complete { () throws(TeleportError) in try channel.start(command: command) }
        return try await run(channel, input: input)
    }
}

/// Runs `body` on a fresh loop of its own thread, and stops the loop afterwards.
private func onLoop(_ body: @escaping @Sendable (isolated EventLoop) async throws -> Void) async throws {
    let eventLoop = EventLoop(name: "libssh2")
    eventLoop.start()
    defer { eventLoop.stop() }
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
        eventLoop.spawn { eventLoop in
            do {
                try await body(eventLoop)
                continuation.resume()
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}
