import Base
import SSHWire
import Testing

@testable import SSHEngine

@Suite("RFC 4254 channels between two engines")
struct ChannelTests {
    private func connected() -> EnginePair {
        let pair = EnginePair()
        pair.drive()
        return pair
    }

    @Test func `a refusal brings its reason and frees the number`() {
        let pair = connected()
        pair.opensChannel = { _ in false }
        _ = pair.client.openChannel(type: "direct-tcpip", payload: [1, 2, 3])
        pair.drive()
        #expect(pair.clientSide.refused == [.administrativelyProhibited])
        #expect(pair.channelCounts == (0, 0))
    }

    @Test func `a channel may be accepted later`() {
        let pair = connected()
        pair.opensChannel = { _ in nil }
        let id = pair.client.openChannel(type: "session", payload: [])
        pair.drive()
        #expect(pair.clientSide.opened.isEmpty)
        guard let offered = pair.serverSide.opened.first else { return }
        pair.server.acceptChannel(offered, payload: [7])
        pair.drive()
        #expect(pair.clientSide.opened == [id].compactMap { $0 })
    }

    @Test func `a channel that is given up before it opens is closed when it does`() {
        let pair = connected()
        pair.opensChannel = { _ in nil }
        guard let id = pair.client.openChannel(type: "session", payload: []) else { return }
        pair.drive()
        pair.client.closeChannel(id)
        guard let offered = pair.serverSide.opened.first else { return }
        pair.server.acceptChannel(offered)
        pair.drive()
        #expect(pair.clientSide.opened.isEmpty)
        #expect(pair.serverSide.closed == [offered])
        #expect(pair.clientSide.error == nil && pair.serverSide.error == nil)
    }

    @Test func `each side ends on its own, and the channel when both have closed`() {
        let pair = connected()
        let channel = pair.openChannel()
        pair.client.send([1].span, on: channel.client)
        pair.client.sendEOF(on: channel.client)
        pair.client.send([2].span, on: channel.client)
        pair.drive()
        #expect(pair.serverSide.ends == [channel.server])
        #expect(pair.serverSide.received[channel.server] == [1], "nothing after the EOF")
        pair.server.send([3, 4].span, on: channel.server)
        pair.server.sendEOF(on: channel.server)
        pair.server.closeChannel(channel.server)
        pair.drive()
        #expect(pair.clientSide.received[channel.client] == [3, 4])
        #expect(pair.clientSide.closed == [channel.client])
        #expect(pair.serverSide.closed == [channel.server])
        #expect(pair.channelCounts == (0, 0))
    }

    @Test func `both sides may close at once`() {
        let pair = connected()
        let channel = pair.openChannel()
        pair.client.closeChannel(channel.client)
        pair.server.closeChannel(channel.server)
        pair.drive()
        #expect(pair.clientSide.closed == [channel.client] && pair.serverSide.closed == [channel.server])
        #expect(pair.clientSide.error == nil && pair.serverSide.error == nil)
    }

    @Test func `a close waits for the data before it`() {
        let pair = connected()
        pair.serverSide.consumes = false
        let channel = pair.openChannel()
        let data = [UInt8](repeating: 5, count: 5 << 20)
        pair.client.send(data.span, on: channel.client)
        pair.client.closeChannel(channel.client)
        pair.drive()
        let window = Int(EngineLimits().windowBytesFirst)
        #expect(pair.serverSide.received[channel.server]?.count == window)
        #expect(pair.serverSide.closed.isEmpty)
        pair.serverSide.consumes = true
        pair.server.consumed(window, on: channel.server)
        pair.drive()
        #expect(pair.serverSide.received[channel.server]?.count == 5 << 20)
        #expect(pair.serverSide.closed == [channel.server])
    }

    @Test func `a command that comes too late meets nothing, also when the number is used again`() {
        let pair = connected()
        let old = pair.openChannel()
        pair.client.closeChannel(old.client)
        pair.drive()
        let new = pair.openChannel()
        #expect(new.client.number == old.client.number && new.client != old.client)
        pair.client.send([9].span, on: old.client)
        pair.client.sendEOF(on: old.client)
        pair.client.sendRequest("exec", wantsReply: true, on: old.client)
        pair.client.consumed(1, on: old.client)
        pair.client.closeChannel(old.client)
        pair.drive()
        #expect(pair.serverSide.received[new.server] == nil && pair.serverSide.ends.isEmpty && pair.serverSide.requests.isEmpty)
    }

    @Test func `a full queue says so, and says when there is room`() {
        let pair = connected()
        pair.serverSide.consumes = false
        let channel = pair.openChannel()
        pair.clientSide.source = (channel.client, 8 << 20)
        pair.drive()
        #expect(pair.clientSide.source?.left ?? 0 > 0)
        #expect(pair.clientSide.writable.isEmpty)
        let sent = (8 << 20) - (pair.clientSide.source?.left ?? 0)
        let (limits, window) = (EngineLimits(), Int(EngineLimits().windowBytesFirst))
        #expect(sent <= window + limits.queuedBytesHigh + 50_000, "the window, the queue and the last write")
        pair.serverSide.consumes = true
        pair.server.consumed(window, on: channel.server)
        pair.drive()
        #expect(!pair.clientSide.writable.isEmpty)
        #expect(pair.serverSide.received[channel.server]?.count == 8 << 20)
    }

    @Test func `replies come in the order of the requests`() {
        let pair = connected()
        let channel = pair.openChannel()
        pair.answersRequest = { $0.type == "yes" }
        for type in ["yes", "no", "no", "yes"] { pair.client.sendRequest(type, wantsReply: true, on: channel.client) }
        pair.client.sendRequest("silent", payload: [1], wantsReply: false, on: channel.client)
        for name in ["no@x", "yes@x", "no@x"] { pair.server.sendGlobalRequest(name, wantsReply: true) }
        pair.drive()
        #expect(pair.clientSide.requestReplies == [true, false, false, true])
        #expect(pair.serverSide.requests.last?.payload == [1])
        #expect(pair.serverSide.globalReplies == [false, true, false])
    }

    @Test func `requests go ahead of data that waits for window`() {
        let pair = connected()
        pair.serverSide.consumes = false
        let channel = pair.openChannel()
        pair.client.send([UInt8](repeating: 1, count: 3 << 20).span, on: channel.client)
        pair.client.sendRequest("signal", wantsReply: false, on: channel.client)
        pair.drive()
        #expect(pair.serverSide.requests.map(\.type) == ["signal"])
    }

    @Test func `many channels carry data at once`() {
        let pair = connected()
        let channels = (0..<50).map { _ in pair.openChannel() }
        for (index, channel) in channels.enumerated() {
            pair.client.send([UInt8](repeating: UInt8(index), count: 10_000 + index).span, on: channel.client)
        }
        pair.drive()
        for (index, channel) in channels.enumerated() {
            #expect(pair.serverSide.received[channel.server] == [UInt8](repeating: UInt8(index), count: 10_000 + index))
        }
    }

    @Test func `opening past the limit is said at once`() {
        var configuration = EnginePair.clientConfiguration()
        configuration.limits.channelsMax = 1
        let pair = EnginePair(client: configuration)
        pair.drive()
        _ = pair.openChannel()
        let second = pair.client.openChannel(type: "session", payload: [])
        #expect(second == nil)
    }
}
