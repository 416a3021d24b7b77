internal import Base
internal import Crypto

/// Cuts the input into packets and opens them where they lie (RFC 4253 §6).
///
/// A packet that comes in pieces is put together in a buffer that is lent until the packet has been used: a peer that falls silent costs none.
struct PacketReader: ~Copyable {
    /// RFC 4253 §6.1 wants 35,000 taken; a stranger has no need of more.
    static let strangerLengthMax: UInt32 = 35_000
    /// OpenSSH's own limit: a command line of 128 KiB must fit.
    static let lengthMax: UInt32 = 256 << 10

    /// Where a packet's payload lies: in the input, or in ``assembled``.
    struct Packet {
        let payload: Range<Int>
        let isAssembled: Bool
        let sequenceNumber: UInt32
    }

    var lengthMax = PacketReader.strangerLengthMax
    /// The number of the next packet (RFC 4253 §6.4).
    private(set) var sequenceNumber: UInt32 = 0
    /// Under the present keys.
    private(set) var bytesOpened: UInt64 = 0
    private(set) var packetsOpened: UInt64 = 0
    /// Where ``assembled`` comes from and goes to.
    var buffers: BufferPool
    /// The packet that is being put together, in the first ``assembledCount`` bytes; after it has been given out, valid until the next call.
    private(set) var assembled: [UInt8] = []
    private var assembledCount = 0
    private var isAssembledGiven = false
    /// With length and tag; known once the header of the packet in ``assembled`` is there.
    private var assembledTotal: Int?
    private var protection = PacketProtection.clear

    init(buffers: BufferPool) {
        self.buffers = buffers
    }

    /// The next packet comes under these keys. With `resetsSequence` (strict key exchange) it has number 0.
    mutating func take(_ protection: PacketProtection, resetsSequence: Bool) {
        self.protection = protection
        bytesOpened = 0
        packetsOpened = 0
        if resetsSequence { sequenceNumber = 0 }
    }

    /// The next whole packet from `position` on, opened; nil when all of `input` has been taken in.
    mutating func next(in input: inout MutableSpan<UInt8>, position: inout Int) throws(SSHError) -> Packet? {
        if isAssembledGiven { giveBackAssembled() }
        guard assembledCount == 0 else { return try assemble(from: input, position: &position) }
        let available = input.count - position
        guard available > 0 else { return nil }
        var rest = input._mutatingExtracting(position..<input.count)
        if available >= protection.headerBytes {
            let total = try Self.openLength(of: &rest, protection, sequenceNumber, max: lengthMax)
            if available >= total {
                var packet = rest._mutatingExtracting(0..<total)
                let payload = try Self.open(&packet, protection, sequenceNumber)
                defer { position += total }
                return try count(total, payload: payload.lowerBound + position..<payload.upperBound + position, isAssembled: false)
            }
            assembledTotal = total
        }
        fill(upTo: available, from: input, &position)
        return nil
    }

    private mutating func assemble(from input: borrowing MutableSpan<UInt8>, position: inout Int) throws(SSHError) -> Packet? {
        if assembledTotal == nil {
            fill(upTo: protection.headerBytes, from: input, &position)
            guard assembledCount == protection.headerBytes else { return nil }
            let total = try Self.openLength(of: &assembled, protection, sequenceNumber, max: lengthMax)
            assembledTotal = total
        }
        guard let total = assembledTotal else { preconditionFailure("a packet is put together without its length") }
        fill(upTo: total, from: input, &position)
        guard assembledCount == total else { return nil }
        let payload = try Self.open(&assembled, total, protection, sequenceNumber)
        isAssembledGiven = true
        return try count(total, payload: payload, isAssembled: true)
    }

    private mutating func fill(upTo count: Int, from input: borrowing MutableSpan<UInt8>, _ position: inout Int) {
        let taken = min(count - assembledCount, input.count - position)
        reserve(assembledCount + taken)
        assembled.copy(input.span.extracting(position..<position + taken), at: assembledCount)
        assembledCount += taken
        position += taken
    }

    /// As much as has come needs: a length that is only announced costs nothing.
    private mutating func reserve(_ count: Int) {
        guard assembled.count < count else { return }
        // Larger packets than those of data are rare.
        var larger = count <= BufferPool.mediumBytes ? buffers.take(atLeast: count) : [UInt8](repeating: 0, count: assembledTotal ?? count)
        larger.copy(assembled.span.extracting(first: assembledCount), at: 0)
        swap(&assembled, &larger)
        buffers.giveBack(larger)
    }

