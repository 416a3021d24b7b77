import Base
import ClientKit
import ClusterModel
import Crypto
import EventLoop
import SSHEngine
import SSHNet
import SSHWire
import Testing

@Suite("A client that goes ahead of answers")
struct PaceTests {
    private let home: TemporaryDirectory

    init() throws {
        home = try TemporaryDirectory()
    }

    @Test func `a proxy that does not give what ours give is asked again, each answer waited for`() async throws {
        let home = home.path
        try await onLoop { eventLoop in
            let proxy = try TestProxy(home, windowBytes: 1000, on: eventLoop.inside)
            let dialer = try await Self.dial(proxy, on: eventLoop.inside)
            #expect(try await Self.sites(dialer).map(\.name) == ["hub"])
            #expect(proxy.logins == 2)
        }
    }

    @Test func `a proxy as ours is asked once`() async throws {
        let home = home.path
        try await onLoop { eventLoop in
            let proxy = try TestProxy(home, on: eventLoop.inside)
            let dialer = try await Self.dial(proxy, on: eventLoop.inside)
            #expect(try await Self.sites(dialer).map(\.name) == ["hub"])
            #expect(proxy.logins == 1)
        }
    }

    @Test func `what was asked behind a login that fails is told of the login`() async throws {
        let home = home.path
        try await onLoop { eventLoop in
            let proxy = try TestProxy(home, letsIn: false, on: eventLoop.inside)
            let dialer = try await Self.dial(proxy, on: eventLoop.inside)
            let error = await #expect(throws: TeleportError.self) { _ = try await Self.sites(dialer) }
            #expect(error?.message == "the proxy 127.0.0.1 did not accept the certificate of alice; run `tsh login` again")
            #expect(proxy.logins == 1)
        }
    }

    @Test func `a stranger that hangs up on the guess of a key share is tried without`() async throws {
        let home = home.path
        try await onLoop { eventLoop in
            let stranger = try Stranger(on: eventLoop.inside)
            let login = try TestProxy.login(home, port: stranger.port, cluster: TestCluster("hub", seed: 1))
            let error = await #expect(throws: TeleportError.self) { _ = try await Self.dial(login, on: eventLoop.inside) }
            #expect(error?.message.hasPrefix("the connection to the proxy 127.0.0.1 ended: ") == true)
            #expect(stranger.hasSeen == [true, false], "with a guess, and without")
        }
    }

