internal import SSHWire

/// The way out: packets are sealed at once, or, while a key exchange forbids them (RFC 4253 §7.1), wait in order.
///
/// Channel data never waits here but in its channel's queue.
struct Outbox: ~Copyable {
    /// What may wait for one key exchange: replies that a peer asks for while it does not finish its own.
    static let heldBytesMax = 1 << 20
    /// What a small message costs beyond its bytes.
    private static let messageOverhead = 64

    var writer: PacketWriter
    private(set) var isBlocked = false
    private var held: [[UInt8]] = []
    private(set) var heldBytes = 0

    init(writer: consuming PacketWriter) {
        self.writer = writer
    }

    /// Whether more waits than a peer may make us hold.
    var isOverfull: Bool { heldBytes > Self.heldBytesMax }

    mutating func send(_ payload: [UInt8]) {
        if isBlocked {
            held.append(payload)
            heldBytes += payload.count + Self.messageOverhead
        } else {
            writer.write(payload)
        }
    }

    /// The one message besides data that a long transfer is full of.
    mutating func send(_ message: ChannelWindowAdjustMessage) {
        if isBlocked { send(message.payload()) } else { writer.write(message) }
    }

    mutating func block() {
        isBlocked = true
    }

    mutating func unblock() {
        isBlocked = false
        for payload in held { writer.write(payload) }
        held = []
        heldBytes = 0
    }

    /// Nothing that waits will ever go.
    mutating func dropHeld() {
        held = []
        heldBytes = 0
    }
}
