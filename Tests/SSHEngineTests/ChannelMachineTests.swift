import Testing

@testable import SSHEngine

@Suite("RFC 4254 §5.2 windows")
struct ChannelWindowTests {
    @Test func `a peer may use its window to the last byte and no further`() throws {
        var window = ChannelWindow(local: 100, remote: 0)
        try window.receive(60)
        try window.receive(40)
        #expect(throws: ChannelWindow.Fault.exceeded) { try window.receive(1) }
    }

    @Test func `window is granted again when half of it is consumed`() throws {
        var window = ChannelWindow(local: 100, remote: 0)
        try window.receive(100)
        let grants = [window.consume(49, size: 100), window.consume(1, size: 100)]
        #expect(grants == [nil, 50])
        #expect(window.local == 50)
        let last = window.consume(50, size: 100)
        #expect(last == 50)
        #expect(window.local == 100)
    }

    @Test func `a window that may be larger by now grows with the next grant, and never shrinks`() throws {
        var window = ChannelWindow(local: 100, remote: 0)
        try window.receive(50)
        let larger = window.consume(50, size: 300)
        #expect(larger == 250 && window.local == 300)
        try window.receive(150)
        let same = window.consume(150, size: 40)
        #expect(same == 150 && window.local == 300)
    }

    @Test func `adjustments past 2^32 - 1 are refused, up to it taken`() throws {
        var window = ChannelWindow(local: 0, remote: .max - 1)
        try window.adjust(1)
        #expect(window.remote == .max)
        #expect(throws: ChannelWindow.Fault.overflow) { try window.adjust(1) }
    }

    @Test func `an adjustment of nothing changes nothing`() throws {
        var window = ChannelWindow(local: 0, remote: 5)
        try window.adjust(0)
        #expect(window.remote == 5)
    }

    @Test func `sending more than the window is our own bug`() async {
        await #expect(processExitsWith: .failure) {
            var window = ChannelWindow(local: 0, remote: 5)
            window.send(6)
        }
    }

    @Test func `consuming more than was received is our own bug`() async {
        await #expect(processExitsWith: .failure) {
            var window = ChannelWindow(local: 10, remote: 5)
            _ = window.consume(1, size: 10)
        }
    }
}

@Suite("RFC 4254 §5.3 closing")
struct ChannelClosingTests {
    @Test func `EOF from both sides leaves the channel drained, not closed`() throws {
        var closing = ChannelClosing()
        closing.sendEOF()
        try closing.receiveEOF()
        #expect(closing.state == .drained)
        #expect(closing.maySend && !closing.maySendData)
        #expect(throws: ChannelClosing.Fault.afterEOF) { try closing.receiveData() }
    }

    @Test func `data may follow our own EOF and our own CLOSE`() throws {
        var closing = ChannelClosing()
        closing.sendEOF()
        try closing.receiveData()
        closing.sendClose()
        try closing.receiveData()
        try closing.receiveEOF()
        #expect(throws: ChannelClosing.Fault.afterEOF) { try closing.receiveData() }
        let action = try closing.receiveClose()
        #expect(action == .none)
        #expect(closing.isClosed)
    }

    @Test func `a CLOSE is answered once`() throws {
        var closing = ChannelClosing()
        let action = try closing.receiveClose()
        #expect(action == .sendClose)
        #expect(throws: ChannelClosing.Fault.afterClose) { try closing.receiveClose() }
        #expect(throws: ChannelClosing.Fault.afterClose) { try closing.receiveEOF() }
    }

    @Test func `a second EOF is refused`() throws {
        var closing = ChannelClosing()
        try closing.receiveEOF()
        #expect(throws: ChannelClosing.Fault.afterEOF) { try closing.receiveEOF() }
    }

    @Test func `sending CLOSE twice is our own bug`() async {
        await #expect(processExitsWith: .failure) {
            var closing = ChannelClosing()
            closing.sendClose()
            closing.sendClose()
        }
    }

    @Test func `sending EOF twice is our own bug`() async {
        await #expect(processExitsWith: .failure) {
            var closing = ChannelClosing()
            closing.sendEOF()
            closing.sendEOF()
        }
    }
}

@Suite("The channel table")
struct ChannelTableTests {
    private static func channel(_ id: ChannelID) -> Channel {
        Channel(id: id, phase: .open, remoteNumber: 7, remotePacketMax: 1, window: ChannelWindow(local: 1, remote: 1))
    }

    @Test func `numbers are used again, identifiers are not`() throws {
        var table = ChannelTable(channelsMax: 2)
        let inserted = [table.insert(Self.channel), table.insert(Self.channel), table.insert(Self.channel)]
        #expect(inserted[2] == nil)
        let first = try #require(inserted[0])
        let second = try #require(inserted[1])
        table.remove(at: try #require(table.index(of: first)))
        let reused = table.insert(Self.channel)
        let third = try #require(reused)
        #expect(third.number == first.number && third != first && third != second)
        #expect(table.index(of: first) == nil)
        #expect(table.index(of: third).map { table.channels[$0].remoteNumber } == 7)
        #expect(table.index(number: 9) == nil)
        #expect(table.count == 2)
    }
}

@Suite("Data that waits")
struct SendQueueTests {
    @Test func `small writes join and leave in order with their types`() {
        var queue = SendQueue()
        queue.append([1, 2].span, extendedType: nil)
        queue.append([3].span, extendedType: nil)
        queue.append([4].span, extendedType: 1)
        queue.append([5].span, extendedType: nil)
        var taken: [(UInt32?, [UInt8])] = []
        while let next = queue.first(max: 2) {
            taken.append((next.extendedType, Array(next.bytes[next.range])))
            queue.removeFirst(next.range.count)
        }
        #expect(taken.map(\.0) == [nil, nil, 1, nil])
        #expect(taken.map(\.1) == [[1, 2], [3], [4], [5]])
        let isEmpty = queue.isEmpty
        #expect(isEmpty)
    }
}
