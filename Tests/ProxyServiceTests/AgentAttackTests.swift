import Base
import ClusterModel
import Crypto
import EventLoop
import ReverseTunnel
import SSHEngine
import SSHNet
import SSHWire
import Testing

@Suite("What proxies try at an agent", .timeLimit(.minutes(1)))
struct AgentAttackTests {
    /// A tunnel server that lets every agent in.
    final class Rogue: Observed, ConnectionHandler {
        var connection: SSHConnection?

        func connection(_ connection: SSHConnection, authenticate attempt: UserAuthAttempt, answer: @escaping (UserAuthAnswer) -> Void) {
            answer(.accept)
        }
        func connectionReady(_ connection: SSHConnection) {
            self.connection = connection
            changed()
        }
        func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {}
    }

    /// A listener that shows `claim` to the agent of `east`.
    private static func listen(_ claim: Claim, _ rogue: Rogue, in world: World) throws -> (SSHListener, ClusterState) {
        let configuration = try World.server(claim)
        let listener = try SSHListener(
            address: SocketAddress(.loopback4, port: 0), on: world.loop, configuration: { configuration }, makeHandler: { _ in rogue })
        var state = world.east()
        state.reverseTunnels = [ReverseTunnelRecord(cluster: "hub", dialAddrs: ["\(listener.address)"])]
        return (listener, state)
    }

