internal import SSHWire

/// One channel (RFC 4254 §5): what each side may still send, and what waits.
struct Channel {
    enum Phase {
        /// The number is nobody's.
        case free
        /// We have asked for it.
        case opening
        /// We have asked for it and go on as ``FirstChannel`` promises, before the peer has answered.
        case ahead
        /// The peer has asked for it and our side has not answered.
        case offered
        case open
    }

    let id: ChannelID
    var phase: Phase
    var remoteNumber: UInt32
    var remotePacketMax: Int
    var window: ChannelWindow
    var closing = ChannelClosing()
    var queue = SendQueue()
    var sendsEOFAfterQueue = false
    var closesAfterQueue = false
    /// Requests of ours whose replies are to come.
    var awaitedReplies = 0
    /// Requests of the peer that wait for our reply.
    var owedReplies = 0
    /// Whether the caller has been told that the queue is full.
    var hasBeenFull = false

    /// What stands where a number is to be used again, with the identifier that it will have.
    static func free(_ id: ChannelID) -> Channel {
        Channel(id: id, phase: .free, remoteNumber: 0, remotePacketMax: 0, window: ChannelWindow(local: 0, remote: 0))
    }

    /// What one packet to this channel may carry.
    var room: Int { min(Int(window.remote), remotePacketMax) }

    /// Whether the peer's number is known.
    var isUsable: Bool { phase == .open || phase == .ahead }

    /// Whether the peer is still to answer our open.
    var isUnconfirmed: Bool { phase == .opening || phase == .ahead }

    /// Whether the caller may still send.
    var takesData: Bool {
        isUsable && closing.maySendData && !sendsEOFAfterQueue && !closesAfterQueue
    }
}
