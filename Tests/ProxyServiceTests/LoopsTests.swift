import Base
import ClusterModel
import EventLoop
import ProxyService
import ReverseTunnel
import SSHNet
import SSHWire
import Testing

@Suite("A proxy on several loops", .timeLimit(.minutes(2)))
struct LoopsTests {
    /// So many that all of them landing on one loop does not happen: the odds are 1 in 2^23.
    private static let usersMax = 24

    @Test func `users land on every loop, and all of them reach a site whose one tunnel is on one`() async throws {
        try await inWorld(loops: 2) { _, world in
            try world.startAgents()
            await world.connected(["east"])
            var users: [Client] = []
            for _ in 0..<Self.usersMax { users.append(try await world.user()) }
            let here = world.proxy.connectionCount
            #expect((1..<users.count).contains(here))
            for user in users {
                #expect(await user.subsystem("proxy:db1:0@east").text == Listener.greeting)
                #expect(await user.direct("db1.east", 22).isOpen)
                let other = await user.direct("db2.east", 22)
                #expect(other.refusal?.contains("db2") == true, "\(other.refusal ?? "")")
            }
            // Each went to the loop of the tunnel with its first route.
            #expect([0, users.count].contains(world.proxy.connectionCount))
        }
    }

    @Test func `users who have moved to another loop are cut off when their authority is replaced`() async throws {
        try await inWorld(loops: 2) { _, world in
            try world.startAgents()
            await world.connected(["east"])
            var users: [Client] = []
            for _ in 0..<8 {
                let user = try await world.user()
                #expect(await user.direct("db1.east", 22).isOpen)
                users.append(user)
            }
            var state = World.hub(node: world.hubNode.address)
            state.authorities[0].publicKeys = [Authorities.shared.stranger.publicKey.text()]
            world.update(state)
            for user in users { await user.wait { user.isClosed } }
        }
    }

    /// - Parameter moves: whether nothing keeps a user on the loop where it came in.
    @Test(arguments: [true, false])
    func `megabytes come back whole from a site, by whatever loop`(moves: Bool) async throws {
        try await inWorld(loops: 2) { _, world in
            let echoes = Echoes()
            let agent = try await world.agent { echoes.accept($0) }
            #expect(agent.isReady)
            var transfers: [Transfer] = []
            for number in 0..<8 {
                let user = try await world.user()
                if !moves { #expect(await user.open(.session).isOpen) }
                let transfer = Transfer(megabytes(2, seed: UInt64(number)))
                transfers.append(transfer)
                let open = ChannelOpenType.directTCPIP(.init(host: "db1.east", port: 22, originatorAddress: "127.0.0.1", originatorPort: 1))
                user.connection?.openChannel(type: open.type, payload: open.payload(), handler: transfer)
            }
            for transfer in transfers {
                await transfer.wait { transfer.isClosed || transfer.refusal != nil }
                let isSame = transfer.received == transfer.sent
                #expect(isSame, "\(transfer.received.count) of \(transfer.sent.count) bytes came back")
                #expect(transfer.refusal == nil)
            }
            await echoes.wait { echoes.open == 0 }
        }
    }

    @Test func `one connection leads to sites whose tunnels are on different loops`() async throws {
        try await inWorld(loops: 2) { _, world in
            // Agents dial until there is one on each loop: a new connection of the same agent takes the place of the old one.
            let east = Claim.agent()
            let west = Claim.agent(of: "west", by: Authorities.shared.westHost)
            let eastAgent = try await world.agent(east) { $0.refuse(.connectFailed, "east is here") }
            #expect(eastAgent.isReady)
            for _ in 0..<4 {
                let westAgent = try await world.agent(west) { $0.refuse(.connectFailed, "west is here") }
                #expect(westAgent.isReady)
                let user = try await world.user()
                for _ in 0..<2 {
                    #expect(await user.direct("db1.east", 22).refusal == "east is here")
                    #expect(await user.direct("db1.west", 22).refusal == "west is here")
                }
            }
            #expect(world.tunnels.registry.tunnelCount == 2)
        }
    }

    @Test func `an agent that comes back takes the place of its old connection, whatever loop that is on`() async throws {
        try await inWorld(loops: 2) { _, world in
            var last = try await world.agent()
            for _ in 0..<12 {
                let next = try await world.agent()
                await last.wait { last.isClosed }
                #expect(next.isReady && !next.isClosed)
                #expect(world.tunnels.registry.tunnelCount == 1)
                last = next
            }
        }
    }

    @Test(arguments: [1, 2])
    func `whoever reads nothing of all their channels holds up nobody else on the tunnel`(loops: Int) async throws {
        try await inWorld(loops: loops) { _, world in
            let echoes = Echoes()
            let flood = Flood()
            let agent = try await world.agent { request in
                guard flood.channels.count < Self.stalledChannels else { return echoes.accept(request) }
                flood.accepted(request.accept(handler: flood))
            }
            #expect(agent.isReady)
            let stalled = try await world.user()
            for _ in 0..<Self.stalledChannels {
                let reader = Unread()
                let open = ChannelOpenType.directTCPIP(.init(host: "db1.east", port: 22, originatorAddress: "127.0.0.1", originatorPort: 1))
                stalled.connection?.openChannel(type: open.type, payload: open.payload(), handler: reader)
            }
            await flood.wait { flood.full == Self.stalledChannels }
            // Windows and queues of both legs, and no more.
            #expect(flood.sent <= Self.stalledChannels * 6 << 20, "\(flood.sent) bytes")
            let user = try await world.user()
            let transfer = Transfer(megabytes(1, seed: 7))
            let open = ChannelOpenType.directTCPIP(.init(host: "db1.east", port: 22, originatorAddress: "127.0.0.1", originatorPort: 1))
            user.connection?.openChannel(type: open.type, payload: open.payload(), handler: transfer)
            await transfer.wait { transfer.isClosed || transfer.refusal != nil }
            #expect(transfer.received == transfer.sent && transfer.refusal == nil)
        }
    }

    private static let stalledChannels = 16

    @Test func `a tunnel ends, and those who use it from another loop hear of it`() async throws {
        try await inWorld(loops: 2) { _, world in
            let echoes = Echoes()
            let agent = try await world.agent { echoes.accept($0) }
            var channels: [Collector] = []
            for _ in 0..<8 { channels.append(await (try await world.user()).direct("db1.east", 22)) }
            #expect(channels.allSatisfy { $0.isOpen })
            agent.connection?.close()
            for channel in channels { await channel.wait { channel.isClosed } }
            await world.connected([])
            #expect(await (try await world.user()).direct("db1.east", 22).refusal?.contains("not connected") == true)
        }
    }

    @Test func `a user goes, and the agent's channels go too, whatever loop they are on`() async throws {
        try await inWorld(loops: 2) { _, world in
            let echoes = Echoes()
            let agent = try await world.agent { echoes.accept($0) }
            var users: [Client] = []
            for _ in 0..<8 {
                let user = try await world.user()
                #expect(await user.direct("db1.east", 22).isOpen)
                users.append(user)
            }
            #expect(agent.isReady && echoes.open == users.count)
            for user in users { user.connection?.close() }
            await echoes.wait { echoes.open == 0 }
        }
    }
}

/// What an agent does that sends back all that comes.
private final class Echoes: Observed {
    private(set) var open = 0