    struct Impostor: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let claim: Claim
        let reason: String
    }

    private static let proxy = Claim.agent(of: "hub", by: Authorities.shared.hubHost)

    static let impostors: [Impostor] = [
        Impostor(
            testDescription: "a certificate of an authority that nobody knows",
            claim: proxy.with { $0.authority = Authorities.shared.stranger },
            reason: "is not trusted"),
        Impostor(
            testDescription: "a proxy of the leaf itself", claim: .agent(), reason: "speaks for cluster"),
        Impostor(
            testDescription: "the leaf's host authority in the root's name",
            claim: proxy.with { $0.authority = Authorities.shared.eastHost },
            reason: "speaks for cluster"),
        Impostor(
            testDescription: "the root's user authority signing a host", claim: proxy.with { $0.authority = Authorities.shared.hubUser },
            reason: "not trusted"),
        Impostor(
            testDescription: "a user certificate", claim: proxy.with { $0.kind = .user }, reason: "is not a host's"),
        Impostor(
            testDescription: "a node of the root",
            claim: proxy.with { $0.extensions[CertificateExtension.role] = "Node" }, reason: "not one of a proxy"),
        Impostor(
            testDescription: "an administrator of the root",
            claim: proxy.with { $0.extensions[CertificateExtension.role] = "Admin" }, reason: "not one of a proxy"),
        Impostor(
            testDescription: "a host without a role",
            claim: proxy.with { $0.extensions[CertificateExtension.role] = nil }, reason: "not one of a proxy"),
        Impostor(
            testDescription: "a certificate that expired a second ago", claim: proxy.with { $0.ends = .seconds(-1) }, reason: "has expired"),
        Impostor(
            testDescription: "a certificate of tomorrow", claim: proxy.with { $0.begins = .seconds(1800) }, reason: "not valid yet"),
        Impostor(
            testDescription: "a key id that the principals do not list", claim: proxy.with { $0.principals = ["web.hub"] },
            reason: "does not name"),
        Impostor(
            testDescription: "a principal of the leaf's", claim: proxy.with { $0.principals.append("db1.east") },
            reason: "not its authority's"),
        Impostor(
            testDescription: "a critical option", claim: proxy.with { $0.critical = ["source-address": "127.0.0.1"] }, reason: "is unknown"),
    ]

    @Test(arguments: impostors)
    func `an impostor shows`(impostor: Impostor) async throws {
        try await inWorld { _, world in
            let rogue = Rogue()
            let (listener, state) = try Self.listen(impostor.claim, rogue, in: world)
            let pool = try world.startAgents(state)
            await world.logged("no tunnel")
            #expect(rogue.connection == nil && pool.connected.isEmpty)
            #expect(world.log.withLock { $0.contains { $0.contains(impostor.reason) } }, "\(world.log.withLock { $0 })")
            listener.close()
        }
    }

    @Test func `the root's proxy asks for what the leaf has not registered`() async throws {
        try await inWorld { _, world in
            let rogue = Rogue()
            let (listener, state) = try Self.listen(Self.proxy, rogue, in: world)
            try world.startAgents(state)
            await rogue.wait { rogue.connection != nil }
            let trap = world.trap.port
            func ask(_ host: String, _ port: UInt16, isolation: isolated (any Actor)? = #isolation) async throws -> Collector {
                let destination = TransportDestination(host: host, port: port, user: "alice", roles: ["access"], client: "192.0.2.1:1")
                return await Self.open(rogue, .transport(destination: try destination.json()))
            }
            for (host, port) in [
                ("127.0.0.1", trap), ("localhost", trap), ("169.254.169.254", 80), ("::1", trap), ("db1", trap), ("db1.hub", 22),
                ("web", 22),
                ("@nothing", 0), ("", 0), ("db1\n", 0), ("/etc/passwd", 0),
            ] as [(String, UInt16)] {
                let asked = try await ask(host, port)
                #expect(asked.reason == .administrativelyProhibited, "\(host):\(port) \(asked.refusal ?? "open")")
            }
            #expect(world.trap.connections == 0 && world.eastNode.connections == 0)
            let good = try await ask("db1", 0)
            await good.wait { !good.bytes.isEmpty }
            #expect(good.text == Listener.greeting)
            listener.close()
        }
    }

    @Test func `the root's proxy opens sessions, forwards and nonsense at the agent`() async throws {
        try await inWorld { _, world in
            let rogue = Rogue()
            let (listener, state) = try Self.listen(Self.proxy, rogue, in: world)
            let pool = try world.startAgents(state)
            await rogue.wait { rogue.connection != nil }
            let endpoints = ChannelOpenType.TCPIPEndpoints(
                host: "127.0.0.1", port: world.trap.port, originatorAddress: "127.0.0.1", originatorPort: 1)
            let types: [ChannelOpenType] = [
                .session, .directTCPIP(endpoints), .forwardedTCPIP(endpoints), .agent, .directStreamLocal(path: "/run/x"),
                .other(type: "x11", payload: []),
            ]
            for type in types { #expect(await Self.open(rogue, type).reason == .unknownChannelType, "\(type.type)") }
            for json in ["", "{}", "[]", "null", #"{"host":1}"#, #"{"host":"db1","port":70000,"user":"","roles":[],"client":""}"#] {
                #expect(await Self.open(rogue, .transport(destination: json)).reason == .administrativelyProhibited, "\(json)")
            }
            for payload in [Array("no JSON".utf8), Array(#"{"tunnels":1}"#.utf8), [UInt8](repeating: 0x20, count: 30_000)] {
                let waiter = Observed()
                var reply: GlobalReply?
                rogue.connection?.sendGlobalRequest(ProxyAnnouncement.requestName, payload: payload) { answer in
                    reply = answer
                    waiter.changed()
                }
                await waiter.wait { reply != nil }
                #expect(reply == .failure)
            }
            #expect(pool.connected == ["hub"])
            #expect(world.trap.connections == 0)
            listener.close()
        }
    }

    @Test func `the root's proxy lists nodes for a user whose roles are not mapped`() async throws {
        try await inWorld { _, world in
            let rogue = Rogue()
            let (listener, state) = try Self.listen(Self.proxy, rogue, in: world)
            try world.startAgents(state)
            await rogue.wait { rogue.connection != nil }
            for roles in [[], ["admin"], ["Access"], ["access "], ["*"]] {
                let destination = TransportDestination(
                    host: TransportDestination.nodeList, port: 0, user: "alice", roles: roles, client: "192.0.2.1:1")
                let asked = await Self.open(rogue, .transport(destination: try destination.json()))
                #expect(asked.reason == .administrativelyProhibited, "\(roles)")
            }
            listener.close()
        }
    }

    @Test func `the leaf stops trusting the root, and the tunnel with what runs in it ends`() async throws {
        try await inWorld { _, world in
            let pool = try world.startAgents()
            await world.connected(["east"])
            let user = try await world.user()
            let direct = await user.direct("db1.east", 0)
            #expect(direct.isOpen)
            var state = world.east()
            state.authorities.removeAll { $0.cluster == "hub" }
            state.reverseTunnels = []
            pool.update(ClusterSnapshot(state))
            await direct.wait { direct.isClosed }
            await world.connected([])
            #expect(pool.connected.isEmpty)
        }
    }

    @Test func `an agent that is shutting down serves nobody new, and waits for what passes through it`() async throws {
        try await inWorld { _, world in
            let pool = try world.startAgents()
            await world.connected(["east"])
            let user = try await world.user()
            let direct = await user.direct("db1.east", 0)
            #expect(direct.isOpen)
            pool.stopAccepting()
            let late = await user.direct("db1.east", 0)
            #expect(late.refusal?.contains("shutting down") == true, "\(late.refusal ?? "opened")")
            let waiter = Observed()
            var isIdle = false
            pool.whenIdle {
                isIdle = true
                waiter.changed()
            }
            #expect(!isIdle)
            direct.channel?.close()
            await waiter.wait { isIdle }
        }
    }

    @Test func `a root that announces thousands of proxies does not keep the leaf from another root`() async throws {
        try await inWorld { _, world in
            let rogue = Rogue()
            let (listener, state) = try Self.listen(Self.proxy, rogue, in: world)
            var both = state
            let second = Authorities.shared.westHost
            both.authorities.append(
                CertificateAuthority(type: .user, cluster: "west", publicKeys: [Authorities.shared.stranger.publicKey.text()]))
            both.authorities.append(CertificateAuthority(type: .host, cluster: "west", publicKeys: [second.publicKey.text()]))
            let pool = try world.startAgents(state)
            await rogue.wait { rogue.connection != nil }
            // Addresses of nobody: port 9 of this machine.
            let announcement = ProxyAnnouncement(tunnels: (0..<1000).map { "127.0.0.\($0 % 250 + 2):\($0 / 250 + 9)" })
            let waiter = Observed()
            var reply: GlobalReply?
            rogue.connection?.sendGlobalRequest(ProxyAnnouncement.requestName, payload: try announcement.json()) { answer in
                reply = answer
                waiter.changed()
            }
            await waiter.wait { reply != nil }
            let west = Rogue()
            let configuration = try World.server(.agent(of: "west", by: second))
            let other = try SSHListener(
                address: SocketAddress(.loopback4, port: 0), on: world.loop, configuration: { configuration }, makeHandler: { _ in west })
            both.reverseTunnels.append(ReverseTunnelRecord(cluster: "west", dialAddrs: ["\(other.address)"]))
            pool.update(ClusterSnapshot(both))
            await west.wait { west.connection != nil }
            listener.close()
            other.close()
        }
    }

    private static func open(_ rogue: Rogue, _ type: ChannelOpenType, isolation: isolated (any Actor)? = #isolation) async -> Collector {
        let collector = Collector()
        collector.channel = rogue.connection?.openChannel(type: type.type, payload: type.payload(), handler: collector)
        await collector.wait { collector.isOpen || collector.refusal != nil }
        return collector
    }
}
