import Base
import Testing

@testable import SSHEngine

@Suite("Packets that come in pieces")
struct PacketReaderTests {
    /// 30,000 bytes with the length and 4 bytes of padding, before any keys.
    private static let packet: [UInt8] = [0, 0, 0x75, 0x2C, 4] + (0..<29_991).map { UInt8(truncatingIfNeeded: $0) } + [0, 0, 0, 0]

    @Test func `a length that is only announced costs nothing`() throws {
        var reader = PacketReader(buffers: BufferPool())
        let packet = try feed(Self.packet[..<100], to: &reader)
        #expect(packet == nil)
        let held = reader.assembled.count
        #expect(held == BufferPool.smallBytes)
    }

    @Test(arguments: [1, 3, 4, 100, 5_000, 29_999])
    func `a packet is put together of pieces of any size, in memory that is lent until it has been used`(size: Int) throws {
        let pool = BufferPool()
        var marked = pool.take(atLeast: BufferPool.mediumBytes)
        marked[BufferPool.mediumBytes - 1] = 7
        pool.giveBack(marked)
        var reader = PacketReader(buffers: pool)
        var payload: [UInt8]?
        for start in stride(from: 0, to: Self.packet.count, by: size) {
            #expect(payload == nil)
            payload = try feed(Self.packet[start..<min(start + size, Self.packet.count)], to: &reader)
        }
        #expect(payload == Array(Self.packet[5..<29_996]))
        #expect(pool.take(atLeast: BufferPool.mediumBytes).last == 0, "it is in use")
        #expect(try feed([], to: &reader) == nil)
        #expect(pool.take(atLeast: BufferPool.mediumBytes).last == 7)
    }

    private func feed(_ piece: ArraySlice<UInt8>, to reader: inout PacketReader) throws -> [UInt8]? {
        var bytes = Array(piece)
        var position = 0
        var span = bytes.mutableSpan
        let packet = try reader.next(in: &span, position: &position)
        #expect(position == piece.count)
        return packet.map { Array(reader.assembled[$0.payload]) }
    }
}