    private mutating func giveBackAssembled() {
        var used: [UInt8] = []
        swap(&assembled, &used)
        buffers.giveBack(used)
        assembledCount = 0
        assembledTotal = nil
        isAssembledGiven = false
    }

    private mutating func count(_ total: Int, payload: Range<Int>, isAssembled: Bool) throws(SSHError) -> Packet {
        defer { sequenceNumber &+= 1 }
        // Before keys, numbers that come round are the lever of the Terrapin attack.
        if sequenceNumber == .max, protection.isClear { throw SSHError(.sequenceNumberWrapped) }
        bytesOpened += UInt64(total)
        packetsOpened += 1
        return Packet(payload: payload, isAssembled: isAssembled, sequenceNumber: sequenceNumber)
    }

    /// The whole packet's size, tag included, from its first ``PacketProtection/headerBytes``; for AES-CTR without `-etm` these are decrypted in place.
    private static func openLength(
        of packet: inout MutableSpan<UInt8>, _ protection: PacketProtection, _ sequenceNumber: UInt32, max lengthMax: UInt32
    ) throws(SSHError) -> Int {
        let length: UInt32
        switch protection {
        case .clear, .aesGCM:
            length = bigEndian(packet)
        case .chaChaPoly(let cipher):
            length = cipher.packetLength(packet.span.extracting(0..<4), sequenceNumber: sequenceNumber)
        case .aesCTR(let cipher, _, _, let encryptThenMAC):
            if !encryptThenMAC {
                var block = packet._mutatingExtracting(0..<AESCTR.blockBytes)
                cipher.apply(&block)
            }
            length = bigEndian(packet)
        }
        // Padding length, one byte of payload, 4 of padding; less cannot be.
        guard length >= 6, length <= lengthMax else { throw SSHError(.packetLength(length)) }
        let padded = Int(length) + (protection.padsLength ? 4 : 0)
        guard padded.isMultiple(of: protection.blockBytes) else { throw SSHError(.packetLength(length)) }
        return 4 + Int(length) + protection.tagBytes
    }

    private static func openLength(
        of packet: inout [UInt8], _ protection: PacketProtection, _ sequenceNumber: UInt32, max lengthMax: UInt32
    ) throws(SSHError) -> Int {
        var span = packet.mutableSpan
        return try openLength(of: &span, protection, sequenceNumber, max: lengthMax)
    }

    private static func open(
        _ storage: inout [UInt8], _ count: Int, _ protection: PacketProtection, _ sequenceNumber: UInt32
    ) throws(SSHError) -> Range<Int> {
        var whole = storage.mutableSpan
        var packet = whole._mutatingExtracting(0..<count)
        return try open(&packet, protection, sequenceNumber)
    }

    /// Authenticates and decrypts a whole packet whose header ``openLength`` has seen.
    ///
    /// - Returns: where its payload lies.
    private static func open(
        _ packet: inout MutableSpan<UInt8>, _ protection: PacketProtection, _ sequenceNumber: UInt32
    ) throws(SSHError) -> Range<Int> {
        let end = packet.count - protection.tagBytes
        do {
            switch protection {
            case .clear:
                break
            case .aesGCM(let cipher):
                try cipher.open(&packet)
            case .chaChaPoly(let cipher):
                try cipher.open(&packet, sequenceNumber: sequenceNumber)
            case .aesCTR(let cipher, let mac, _, let encryptThenMAC):
                if encryptThenMAC { try check(mac, packet, end, sequenceNumber) }
                var rest = packet._mutatingExtracting((encryptThenMAC ? 4 : AESCTR.blockBytes)..<end)
                cipher.apply(&rest)
                if !encryptThenMAC { try check(mac, packet, end, sequenceNumber) }
            }
        } catch {
            throw SSHError(.packetAuthentication)
        }
        let padding = packet[4]
        guard padding >= 4, 5 + Int(padding) < end else { throw SSHError(.packetPadding(length: UInt32(end - 4), padding: padding)) }
        return 5..<end - Int(padding)
    }

    private static func check(_ mac: HMAC, _ packet: borrowing MutableSpan<UInt8>, _ end: Int, _ sequenceNumber: UInt32) throws(CryptoError)
    {
        let bytes = packet.span
        guard mac.isValid(bytes.extracting(end..<bytes.count), for: bytes.extracting(0..<end), sequenceNumber: sequenceNumber) else {
            throw .authenticationFailed
        }
    }

    private static func bigEndian(_ packet: borrowing MutableSpan<UInt8>) -> UInt32 {
        UInt32(packet[0]) << 24 | UInt32(packet[1]) << 16 | UInt32(packet[2]) << 8 | UInt32(packet[3])
    }
}
