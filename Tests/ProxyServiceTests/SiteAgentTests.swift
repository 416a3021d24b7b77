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

extension Claim {
    /// What `tctl auth sign --site=NAME` makes.
    static func site(_ name: String = "branch") -> Claim {
        Claim.user.with {
            $0.keyID = name
            $0.principals = []
            $0.critical = [CriticalOption.site: name]
            $0.extensions = [:]
        }
    }
}

extension World {
    /// The hub lists the site `branch`, of which `db1` is the east's node, and tells proxy and tunnel server.
    func list(_ sites: [OpenSSHSite]) {
        let snapshot = ClusterSnapshot(Self.hub(node: hubNode.address, sites: sites))
        tunnels.update(snapshot)
        proxy.update(snapshot)
    }

    var branch: OpenSSHSite {
        OpenSSHSite(
            name: "branch",
            nodes: [
                OpenSSHSite.Host(name: "db1", addr: "\(eastNode.address)", labels: ["env": "prod"]),
                OpenSSHSite.Host(name: "gone", addr: "127.0.0.1:1"),
            ])
    }

    /// An agent that has asked for `-R 0`.
    func openSSHAgent(
        _ claim: Claim = .site(), opens: @escaping (ChannelOpenRequest) -> Void = { _ in }, isolation: isolated (any Actor)? = #isolation
    ) async throws -> Client {
        let client = try await agent(claim, opens: opens)
        #expect(await client.ask(.tcpipForward(address: "localhost", port: 0)) == .success(payload: [0, 0, 0, 1]))
        return client
    }
}

extension Client {
    func ask(_ request: GlobalRequestType, isolation: isolated (any Actor)? = #isolation) async -> GlobalReply {
        let waiter = Observed()
        var reply: GlobalReply?
        connection?.sendGlobalRequest(request.name, payload: request.payload()) { answer in
            reply = answer
            waiter.changed()
        }
        await waiter.wait { reply != nil }
        return reply ?? .closed
    }
}

/// The client's end of a channel that the proxy opened: takes what is asked, and says what it is told to say.
final class SocksEnd: ChannelHandler {
    var bytes: [UInt8] = []
    private let answer: [UInt8]
    private let ends: Bool

    /// Answer to greeting and request, as OpenSSH gives it.
    static let connected: [UInt8] = [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]

    init(_ answer: [UInt8], ends: Bool = false) {
        self.answer = answer
        self.ends = ends
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        if bytes.isEmpty {
            channel.write(answer)
            if ends { channel.close() }
        }
        bytes.append(copying: data)
        channel.consumed(data.count)
    }
    func channelClosed(_ channel: SSHChannel) {}
}

@Suite("A site whose agent is a plain OpenSSH client", .timeLimit(.minutes(1)))
struct SiteAgentTests {
    @Test func `a listed node is reached by its name, its address and its port, and the socks request names the listed address`()
        async throws
    {
        try await inWorld { _, world in
            world.list([world.branch])
            let ends = Box<[SocksEnd]>([])
            let opened = Box<[ChannelOpenType]>([])
            let agent = try await world.openSSHAgent { request in
                if let type = try? ChannelOpenType(type: request.type, payload: request.payload) { opened.value.append(type) }
                let end = SocksEnd(SocksEnd.connected + Array(Listener.greeting.utf8))
                ends.value.append(end)
                request.accept(handler: end)
            }
            let user = try await world.user()
            let port = world.eastNode.port
            for (host, port) in [
                ("db1.branch", 0), ("DB1.branch", port), ("db1.branch", 22), ("127.0.0.1.branch", port),
            ] {
                let direct = await user.direct(host, port)
                await direct.wait { !direct.bytes.isEmpty || direct.isClosed }
                #expect(direct.text == Listener.greeting, "\(host):\(port) \(direct.refusal ?? "")")
                direct.channel?.write(Array("SSH-2.0-user\r\n".utf8))
            }
            for name in ["proxy:db1:0@branch", "proxy:db1:\(port)@branch", "proxy:db1.branch:22"] {
                #expect(await user.subsystem(name).text == Listener.greeting, "\(name)")
            }
            let request: [UInt8] = [5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, UInt8(port >> 8), UInt8(port & 0xff)]
            #expect(ends.value.count == 7 && ends.value.allSatisfy { $0.bytes.starts(with: request) })
            for type in opened.value {
                guard case .forwardedTCPIP(let endpoints) = type else {
                    Issue.record("\(type)")
                    continue
                }
                #expect((endpoints.host, endpoints.port) == ("localhost", 1))
            }
            #expect(!agent.isClosed && world.tunnels.registry.connected == ["branch"])
        }
    }

