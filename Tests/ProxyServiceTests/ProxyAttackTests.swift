import Base
import ClusterModel
import Crypto
import EventLoop
import ProxyService
import ReverseTunnel
import SSHEngine
import SSHNet
import SSHWire
import Testing

@Suite("What users try at the proxy", .timeLimit(.minutes(1)))
struct ProxyAttackTests {
    @Test func `a node that is registered is reached, by direct-tcpip and by the subsystem`() async throws {
        try await inWorld { _, world in
            let user = try await world.user()
            #expect(user.isReady)
            let direct = await user.direct("web", world.hubNode.port)
            await direct.wait { !direct.bytes.isEmpty }
            #expect(direct.text == Listener.greeting)
            #expect(await user.subsystem("proxy:web:0").text == Listener.greeting)
            #expect(world.hubNode.connections == 2)
        }
    }

    @Test func `a user asks for what is not registered: loopback, metadata, the auth server, another port of a node`() async throws {
        try await inWorld { _, world in
            try world.startAgents()
            await world.connected(["east"])
            let user = try await world.user()
            let trap = world.trap.port
            let targets: [(String, UInt16)] = [
                ("127.0.0.1", trap), ("127.0.0.1", 3025), ("127.0.0.1", world.tunnelAddress.port ?? 0), ("localhost", trap), ("::1", trap),
                ("0.0.0.0", trap), ("127.1", trap), ("2130706433", trap), ("169.254.169.254", 80), ("web", trap), ("web.hub", trap),
                ("127.0.0.1.east", trap), ("db1.east", trap), ("169.254.169.254.east", 80), ("::ffff:127.0.0.1", trap), ("west", 22),
            ]
            for (host, port) in targets {
                let direct = await user.direct(host, port)
                #expect(direct.reason == .administrativelyProhibited, "\(host):\(port) \(direct.refusal ?? "open")")
                let bracketed = host.contains(":") ? "[\(host)]" : host
                let subsystem = await user.subsystem("proxy:\(bracketed):\(port)")
                #expect(subsystem.isClosed && subsystem.bytes.isEmpty && subsystem.complaint.hasPrefix("ERROR: "), "\(host):\(port)")
                guard !host.contains("east") else { continue }
                let remote = await user.subsystem("proxy:\(bracketed):\(port)@east")
                #expect(remote.isClosed && remote.bytes.isEmpty && remote.complaint.hasPrefix("ERROR: "), "\(host):\(port)@east")
            }
            #expect(world.trap.connections == 0)
            #expect(world.hubNode.connections == 0)
            #expect(world.eastNode.connections == 0)
            #expect(world.tunnels.registry.connected == ["east"])
        }
    }

    @Test func `a user names the agent's own services as a host`() async throws {
        try await inWorld { _, world in
            try world.startAgents()
            await world.connected(["east"])
            let user = try await world.user()
            for host in ["@auth", "@nodes", "@auth.east", "db1@east", "db1\u{0}", "db1\n", "", String(repeating: "a", count: 300)] {
                #expect(await user.direct(host, 22).reason == .administrativelyProhibited, "\(host.debugDescription)")
            }
            for name in [
                "proxy:@auth:0@east", "proxy:@nodes:0@east", "proxy:db1:22@west@east", "proxy:db1:22@nowhere", "proxynodes:@nowhere",
            ] {
                let subsystem = await user.subsystem(name)
                #expect(subsystem.isClosed && subsystem.bytes.isEmpty && subsystem.complaint.hasPrefix("ERROR: "), "\(name)")
            }
            #expect(world.trap.connections == 0)
        }
    }

    @Test func `a node is registered at the address of a service that is no SSH`() async throws {
        try await inWorld { _, world in
            let mail = try Listener(on: world.loop, greeting: "220 mail ESMTP\r\n")
            world.proxy.update(ClusterSnapshot(World.hub(node: mail.address)))
            let user = try await world.user()
            let direct = await user.direct("web", 0)
            #expect(direct.refusal?.contains("does not speak SSH") == true)
            #expect(direct.bytes.isEmpty)
            mail.close()
        }
    }

    @Test func `a user asks for a site that is not connected, and is told`() async throws {
        try await inWorld { _, world in
            let user = try await world.user()
            let subsystem = await user.subsystem("proxy:db1:22@west")
            #expect(subsystem.complaint.contains("site west is not connected"))
            let direct = await user.direct("db1.west", 22)
            #expect(direct.reason == .connectFailed)
            #expect(direct.refusal?.contains("site west is not connected") == true)
        }
    }

