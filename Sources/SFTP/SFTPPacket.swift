package import Base

/// The frame of SFTP (draft-ietf-secsh-filexfer-02 §3): a `uint32` length, a type byte, and in all but the first two packets a request id.
package enum SFTPPacket {
    /// The subsystem (RFC 4254 §6.5) in which it is spoken.
    package static let subsystem = "sftp"
    /// The version that this speaks: the one that OpenSSH and most others have.
    package static let version: UInt32 = 3
    /// The most that a packet may have after its length, as in OpenSSH (`SFTP_MAX_MSG_LENGTH`).
    package static let bytesMax = 256 << 10
    /// What a read or a write may carry, which leaves room for the other fields of its packet; OpenSSH's servers say the same.
    package static let dataBytesMax = bytesMax - 1024
    /// draft-ietf-secsh-filexfer-02 §6.3.
    package static let handleBytesMax = 256

    /// Where the first packet of `bytes` stands, without its length; nil while some of it is missing.
    ///
    /// - Throws: for a length that no packet has: what follows cannot be made sense of.
    package static func first(in bytes: Span<UInt8>) throws(WireError) -> Range<Int>? {
        guard bytes.count >= 4 else { return nil }
        var reader = ByteReader(bytes)
        let count = Int(try reader.readUInt32())
        guard count <= bytesMax else { throw .tooLong(count) }
        guard count >= 1 else { throw .truncated(needed: 1) }
        return count <= reader.remaining ? 4..<4 + count : nil
    }

    /// The id of a request, without its length; 0 for the first packet, which has none.
    static func requestID(_ packet: Span<UInt8>) throws(WireError) -> UInt32 {
        var reader = ByteReader(packet)
        guard try reader.readByte() != SFTPPacketType.initialize.rawValue else { return 0 }
        return try reader.readUInt32()
    }
}

/// The numbers of draft-ietf-secsh-filexfer-02 §3.
enum SFTPPacketType: UInt8 {
    case initialize = 1
    case version = 2
    case open = 3
    case close = 4
    case read = 5
    case write = 6
    case linkStatus = 7
    case handleStatus = 8
    case setStatus = 9
    case setHandleStatus = 10
    case openDirectory = 11
    case readDirectory = 12
    case remove = 13
    case makeDirectory = 14
    case removeDirectory = 15
    case realPath = 16
    case status = 17
    case rename = 18
    case readLink = 19
    case symbolicLink = 20
    case statusReply = 101
    case handle = 102
    case data = 103
    case name = 104
    case attributes = 105
    case extended = 200
    case extendedReply = 201
}