    @Test func `what is not listed never reaches the agent`() async throws {
        try await inWorld { _, world in
            world.list([world.branch])
            let opened = Box(0)
            let agent = try await world.openSSHAgent { request in
                opened.value += 1
                request.refuse(.connectFailed, "")
            }
            let user = try await world.user()
            let trap = world.trap.port
            for (host, port) in [
                ("db2.branch", 22), ("db1.branch", trap), ("127.0.0.1.branch", trap), ("169.254.169.254.branch", 80),
                ("localhost.branch", trap),
                ("127.1.branch", world.eastNode.port), ("0.0.0.0.branch", 22), ("db1.branch.branch", trap),
                ("web.branch", world.hubNode.port),
                ("db1", world.eastNode.port),
            ] {
                let direct = await user.direct(host, port)
                #expect(direct.reason == .administrativelyProhibited, "\(host):\(port) \(direct.refusal ?? "open")")
            }
            for name in [
                "proxy:127.0.0.1:\(trap)@branch", "proxy:db2:0@branch", "proxy:[::1]:\(trap)@branch", "proxy:@branch",
                "proxy:db1:0@branch@hub",
                "proxy:@auth:0@branch", "proxy:@nodes:0@branch",
            ] {
                let subsystem = await user.subsystem(name)
                #expect(subsystem.isClosed && subsystem.bytes.isEmpty && subsystem.complaint.hasPrefix("ERROR: "), "\(name)")
            }
            #expect(opened.value == 0 && !agent.isClosed)
            #expect(world.trap.connections == 0 && world.eastNode.connections == 0)
        }
    }