    private static func dial(_ proxy: TestProxy, on loop: Loop, isolation: isolated (any Actor)? = #isolation) async throws -> ClusterDialer
    {
        try await dial(proxy.login, on: loop)
    }

    private static func dial(_ login: ClientLogin, on loop: Loop, isolation: isolated (any Actor)? = #isolation) async throws
        -> ClusterDialer
    {
        try await answer { ClusterDialer.connect(as: login, randomness: SystemRandomness(), pace: .ahead, on: loop, then: $0) }
    }

    private static func sites(_ dialer: ClusterDialer, isolation: isolated (any Actor)? = #isolation) async throws -> [SiteList.Site] {
        try await answer { dialer.sites(then: $0) }
    }

    private static func answer<T>(
        isolation: isolated (any Actor)? = #isolation, _ body: (@escaping (Result<T, TeleportError>) -> Void) -> Void
    ) async throws -> T {
        var result: Result<T, TeleportError>?
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            body {
                result = $0
                continuation.resume()
            }
        }
        return try #require(result).get()
    }

    private func onLoop(_ body: @escaping @Sendable (isolated EventLoop) async throws -> Void) async throws {
        let eventLoop = EventLoop(name: "test")
        eventLoop.start()
        defer { eventLoop.stop() }
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            eventLoop.spawn { eventLoop in
                do {
                    continuation.resume(returning: try await body(eventLoop))
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }
}

/// Lets everybody in, or nobody, and knows one subsystem.
private final class TestProxy {
    private var listener: SSHListener?
    private(set) var logins = 0
    let login: ClientLogin

    init(_ home: String, windowBytes: UInt32? = nil, letsIn: Bool = true, on loop: Loop) throws {
        let cluster = TestCluster("hub", seed: 1)
        let key = PrivateKey.generate(randomness: SystemRandomness())
        let certificate = try CertificateSigner(key: cluster.host, randomness: SystemRandomness()).sign(
            CertificateSigner.Request(
                kind: .host, publicKey: key.publicKey, keyID: "proxy.hub", validPrincipals: ["proxy"],
                validAfter: loop.wallTime + .seconds(-60), validBefore: loop.wallTime + .seconds(60),
                extensions: CertificateOptions(values: [
                    CertificateExtension.authority: "hub", CertificateExtension.role: SystemRole.proxy.rawValue,
                ])))
        var engine = EngineConfiguration(role: .server(ServerOptions(hostKeys: [HostKey(key: key, certificate: certificate)])))
        if let windowBytes { engine.limits.windowBytes = windowBytes }
        let configuration = ConnectionConfiguration(engine: engine, randomness: SystemRandomness())
        weak var proxy: TestProxy?
        let listener = try SSHListener(address: SocketAddress(.loopback4, port: 0), on: loop, configuration: { configuration }) { _ in
            User(letsIn: letsIn) { proxy?.logins += 1 }
        }
        self.listener = listener
        login = try Self.login(home, port: try #require(listener.address.port), cluster: cluster)
        proxy = self
    }

    static func login(_ home: String, port: UInt16, cluster: TestCluster) throws -> ClientLogin {
        let keys = UserKeys(randomness: SystemRandomness())
        let path = "\(home)/identity"
        let file = IdentityFile(
            privateKey: keys.sshPrivateKey, certificate: try cluster.userCertificate(keys.ssh).text(), authorities: [cluster.hostAuthority])
        try FileIO.write(Array(file.text.utf8), to: path)
        return try ClientLogin(.init(proxy: "127.0.0.1:3080,\(port)", identity: path), home: home)
    }

    private final class User: ConnectionHandler, ChannelHandler {
        private let letsIn: Bool
        private let came: () -> Void

        init(letsIn: Bool, _ came: @escaping () -> Void) {
            self.letsIn = letsIn
            self.came = came
        }

        func connection(_ connection: SSHConnection, authenticate attempt: UserAuthAttempt, answer: @escaping (UserAuthAnswer) -> Void) {
            came()
            answer(letsIn ? .accept : .reject)
        }

        func connectionReady(_ connection: SSHConnection) {}
        func connection(_ connection: SSHConnection, opens request: ChannelOpenRequest) { request.accept(handler: self) }
        func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {}

        func channel(_ channel: SSHChannel, request: ChannelRequest) {
            request.reply(true)
            channel.write(Array(#"[{"name":"hub","status":"online","root":true}]"#.utf8))
            channel.sendEOF()
            channel.close()
        }

        func channel(_ channel: SSHChannel, received data: Span<UInt8>) {}
        func channelClosed(_ channel: SSHChannel) {}
    }
}

/// A server of another make that reads a client's first words and hangs up.
private final class Stranger: StreamHandler {
    private var listener: TCPListener?
    private(set) var port: UInt16 = 0
    /// Of each connection, whether there was a key share in its first words.
    private(set) var hasSeen: [Bool] = []

    init(on loop: Loop) throws {
        weak var stranger: Stranger?
        let listener = try TCPListener(address: SocketAddress(.loopback4, port: 0), on: loop) { stream in
            stream.handler = stranger
            stream.write(Array("SSH-2.0-Stranger\r\n".utf8))
            stream.resumeReading()
        }
        self.listener = listener
        port = try #require(listener.address.port)
        stranger = self
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        // Behind the version line comes one packet, or two.
        let words = Array(copying: bytes.span)
        let start = (words.firstIndex(of: 10) ?? -1) + 1
        let length = words[start..<start + 4].reduce(0) { $0 << 8 | Int($1) }
        hasSeen.append(words.count > start + 4 + length)
        stream.closeAfterWrites()
    }

    func streamEnded(_ stream: Stream) {}
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) {}
}
