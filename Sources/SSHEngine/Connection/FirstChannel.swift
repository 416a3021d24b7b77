internal import SSHWire

/// What every server of ours gives the first channel of a connection, so that a client need not wait to be told: a session is accepted in the
/// order of its messages.
enum FirstChannel {
    static let number: UInt32 = 0
    /// A window and packets that are at least as large.
    static let windowBytes: UInt32 = 128 << 10
    static let packetBytesMax: UInt32 = 32 << 10

    static func isKept(_ message: ChannelOpenConfirmationMessage) -> Bool {
        message.senderChannel == number && message.initialWindowSize >= windowBytes && message.maximumPacketSize >= packetBytesMax
    }
}