    @Test func `roles of the hub decide by the listed labels who reaches a node, and who sees it`() async throws {
        try await inWorld { _, world in
            var state = World.hub(node: world.hubNode.address, sites: [world.branch])
            state.roles.append(
                Role(name: "dev", allow: RoleConditions(logins: ["root"], nodeLabels: LabelSelector(["env": ["dev"]]))))
            world.tunnels.update(ClusterSnapshot(state))
            world.proxy.update(ClusterSnapshot(state))
            _ = try await world.openSSHAgent { $0.accept(handler: SocksEnd(SocksEnd.connected + Array(Listener.greeting.utf8))) }
            let developer = try await world.user(Claim.user.with { $0.extensions[CertificateExtension.roles] = #"["dev"]"# })
            let refused = await developer.direct("db1.branch", 0)
            #expect(refused.reason == .administrativelyProhibited && refused.refusal?.contains("no role of alice") == true)
            let visible = try NodeList(json: await developer.subsystem("proxynodes:@branch").bytes).nodes
            #expect(visible.isEmpty)
            let user = try await world.user()
            let nodes = try NodeList(json: await user.subsystem("proxynodes:@branch").bytes).nodes
            #expect(nodes.map(\.hostname) == ["db1", "gone"] && nodes.map(\.cluster) == ["branch", "branch"])
            #expect(await user.subsystem("proxy:db1:0@branch").text == Listener.greeting)
        }
    }

    @Test func `it is listed with its state, connected or not`() async throws {
        try await inWorld { _, world in
            world.list([world.branch])
            let user = try await world.user()
            func status(isolation: isolated (any Actor)? = #isolation) async throws -> [String] {
                try SiteList(json: await user.subsystem("proxysites").bytes).sites.map { "\($0.name) \($0.status)" }
            }
            let state1 = try await status()
            #expect(state1 == ["hub online", "branch offline", "east offline", "west offline"])
            let agent = try await world.openSSHAgent()
            let state2 = try await status()
            #expect(state2 == ["hub online", "branch online", "east offline", "west offline"])
            agent.connection?.close()
            await world.connected([])
            let state3 = try await status()
            #expect(state3 == ["hub online", "branch offline", "east offline", "west offline"])
            let offline = await user.direct("db1.branch", 0)
            #expect(offline.reason == .connectFailed && offline.refusal?.contains("site branch is not connected") == true)
            let nodes = try NodeList(json: await user.subsystem("proxynodes:@branch").bytes).nodes
            #expect(nodes.count == 2)
        }
    }

    @Test func `several agents of a site stay, and the newest carries what comes`() async throws {
        try await inWorld { _, world in
            world.list([world.branch])
            let first = try await world.openSSHAgent { $0.refuse(.connectFailed, "the old one") }
            let second = try await world.openSSHAgent { $0.refuse(.connectFailed, "the new one") }
            #expect(world.tunnels.registry.tunnelCount == 2 && !first.isClosed)
            let user = try await world.user()
            #expect(await user.direct("db1.branch", 0).refusal == "the new one")
            second.connection?.close()
            await world.logged("an agent left")
            #expect(await user.direct("db1.branch", 0).refusal == "the old one")
        }
    }

    @Test func `a site is removed, and its tunnel and what runs in it ends at once`() async throws {
        try await inWorld { _, world in
            world.list([world.branch])
            let agent = try await world.openSSHAgent { $0.accept(handler: SocksEnd(SocksEnd.connected + Array(Listener.greeting.utf8))) }
            let user = try await world.user()
            let direct = await user.direct("db1.branch", 0)
            #expect(direct.isOpen)
            world.list([])
            await agent.wait { agent.isClosed }
            await direct.wait { direct.isClosed }
            #expect(!user.isClosed && world.tunnels.registry.connected.isEmpty)
            let again = try await world.agent(.site())
            #expect(!again.isReady)
            #expect(await user.direct("db1.branch", 0).reason == .administrativelyProhibited)
        }
    }

    @Test func `a site is removed between its agent's login and its request`() async throws {
        try await inWorld { _, world in
            world.list([world.branch])
            let agent = try await world.agent(.site())
            #expect(agent.isReady)
            world.list([])
            _ = await agent.ask(.tcpipForward(address: "localhost", port: 0))
            await agent.wait { agent.isClosed }
            #expect(world.tunnels.registry.connected.isEmpty)
        }
    }

    // MARK: Attacks

    struct Stranger: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let claim: Claim
        var name = "branch"
        let reason: String
    }

    static let strangers: [Stranger] = [
        Stranger(testDescription: "the credential of another site", claim: .site("other"), reason: "does not name"),
        Stranger(testDescription: "a site that is not listed", claim: .site("other"), name: "other", reason: "no openssh_site other"),
        Stranger(testDescription: "a user's certificate", claim: .user, reason: "is not a host's"),
        Stranger(
            testDescription: "a user's certificate with the site as a login", claim: Claim.user.with { $0.principals = ["branch"] },
            reason: "is not a host's"),
        Stranger(
            testDescription: "a credential with logins", claim: Claim.site().with { $0.principals = ["root"] }, reason: "does not name"),
        Stranger(
            testDescription: "a credential with another key id", claim: Claim.site().with { $0.keyID = "alice" },
            reason: "not the certificate's key id"),
        Stranger(
            testDescription: "a credential with a forced command", claim: Claim.site().with { $0.critical["force-command"] = "true" },
            reason: "is unknown"),
        Stranger(
            testDescription: "a credential that is bound to another address",
            claim: Claim.site().with { $0.critical[CriticalOption.sourceAddress] = "192.0.2.0/24" }, reason: "from this address"),
        Stranger(
            testDescription: "a host certificate with the option",
            claim: Claim.site().with {
                $0.kind = .host
                $0.authority = Authorities.shared.hubHost
                $0.principals = ["branch"]
            }, reason: "is unknown"),
        Stranger(
            testDescription: "a credential that the host authority signed",
            claim: Claim.site().with { $0.authority = Authorities.shared.hubHost }, reason: "is not trusted"),
        Stranger(
            testDescription: "a credential that a leaf's user authority signed",
            claim: Claim.site().with { $0.authority = Authorities.shared.eastUser }, reason: "is not trusted"),
        Stranger(
            testDescription: "a credential that expired a second ago", claim: Claim.site().with { $0.ends = .seconds(-1) },
            reason: "has expired"),
        Stranger(
            testDescription: "a credential that names another cluster",
            claim: Claim.site().with { $0.extensions = [CertificateExtension.authority: "east"] }, reason: "which is not its authority's"),
    ]

    @Test(arguments: strangers)
    func `a stranger comes to the site's tunnel with`(stranger: Stranger) async throws {
        try await inWorld { _, world in
            world.list([world.branch])
            let agent = try await world.agent(stranger.claim, as: stranger.name)
            #expect(!agent.isReady && agent.isClosed)
            let lines = world.log.withLock { $0.filter { $0.contains("an agent was refused") } }
            #expect(lines.contains { $0.contains(stranger.reason) }, "\(lines)")
        }
    }

    @Test func `the credential of a site is nobody's at the proxy`() async throws {
        try await inWorld { _, world in
            world.list([world.branch])
            for name in ["branch", "root", "alice"] {
                let user = try await world.user(.site(), as: name)
                #expect(!user.isReady, "\(name)")
            }
            let root = try await world.user(Claim.site().with { $0.principals = ["root"] }, as: "root")
            #expect(!root.isReady)
        }
    }

    @Test func `the credential of a hub's site opens no tunnel to a leaf that lists a site of the same name`() async throws {
        try await inWorld { _, world in
            var east = world.east()
            east.opensshSites = [world.branch]
            world.tunnels.update(ClusterSnapshot(east))
            let hubs = try await world.agent(.site())
            let easts = try await world.agent(Claim.site().with { $0.authority = Authorities.shared.eastUser })
            #expect(!hubs.isReady && easts.isReady)
        }
    }

    @Test func `an agent opens channels and makes other requests towards the proxy`() async throws {
        try await inWorld { _, world in
            world.list([world.branch])
            let early = try await world.agent(.site())
            #expect(await early.ask(.tcpipForward(address: "0.0.0.0", port: 8080)) == .failure)
            #expect(await early.ask(.cancelTCPIPForward(address: "localhost", port: 1)) == .failure)
            #expect(world.tunnels.registry.connected.isEmpty)
            let agent = try await world.openSSHAgent()
            let endpoints = ChannelOpenType.TCPIPEndpoints(
                host: "127.0.0.1", port: world.trap.port, originatorAddress: "127.0.0.1", originatorPort: 1)
            let types: [ChannelOpenType] = [
                .session, .directTCPIP(endpoints), .forwardedTCPIP(endpoints), .agent, .directStreamLocal(path: "/run/x"),
                .transport(destination: #"{"host":"@auth","port":0,"user":"","roles":[],"client":""}"#), .other(type: "x11", payload: []),
            ]
            for type in types { #expect(await agent.open(type).reason == .administrativelyProhibited, "\(type.type)") }
            let requests: [GlobalRequestType] = [
                .tcpipForward(address: "localhost", port: 0), .tcpipForward(address: "", port: 2222),
                .cancelTCPIPForward(address: "localhost", port: 1), .other(name: "streamlocal-forward@openssh.com", payload: []),
                .other(name: "proxies@teleport", payload: []), .other(name: "hostkeys-prove-00@openssh.com", payload: []),
            ]
            for request in requests { #expect(await agent.ask(request) == .failure, "\(request)") }
            #expect(world.trap.connections == 0 && world.tunnels.registry.connected == ["branch"])
        }
    }

    struct Answer: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        var ends = false
        let reason: String
    }

    static let answers: [Answer] = [
        Answer(
            testDescription: "an SSH server instead of SOCKS", bytes: Array("SSH-2.0-x\r\n".utf8),
            reason: "does not answer as a SOCKS 5 server"),
        Answer(testDescription: "SOCKS 4", bytes: [0, 0x5a, 0, 0, 0, 0, 0, 0], reason: "does not answer as a SOCKS 5 server"),
        Answer(testDescription: "a demand for a password", bytes: [5, 2], reason: "does not answer as a SOCKS 5 server"),
        Answer(testDescription: "no method", bytes: [5, 0xff], reason: "wants authentication"),
        Answer(testDescription: "a refusal by rule", bytes: [5, 0, 5, 2, 0, 1], reason: "says: connection not allowed by ruleset"),
        Answer(testDescription: "a refused connection", bytes: [5, 0, 5, 5, 0, 1], reason: "says: connection refused"),
        Answer(
            testDescription: "no connection, as OpenSSH has it", bytes: SocksEnd.connected, ends: true,
            reason: "cannot be reached from there"),
        Answer(testDescription: "an end at once", bytes: [], ends: true, reason: "cannot be reached from there"),
        Answer(testDescription: "half an answer and an end", bytes: [5, 0, 5], ends: true, reason: "cannot be reached from there"),
        Answer(testDescription: "another service", bytes: SocksEnd.connected + Array("220 mail\r\n".utf8), reason: "does not speak SSH"),
        Answer(
            testDescription: "a flood", bytes: [5, 0, 5, 0, 0, 3, 255] + [UInt8](repeating: 1, count: 100_000), reason: "does not speak SSH"
        ),
    ]

    @Test(arguments: answers)
    func `the user reads why an agent leads nowhere, which answers with`(answer: Answer) async throws {
        try await inWorld { _, world in
            world.list([world.branch])
            let agent = try await world.openSSHAgent { $0.accept(handler: SocksEnd(answer.bytes, ends: answer.ends)) }
            let user = try await world.user()
            let direct = await user.direct("db1.branch", 0)
            #expect(direct.reason == .connectFailed && direct.refusal?.contains(answer.reason) == true, "\(direct.refusal ?? "open")")
            let subsystem = await user.subsystem("proxy:db1:0@branch")
            #expect(subsystem.bytes.isEmpty && subsystem.complaint.contains(answer.reason), "\(subsystem.complaint)")
            #expect(!agent.isClosed)
        }
    }

    @Test(arguments: [nil, [], [5, 0], SocksEnd.connected])
    func `an agent that never answers is given up, and holds nobody else`(answer: [UInt8]?) async throws {
        try await inWorld { _, world in
            world.list([world.branch])
            let agent = try await world.openSSHAgent { request in
                if let answer { request.accept(handler: SocksEnd(answer)) }
            }
            guard case .here(let tunnel) = try world.tunnels.registry.tunnel(to: "branch") else {
                Issue.record("there is one loop")
                return
            }
            for number in 0..<2 * TunnelConnection.openingPerUserMax {
                let collector = Collector()
                let destination = TransportDestination(host: "db1", port: 0, user: "alice", roles: ["access"], client: "192.0.2.1:5")
                do throws(TeleportError) {
                    try tunnel.transport(to: destination, timeout: .milliseconds(30), handler: collector)
                    await collector.wait { collector.refusal != nil }
                    #expect(collector.refusal == "site branch did not answer in time")
                } catch {
                    // An open message that is not answered cannot be taken back.
                    #expect(answer == nil && number >= TunnelConnection.openingPerUserMax && error.kind == .limitExceeded)
                    break
                }
                if number > 4, answer != nil { break }
            }
            #expect(!agent.isClosed)
            let user = try await world.user(Claim.user.with { $0.keyID = "bob" }, as: "bob")
            #expect(await user.subsystem("proxy:web:0").text == Listener.greeting)
        }
    }
}
