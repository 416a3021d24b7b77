import Base
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
        let pool = BufferPool()
        queue.append([1, 2].span, extendedType: nil, from: pool)
        queue.append([3].span, extendedType: nil, from: pool)
        queue.append([4].span, extendedType: 1, from: pool)
        queue.append([5].span, extendedType: nil, from: pool)
        let taken = Self.drain(&queue, max: 2, to: pool)
        #expect(taken.map(\.type) == [nil, nil, 1, nil])
        #expect(taken.map(\.bytes) == [[1, 2], [3], [4], [5]])
    }

    @Test func `much leaves as it came, in pieces of at most what a packet takes`() {
        var queue = SendQueue()
        let pool = BufferPool()
        let sent = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
        // A few bytes at first, as they come from somebody who types, then blocks.
        var position = 0
        for size in [10, 5_000, 64 << 10, 100_000, 1] { append(size) }
        var taken: [UInt8] = []
        for _ in 0..<3 { taken += takePacket() }
        append(sent.count - position)
        taken += Self.drain(&queue, max: 32 << 10, to: pool).flatMap(\.bytes)
        #expect(taken == sent)

        func append(_ size: Int) {
            queue.append(sent.span.extracting(position..<position + size), extendedType: nil, from: pool)
            position += size
        }
        func takePacket() -> [UInt8] {
            var bytes: [UInt8] = []
            let count = queue.takeFirst(max: 32 << 10, to: pool) { span, _ in bytes = Array(copying: span) }
            #expect(count == bytes.count && count > 0 && count <= 32 << 10)
            return bytes
        }
    }

    @Test func `what was lent is given back with the last byte`() {
        var queue = SendQueue()
        let pool = BufferPool()
        let marked = [UInt8](repeating: 7, count: BufferPool.mediumBytes)
        queue.append(marked.span, extendedType: nil, from: pool)
        #expect(pool.take(atLeast: BufferPool.mediumBytes)[0] == 0, "it is in use")
        _ = Self.drain(&queue, max: 32 << 10, to: pool)
        #expect(pool.take(atLeast: BufferPool.mediumBytes)[0] == 7)
    }

    /// A queue that took a buffer for each would hold 4 KiB a byte.
    @Test func `bytes whose kind changes all the time share their memory`() {
        var queue = SendQueue()
        let pool = BufferPool()
        let kinds = (0..<50_000).map { $0.isMultiple(of: 2) ? nil : UInt32(1) }
        for (number, kind) in kinds.enumerated() {
            queue.append([UInt8(truncatingIfNeeded: number)].span, extendedType: kind, from: pool)
        }
        let taken = Self.drain(&queue, max: 100, to: pool)
        #expect(taken.map(\.type) == kinds)
        #expect(taken.flatMap(\.bytes) == kinds.indices.map { UInt8(truncatingIfNeeded: $0) })
        let given = (0..<64).count { _ in pool.take(atLeast: 1).contains { $0 != 0 } }
        #expect(given == 1, "one small buffer, and what followed was one large one")
    }

    private static func drain(_ queue: inout SendQueue, max: Int, to pool: BufferPool) -> [(type: UInt32?, bytes: [UInt8])] {
        var taken: [(type: UInt32?, bytes: [UInt8])] = []
        while !queue.isEmpty {
            _ = queue.takeFirst(max: max, to: pool) { span, type in taken.append((type, Array(copying: span))) }
        }
        return taken
    }
}