    func accept(_ request: ChannelOpenRequest) {
        open += 1
        request.accept(handler: Echo(self))
    }

    private final class Echo: ChannelHandler {
        private let echoes: Echoes
        private var withheld = 0

        init(_ echoes: Echoes) {
            self.echoes = echoes
        }

        func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
            channel.write(data)
            if channel.isWritable { channel.consumed(data.count) } else { withheld += data.count }
        }
        func channelWritable(_ channel: SSHChannel) {
            let count = withheld
            withheld = 0
            channel.consumed(count)
        }
        func channelEOF(_ channel: SSHChannel) {
            channel.sendEOF()
            channel.close()
        }
        func channelClosed(_ channel: SSHChannel) {
            echoes.open -= 1
            echoes.changed()
        }
    }
}

/// Sends all it has as there is room, and gathers what comes back.
private final class Transfer: Observed, ChannelHandler {
    let sent: [UInt8]
    private var sentCount = 0
    private(set) var received: [UInt8] = []
    private(set) var refusal: String?
    private(set) var isClosed = false

    init(_ bytes: [UInt8]) {
        sent = bytes
    }

    private func pump(_ channel: SSHChannel) {
        let sent = sent
        while sentCount < sent.count, channel.isWritable {
            let next = min(sentCount + 50_000, sent.count)
            channel.write(sent.span.extracting(sentCount..<next))
            sentCount = next
        }
        if sentCount == sent.count { channel.sendEOF() }
    }

    func channelOpened(_ channel: SSHChannel) { pump(channel) }
    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        refusal = message
        changed()
    }
    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        received.append(copying: data)
        channel.consumed(data.count)
    }
    func channelWritable(_ channel: SSHChannel) { pump(channel) }
    func channelClosed(_ channel: SSHChannel) {
        isClosed = true
        changed()
    }
}

/// Sends on each channel as much as it takes.
private final class Flood: Observed, ChannelHandler {
    private(set) var channels: [SSHChannel] = []
    private(set) var sent = 0
    /// Channels that take no more for now.
    private(set) var full = 0
    private let block = [UInt8](repeating: 7, count: 32 << 10)

    private func pump(_ channel: SSHChannel) {
        while channel.isWritable {
            channel.write(block)
            sent += block.count
        }
        full += 1
        changed()
    }

    func accepted(_ channel: SSHChannel) {
        channels.append(channel)
        pump(channel)
    }

    func channelWritable(_ channel: SSHChannel) {
        full -= 1
        pump(channel)
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) { channel.consumed(data.count) }
    func channelClosed(_ channel: SSHChannel) {}
}

/// Takes nothing of what comes.
private final class Unread: ChannelHandler {
    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {}
    func channelClosed(_ channel: SSHChannel) {}
}

/// Bytes without a period below a megabyte, made quickly also in a debug build.
private func megabytes(_ count: Int, seed: UInt64) -> [UInt8] {
    let block = SeededRandomness(seed: seed).bytes(4096)
    var bytes: [UInt8] = []
    for number in 0..<count * 256 {
        bytes += block
        bytes[bytes.count - 1] = UInt8(truncatingIfNeeded: number)
        bytes[bytes.count - 2] = UInt8(truncatingIfNeeded: number >> 8)
    }
    return bytes
}
