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

@Suite("What agents try at the tunnel server", .timeLimit(.minutes(1)))
struct TunnelAttackTests {
    struct Stranger: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let claim: Claim
        var name: String?
        let reason: String
    }

    static let strangers: [Stranger] = [
        Stranger(testDescription: "a user certificate", claim: .user, reason: "is not a host's"),
        Stranger(
            testDescription: "a user certificate that says it is a proxy",
            claim: Claim.agent().with {
                $0.authority = Authorities.shared.hubUser
                $0.kind = .user
            }, reason: "is not a host's"),
        Stranger(
            testDescription: "a node's certificate", claim: .agent(role: "Node"),
            reason: "a node of cluster east opens no tunnel to a proxy of hub"),
        Stranger(testDescription: "an auth server's certificate", claim: .agent(role: "Auth"), reason: "role opens no tunnel"),
        Stranger(testDescription: "an administrator's identity", claim: .agent(role: "Admin"), reason: "role opens no tunnel"),
        Stranger(testDescription: "a certificate without a role", claim: .agent(role: nil), reason: "role opens no tunnel"),
        Stranger(
            testDescription: "a proxy of the root itself", claim: .agent(of: "hub", by: Authorities.shared.hubHost),
            reason: "is no site of this one"),
        Stranger(
            testDescription: "leaf west under the name of leaf east", claim: .agent(of: "east", by: Authorities.shared.westHost),
            reason: "which is not its authority's"),
        Stranger(
            testDescription: "a leaf under the name of the root", claim: .agent(of: "hub", by: Authorities.shared.eastHost),
            reason: "which is not its authority's"),
        Stranger(
            testDescription: "a leaf with a principal of another leaf's",
            claim: Claim.agent().with { $0.principals.append("db1.west") }, reason: "which is not its authority's"),
        Stranger(
            testDescription: "a leaf whose certificate names another cluster than its names do",
            claim: Claim.agent().with { $0.extensions[CertificateExtension.authority] = "west" }, reason: "which is not its authority's"),
        Stranger(
            testDescription: "a certificate that names no cluster",
            claim: Claim.agent().with { $0.extensions[CertificateExtension.authority] = nil }, reason: "does not name its cluster"),
        Stranger(
            testDescription: "a cluster that is not trusted", claim: .agent(of: "north", by: Authorities.shared.stranger),
            reason: "is not trusted"),
        Stranger(
            testDescription: "the leaf's user authority", claim: .agent(by: Authorities.shared.eastUser), reason: "is not trusted"),
        Stranger(
            testDescription: "a user name that is not the key id", claim: .agent(), name: "9f7c0a52-6f2b-4f3e-9d0a-0000000000e1",
            reason: "not the certificate's key id"),
        Stranger(testDescription: "another agent's name", claim: .agent(), name: "other.east", reason: "does not name"),
        Stranger(
            testDescription: "no principals, which OpenSSH takes for anybody",
            claim: Claim.agent().with {
                $0.principals = []
                $0.critical = [CriticalOption.site: "east"]
            }, reason: "is unknown"),
        Stranger(
            testDescription: "the credential of an OpenSSH site under the name of a leaf",
            claim: Claim.user.with {
                $0.keyID = "east"
                $0.principals = []
                $0.critical = [CriticalOption.site: "east"]
                $0.extensions = [:]
            }, reason: "there is no openssh_site east"),
        Stranger(
            testDescription: "a certificate that expired a second ago", claim: Claim.agent().with { $0.ends = .seconds(-1) },
            reason: "has expired"),
        Stranger(
            testDescription: "a certificate of tomorrow", claim: Claim.agent().with { $0.begins = .seconds(1800) }, reason: "not valid yet"),
        Stranger(
            testDescription: "a critical option", claim: Claim.agent().with { $0.critical = ["force-command": "true"] },
            reason: "is unknown"),
    ]

    @Test(arguments: strangers)
    func `a stranger comes with`(stranger: Stranger) async throws {
        try await inWorld { _, world in
            let agent = try await world.agent(stranger.claim, as: stranger.name)
            #expect(!agent.isReady && agent.isClosed)
            #expect(world.tunnels.registry.connected.isEmpty)
            let lines = world.log.withLock { $0.filter { $0.contains("an agent was refused") } }
            #expect(lines.contains { $0.contains(stranger.reason) }, "\(lines)")
        }
    }

    @Test func `an agent asks about a certificate of another leaf, and signs with its own`() async throws {
        try await inWorld { _, world in
            // Both name the same agent: permissions must come from the key that signed.
            let stolen = try Claim.agent().credential()
            let west = Claim.agent(of: "west", by: Authorities.shared.westHost)
            let wrong = UserCredential(identity: stolen.identity, signer: .key(PrivateKey.generate(randomness: SystemRandomness())))
            let agent = try await world.dial(world.tunnelAddress, user: west.keyID, [wrong, try west.credential()])
            #expect(agent.isReady)
            #expect(world.tunnels.registry.connected == ["west"])
        }
    }

    @Test func `an agent opens channels and makes requests towards the proxy`() async throws {
        try await inWorld { _, world in
            let agent = try await world.agent()
            #expect(agent.isReady)
            let endpoints = ChannelOpenType.TCPIPEndpoints(
                host: "127.0.0.1", port: world.trap.port, originatorAddress: "127.0.0.1", originatorPort: 1)
            let types: [ChannelOpenType] = [
                .session, .directTCPIP(endpoints), .forwardedTCPIP(endpoints), .agent, .directStreamLocal(path: "/run/x"),
                .transport(destination: #"{"host":"@auth","port":0,"user":"","roles":[],"client":""}"#),
                .other(type: "teleport-access-point", payload: []), .other(type: "x11", payload: []),
            ]
            for type in types { #expect(await agent.open(type).reason == .administrativelyProhibited, "\(type.type)") }
            for _ in 0..<2000 { #expect(await agent.open(.session).isOpen == false) }
            for name in ["tcpip-forward", "proxies@teleport", "teleport-transport", "no-more-sessions@openssh.com"] {
                let waiter = Observed()
                var reply: GlobalReply?
                agent.connection?.sendGlobalRequest(name, payload: []) { answer in
                    reply = answer
                    waiter.changed()
                }
                await waiter.wait { reply != nil }
                #expect(reply == .failure, "\(name)")
            }
            #expect(world.trap.connections == 0)
            #expect(world.tunnels.registry.connected == ["east"])
        }
    }

    @Test(arguments: [1, 2])
    func `an agent comes twice, and the newest wins`(loops: Int) async throws {
        try await inWorld(loops: loops) { _, world in
            let first = try await world.agent { $0.refuse(.connectFailed, "the old one") }
            let second = try await world.agent { $0.refuse(.connectFailed, "the new one") }
            await first.wait { first.isClosed }
            #expect(second.isReady && !second.isClosed)
            #expect(world.tunnels.registry.tunnelCount == 1)
            let user = try await world.user()
            #expect(await user.direct("db1.east", 22).refusal == "the new one")
        }
    }

    @Test(arguments: [1, 2])
    func `a leaf floods the proxy with agents`(loops: Int) async throws {
        try await inWorld(loops: loops) { _, world in
            var agents: [Client] = []
            for number in 0...SiteDirectory.tunnelsPerSiteMax where agents.count < World.limits.perAddress - 1 {
                agents.append(try await world.agent(.agent(uuid: "9f7c0a52-6f2b-4f3e-9d0a-\(String(100_000_000_000 + number))")))
            }
            #expect(world.tunnels.registry.tunnelCount == agents.count)
            let west = try await world.agent(.agent(of: "west", by: Authorities.shared.westHost))
            #expect(west.isReady)
            #expect(!(try await world.agent(.agent(uuid: "9f7c0a52-6f2b-4f3e-9d0a-000000000fff"))).isReady)
            #expect(world.tunnels.registry.connected == ["east", "west"])
        }
    }

    @Test(arguments: [1, 2])
    func `trust is removed, and the tunnel and what runs in it ends at once`(loops: Int) async throws {
        try await inWorld(loops: loops) { _, world in
            let accepted = Collector()
            let agent = try await world.agent { $0.accept(handler: accepted) }
            let other = try await world.agent(.agent(of: "west", by: Authorities.shared.westHost))
            let user = try await world.user()
            let direct = await user.direct("db1.east", 22)
            #expect(direct.isOpen)
            world.update(World.hub(node: world.hubNode.address, leaves: ["west"]))
            await agent.wait { agent.isClosed }
            await direct.wait { direct.isClosed }
            #expect(!other.isClosed && !user.isClosed)
            #expect(world.tunnels.registry.connected == ["west"])
            #expect(await user.direct("db1.east", 22).reason == .administrativelyProhibited)
            #expect(!(try await world.agent()).isReady)
        }
    }

    @Test(arguments: [1, 2])
    func `a leaf whose authority was replaced loses the tunnel of the old one`(loops: Int) async throws {
        try await inWorld(loops: loops) { _, world in
            let agent = try await world.agent()
            var state = World.hub(node: world.hubNode.address)
            for index in state.authorities.indices where state.authorities[index].name == "host/east" {
                state.authorities[index].publicKeys = [Authorities.shared.stranger.publicKey.text()]
            }
            world.update(state)
            await agent.wait { agent.isClosed }
            #expect(world.tunnels.registry.connected.isEmpty)
        }
    }

    @Test(arguments: [1, 2])
    func `an agent that never answers keeps nobody but the one who asks`(loops: Int) async throws {
        try await inWorld(loops: loops) { _, world in
            let agent = try await world.agent { _ in }
            #expect(agent.isReady)
            let greedy = try await world.user()
            var asked: [Collector] = []
            for _ in 0..<TunnelConnection.openingPerUserMax {
                let collector = Collector()
                let open = ChannelOpenType.directTCPIP(.init(host: "db1.east", port: 22, originatorAddress: "127.0.0.1", originatorPort: 1))
                collector.channel = greedy.connection?.openChannel(type: open.type, payload: open.payload(), handler: collector)
                asked.append(collector)
            }
            let refused = await greedy.direct("db1.east", 22)
            #expect(refused.reason == .resourceShortage)
            #expect(asked.allSatisfy { !$0.isOpen && $0.refusal == nil })
            #expect(agent.isReady && !agent.isClosed)
            // Another user's channel still goes out to the agent.
            let other = try await world.user(Claim.user.with { $0.keyID = "bob" }, as: "bob")
            let collector = Collector()
            let open = ChannelOpenType.directTCPIP(.init(host: "db1.east", port: 22, originatorAddress: "127.0.0.1", originatorPort: 1))
            collector.channel = other.connection?.openChannel(type: open.type, payload: open.payload(), handler: collector)
            #expect(await other.subsystem("proxy:web:0").text == Listener.greeting)
            #expect(collector.refusal == nil)
        }
    }
}
