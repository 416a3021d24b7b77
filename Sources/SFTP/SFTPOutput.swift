internal import Base

/// Replies that wait to be written, one behind the other in one buffer that is used again.
package struct SFTPOutput: ~Copyable {
    private var storage: [UInt8]
    package private(set) var count = 0

    /// Where a reply's data begin: after length, type, id and the length of the data.
    private static let dataStart = 13

    package init() {
        storage = [UInt8](repeating: 0, count: 2 * SFTPPacket.bytesMax)
    }

    /// From here on the waiting replies should be written, so that the buffer need not grow.
    package var isFull: Bool { count >= SFTPPacket.bytesMax }

    package var bytes: Span<UInt8> {
        @_lifetime(borrow self)
        get { storage.span.extracting(first: count) }
    }

    package mutating func removeAll() {
        count = 0
    }

    mutating func append(_ reply: SFTPReply, id: UInt32) {
        let framed = reply.framed(id: id)
        reserve(framed.count)
        copy(framed.span, at: count)
        count += framed.count
    }

    /// Appends a `SSH_FXP_DATA` whose bytes `read` puts in their place.
    ///
    /// - Parameter read: fills the span and says how far; 0 for the end of the file.
    mutating func appendData(
        id: UInt32, bytesMax: Int, read: (inout MutableSpan<UInt8>) throws(SFTPFailure) -> Int
    ) throws(SFTPFailure) {
        reserve(Self.dataStart + bytesMax)
        let start = count + Self.dataStart
        var room = storage.mutableSpan
        var data = room._mutatingExtracting(start..<start + bytesMax)
        let dataCount = try read(&data)
        guard dataCount > 0 else { throw SFTPFailure(.endOfFile) }
        var header = ByteWriter(capacity: Self.dataStart)
        header.writeUInt32(UInt32(Self.dataStart - 4 + dataCount))
        header.writeByte(SFTPPacketType.data.rawValue)
        header.writeUInt32(id)
        header.writeUInt32(UInt32(dataCount))
        copy(header.finish().span, at: count)
        count = start + dataCount
    }

    private mutating func copy(_ bytes: Span<UInt8>, at offset: Int) {
        var room = storage.mutableSpan
        room.copy(bytes, at: offset)
    }

    private mutating func reserve(_ added: Int) {
        let missing = count + added - storage.count
        if missing > 0 { storage.append(contentsOf: repeatElement(0, count: missing)) }
    }
}
