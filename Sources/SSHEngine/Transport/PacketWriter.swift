internal import Base
internal import Crypto
internal import SSHWire

/// Frames, pads and seals packets (RFC 4253 §6), straight into the output.
struct PacketWriter: ~Copyable {
    /// The number of the next packet (RFC 4253 §6.4).
    private(set) var sequenceNumber: UInt32 = 0
    /// Under the present keys.
    private(set) var bytesSealed: UInt64 = 0
    private(set) var packetsSealed: UInt64 = 0
    private var protection = PacketProtection.clear

    /// Where ``storage`` comes from, and goes to when all of it has been consumed.
    var buffers: BufferPool
    /// Sealed and not yet consumed: `storage[start..<end]`.
    private var storage: [UInt8] = []
    private var start = 0
    private var end = 0
    /// Length, padding length and the message's first fields of the packet in work.
    private var header: [UInt8] = []
    /// One random block for every packet: padding hides no secret (RFC 4253 §6 asks for random bytes, not for fresh ones).
    private let padding: [UInt8]

    init(padding: [UInt8], buffers: BufferPool) {
        precondition(padding.count == Self.paddingBytesMax, "padding of the wrong size")
        self.buffers = buffers
        self.padding = padding
    }

    /// The largest block, and three more bytes than a block where fewer than four would do.
    static let paddingBytesMax = 32

    mutating func take(_ protection: PacketProtection, resetsSequence: Bool) {
        self.protection = protection
        bytesSealed = 0
        packetsSealed = 0
        if resetsSequence { sequenceNumber = 0 }
    }

    // MARK: Output

    var count: Int { end - start }
    var storageBytes: Int { storage.count }

    var bytes: Span<UInt8> {
        @_lifetime(borrow self)
        borrowing get { storage.span.extracting(start..<end) }
    }

    mutating func consume(_ count: Int) {
        precondition(count >= 0 && count <= end - start, "more consumed than there is")
        start += count
        guard start == end, !storage.isEmpty else { return }
        var empty: [UInt8] = []
        swap(&storage, &empty)
        buffers.giveBack(empty)
        start = 0
        end = 0
    }

    /// Bytes that are no packet: the version line.
    mutating func writeRaw(_ raw: [UInt8]) {
        reserve(raw.count)
        storage.copy(raw.span, at: end)
        end += raw.count
    }

    // MARK: Packets

    mutating func write(_ payload: [UInt8]) {
        begin()
        seal(payload.span)
    }

    mutating func write(_ message: ChannelWindowAdjustMessage) {
        begin()
        header.append(93)
        append(message.recipientChannel)
        append(message.bytesToAdd)
        seal(Span())
    }

    mutating func writeData(_ data: Span<UInt8>, channel: UInt32) {
        begin()
        header.append(94)
        append(channel)
        append(UInt32(data.count))
        seal(data)
    }

    mutating func writeExtendedData(_ data: Span<UInt8>, type: UInt32, channel: UInt32) {
        begin()
        header.append(95)
        append(channel)
        append(type)
        append(UInt32(data.count))
        seal(data)
    }

    private mutating func begin() {
        header.removeAll(keepingCapacity: true)
        // Length and padding length, known when the rest is.
        for _ in 0..<5 { header.append(0) }
    }

    private mutating func append(_ value: UInt32) {
        header.append(UInt8(truncatingIfNeeded: value >> 24))
        header.append(UInt8(truncatingIfNeeded: value >> 16))
        header.append(UInt8(truncatingIfNeeded: value >> 8))
        header.append(UInt8(truncatingIfNeeded: value))
    }

    private mutating func seal(_ body: Span<UInt8>) {
        let block = protection.blockBytes
        let unpadded = header.count + body.count - (protection.padsLength ? 0 : 4)
        var paddingBytes = block - unpadded % block
        if paddingBytes < 4 { paddingBytes += block }
        let length = header.count - 4 + body.count + paddingBytes
        for index in 0..<4 { header[index] = UInt8(truncatingIfNeeded: length >> (24 - 8 * index)) }
        header[4] = UInt8(paddingBytes)

        let total = 4 + length + protection.tagBytes
        reserve(total)
        Self.seal(
            header, body, padding, paddingBytes, protection, sequenceNumber, into: &storage, at: end..<end + total)
        end += total
        sequenceNumber &+= 1
        bytesSealed += UInt64(total)
        packetsSealed += 1
    }

    private mutating func reserve(_ count: Int) {
        guard storage.count - end < count else { return }
        let waiting = end - start
        var larger = buffers.take(atLeast: waiting + count <= BufferPool.largeBytes ? waiting + count : (waiting + count) * 2)
        larger.copy(bytes, at: 0)
        swap(&storage, &larger)
        if !larger.isEmpty { buffers.giveBack(larger) }
        start = 0
        end = waiting
    }

    private static func seal(
        _ header: [UInt8], _ body: Span<UInt8>, _ paddingBlock: [UInt8], _ paddingBytes: Int, _ protection: PacketProtection,
        _ sequenceNumber: UInt32, into storage: inout [UInt8], at range: Range<Int>
    ) {
        let header = header.span
        let padding = paddingBlock.span.extracting(0..<paddingBytes)
        var whole = storage.mutableSpan
        var packet = whole._mutatingExtracting(range)
        switch protection {
        case .aesGCM(let cipher):
            cipher.seal(header: header, body: body, padding: padding, into: &packet)
        case .chaChaPoly(let cipher):
            cipher.seal(header: header, body: body, padding: padding, into: &packet, sequenceNumber: sequenceNumber)
        case .clear:
            lay(header, body, padding, &packet)
        case .aesCTR(let cipher, let mac, let tagBytes, let encryptThenMAC):
            lay(header, body, padding, &packet)
            let end = packet.count - tagBytes
            if !encryptThenMAC { authenticate(mac, &packet, end, sequenceNumber) }
            var plain = packet._mutatingExtracting((encryptThenMAC ? 4 : 0)..<end)
            cipher.apply(&plain)
            if encryptThenMAC { authenticate(mac, &packet, end, sequenceNumber) }
        }
    }

    private static func lay(_ header: Span<UInt8>, _ body: Span<UInt8>, _ padding: Span<UInt8>, _ packet: inout MutableSpan<UInt8>) {
        packet.copy(header, at: 0)
        packet.copy(body, at: header.count)
        packet.copy(padding, at: header.count + body.count)
    }

    private static func authenticate(_ mac: HMAC, _ packet: inout MutableSpan<UInt8>, _ end: Int, _ sequenceNumber: UInt32) {
        var computed = InlineArray<64, UInt8>(repeating: 0)
        var span = computed.mutableSpan
        mac.authenticate(packet.span.extracting(0..<end), sequenceNumber: sequenceNumber, into: &span)
        let tagBytes = packet.count - end
        packet.copy(span.span.extracting(0..<tagBytes), at: end)
    }
}