    @Test func `a user wants a shell, a command, a terminal, sftp or forwards of the proxy itself`() async throws {
        try await inWorld { _, world in
            let user = try await world.user()
            let requests: [SessionRequest] = [
                .shell, .exec(command: Array("id".utf8)), .exec(command: Array("scp -f /etc/passwd".utf8)), .subsystem(name: "sftp"),
                .pseudoTerminal(PseudoTerminalRequest(terminal: "xterm", size: WindowSize(columns: 80, rows: 24))),
                .environment(name: "LD_PRELOAD", value: "/tmp/x.so"), .agentForwarding, .other(type: "x11-req", payload: []),
                .signal(name: "KILL"),
            ]
            for request in requests {
                let session = await user.open(.session)
                var answer: Bool?
                session.channel?.request(request.type, payload: request.payload()) { success in
                    answer = success
                    session.changed()
                }
                await session.wait { answer != nil }
                // A subsystem is accepted before it is known to be none, so that its refusal can say why.
                guard case .subsystem = request else {
                    #expect(answer == false, "\(request)")
                    continue
                }
                await session.wait { session.isClosed }
                #expect(session.bytes.isEmpty && session.complaint.contains("no others"))
            }
            let types: [ChannelOpenType] = [
                .agent, .directStreamLocal(path: "/var/run/docker.sock"), .transport(destination: #"{"host":"@auth"}"#),
                .forwardedTCPIP(.init(host: "127.0.0.1", port: 1, originatorAddress: "127.0.0.1", originatorPort: 1)),
                .other(type: "x11", payload: []), .other(type: "tun@openssh.com", payload: []),
            ]
            for type in types { #expect(await user.open(type).reason == .unknownChannelType, "\(type.type)") }
            #expect(await user.open("direct-tcpip", [0, 0]).reason == .administrativelyProhibited)
            for name in ["tcpip-forward", "streamlocal-forward@openssh.com", "proxies@teleport", "hostkeys-prove-00@openssh.com"] {
                let waiter = Observed()
                var reply: GlobalReply?
                user.connection?.sendGlobalRequest(name, payload: [0, 0, 0, 0, 0, 0, 0, 0]) { answer in
                    reply = answer
                    waiter.changed()
                }
                await waiter.wait { reply != nil }
                #expect(reply == .failure, "\(name)")
            }
            #expect(world.trap.connections == 0)
        }
    }

    struct Stranger: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let claim: Claim
        var name = "alice"
        let reason: String
    }

    static let strangers: [Stranger] = [
        Stranger(
            testDescription: "a leaf's user authority signs a user of the root",
            claim: Claim.user.with { $0.authority = Authorities.shared.eastUser }, reason: "is not trusted"),
        Stranger(
            testDescription: "a leaf's user authority signs its own user",
            claim: Claim.user.with {
                $0.authority = Authorities.shared.eastUser
                $0.extensions[CertificateExtension.authority] = "east"
            }, reason: "is not trusted"),
        Stranger(
            testDescription: "a leaf's host authority signs a user of the root",
            claim: Claim.user.with { $0.authority = Authorities.shared.eastHost }, reason: "is not trusted"),
        Stranger(
            testDescription: "the root's host authority signs a user", claim: Claim.user.with { $0.authority = Authorities.shared.hubHost },
            reason: "is not trusted"),
        Stranger(
            testDescription: "a certificate of nobody's authority", claim: Claim.user.with { $0.authority = Authorities.shared.stranger },
            reason: "is not trusted"),
        Stranger(
            testDescription: "a host certificate", claim: Claim.user.with { $0.kind = .host }, reason: "is not a user's"),
        Stranger(
            testDescription: "an agent's certificate", claim: .agent(), name: Claim.agent().keyID, reason: "is not a user's"),
        Stranger(
            testDescription: "a certificate that expired a second ago", claim: Claim.user.with { $0.ends = .seconds(-1) },
            reason: "has expired"),
        Stranger(
            testDescription: "a certificate of tomorrow", claim: Claim.user.with { $0.begins = .seconds(1800) }, reason: "not valid yet"),
        Stranger(testDescription: "another user's name", claim: .user, name: "bob", reason: "does not name"),
        Stranger(
            testDescription: "the credential of a site's agent",
            claim: Claim.user.with {
                $0.keyID = "east"
                $0.principals = []
                $0.critical = [CriticalOption.site: "east"]
                $0.extensions = [:]
            }, name: "east", reason: "is unknown"),
        Stranger(
            testDescription: "the credential of a site's agent, with a login put in",
            claim: Claim.user.with { $0.critical = [CriticalOption.site: "east"] }, reason: "is unknown"),
        Stranger(
            testDescription: "an unknown critical option", claim: Claim.user.with { $0.critical = ["verify-required": ""] },
            reason: "is unknown"),
        Stranger(
            testDescription: "another address than the certificate is for",
            claim: Claim.user.with { $0.critical = ["source-address": "192.0.2.0/24"] }, reason: "may not be used from this address"),
        Stranger(
            testDescription: "a certificate that names another cluster",
            claim: Claim.user.with { $0.extensions[CertificateExtension.authority] = "east" }, reason: "names cluster"),
        Stranger(
            testDescription: "a certificate without roles", claim: Claim.user.with { $0.extensions[CertificateExtension.roles] = "[]" },
            reason: "no roles"),
        Stranger(
            testDescription: "a key id that is no user name",
            claim: Claim.user.with { $0.keyID = "alice; id" }, name: "root", reason: "not allowed"),
    ]

    @Test(arguments: strangers)
    func `a stranger comes with`(stranger: Stranger) async throws {
        try await inWorld { _, world in
            let user = try await world.user(stranger.claim, as: stranger.name)
            #expect(!user.isReady && user.isClosed)
            let lines = world.log.withLock { $0.filter { $0.contains("a user was refused") } }
            #expect(lines.contains { $0.contains(stranger.reason) }, "\(lines)")
            #expect(lines.allSatisfy { line in line.unicodeScalars.dropLast().allSatisfy { $0.value >= 0x20 } })
        }
    }

    @Test func `a stranger comes with a bare key, or with a certificate and another's key`() async throws {
        try await inWorld { _, world in
            let good = try Claim.user.credential()
            let other = PrivateKey.generate(randomness: SystemRandomness())
            let bare = UserCredential(identity: .key(other.publicKey), signer: .key(other))
            let stolen = UserCredential(identity: good.identity, signer: .key(other))
            for credential in [bare, stolen] {
                let client = try await world.dial(world.proxyAddress, user: "alice", [credential])
                #expect(!client.isReady)
            }
        }
    }

    @Test(arguments: [1, 2])
    func `a user whose authority is replaced is cut off at once`(loops: Int) async throws {
        try await inWorld(loops: loops) { _, world in
            var users: [Client] = []
            for _ in 0..<4 * loops { users.append(try await world.user()) }
            var state = World.hub(node: world.hubNode.address)
            state.authorities[0].publicKeys = [Authorities.shared.stranger.publicKey.text()]
            world.update(state)
            for user in users { await user.wait { user.isClosed } }
            #expect(!(try await world.user()).isReady)
        }
    }

    @Test func `a user floods the proxy with channels`() async throws {
        try await inWorld { _, world in
            let user = try await world.user()
            // Opened on the wire although the client's own limit is lower: the proxy counts for itself.
            var channels: [Collector] = []
            for _ in 0..<1024 { channels.append(await user.open(.session)) }
            #expect(channels.allSatisfy { $0.isOpen })
            #expect(await user.open(.session).isOpen == false)
            let other = try await world.user()
            #expect(await other.subsystem("proxy:web:0").text == Listener.greeting)
        }
    }

    @Test func `a user leaves before the route is there, and nothing is left open`() async throws {
        try await inWorld { _, world in
            var asked: [ChannelOpenRequest] = []
            let waiter = Observed()
            let agent = try await world.agent { request in
                asked.append(request)
                waiter.changed()
            }
            #expect(agent.isReady)
            let user = try await world.user()
            let session = await user.open(.session)
            let request = SessionRequest.subsystem(name: "proxy:db1:22@east")
            session.channel?.request(request.type, payload: request.payload())
            await waiter.wait { !asked.isEmpty }
            session.channel?.close()
            await session.wait { session.isClosed }
            let answered = Collector()
            asked[0].accept(handler: answered)
            await answered.wait { answered.isClosed }
            #expect(agent.isReady && !agent.isClosed)
        }
    }

    @Test func `a stranger opens connection after connection`() async throws {
        try await inWorld { _, world in
            // Neither speaks nor leaves; the configuration has the limits.
            let idle = Box<[TCPStream]>([])
            let ended = Observed()
            let watcher = EndWatcher(ended)
            for _ in 0..<World.limits.unauthenticated {
                TCPStream.connect(to: [world.proxyAddress], timeout: .seconds(5), on: world.loop) { result in
                    guard case .success(let stream) = result else { return }
                    stream.handler = watcher
                    stream.resumeReading()
                    idle.value.append(stream)
                    ended.changed()
                }
            }
            await ended.wait { idle.value.count == World.limits.unauthenticated }
            // What is above one address's share is closed at once.
            let share = World.limits.unauthenticated / 2
            await ended.wait { watcher.count == World.limits.unauthenticated - share }
            #expect(world.proxy.connectionCount == share)
            for stream in idle.value { stream.close() }
        }
    }
}

/// Counts streams that the other side has ended.
final class EndWatcher: StreamHandler {
    private let observed: Observed
    private(set) var count = 0

    init(_ observed: Observed) {
        self.observed = observed
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {}
    func streamEnded(_ stream: Stream) { stream.close() }
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) {
        count += 1
        observed.changed()
    }
}
