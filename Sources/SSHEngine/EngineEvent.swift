package import SSHWire

/// A channel of one connection, as both sides' commands and events name it.
///
/// The number is ours (RFC 4254 §5.1) and is used again after a close; the generation is what tells the two channels apart, so that a
/// command that comes too late meets nothing.
package struct ChannelID: Hashable, Sendable, CustomStringConvertible {
    package let number: UInt32
    let generation: UInt32

    init(number: UInt32, generation: UInt32) {
        self.number = number
        self.generation = generation
    }

    package var description: String { "\(number)" }
}

/// Where the bytes of an event lie.
package enum ReceivedBytes: Sendable {
    /// In the input that was handed to ``SSHEngine/nextEvent(in:now:)``, opened in place: valid until the caller gives that memory away.
    case input(Range<Int>)
    /// In the engine's own buffer, where the packet came in pieces: let go of it before the next call of `nextEvent`, or it is copied.
    case assembled([UInt8], Range<Int>)

    package var count: Int {
        switch self {
        case .input(let range): range.count
        case .assembled(_, let range): range.count
        }
    }
}

/// What the caller must do or know, in the order in which the peer made it so.
package enum EngineEvent: Sendable {
    /// A key exchange has finished: the first, or a rekey.
    case keysExchanged(KeyExchangeSummary)
    /// Client: the peer showed this host key and proved that it holds it. Answer with ``SSHEngine/resolve(hostKey:_:)``.
    case hostKeyOffered(DecisionToken, HostKeyOffer)
    /// Client: sign this with a key that the engine does not hold. Answer with ``SSHEngine/resolve(signature:_:)``.
    case signatureWanted(DecisionToken, SignatureRequest)
    /// Server: may this user in with this key? Answer with ``SSHEngine/resolve(userAuth:_:)``.
    case userAuthAttempted(DecisionToken, UserAuthAttempt)
    /// Client: a text to be shown before authentication (RFC 4252 §5.4); control characters have been taken out.
    case banner(String)
    /// Client: the last request to log in is out, to a server that judges it before whatever follows it: channels may be opened.
    case loginSent
    /// User authentication is over: channels may be opened.
    case authenticated(user: String)

    /// The peer opens a channel: ``SSHEngine/acceptChannel(_:payload:)`` or ``SSHEngine/refuseChannel(_:reason:message:)``, at any time.
    case channelOpenRequested(ChannelOpenOffer)
    /// The peer confirmed a channel that we opened.
    case channelOpened(ChannelID, payload: [UInt8])
    /// The peer refused a channel that we opened; the identifier is gone.
    case channelRefused(ChannelID, reason: ChannelOpenFailureReason, message: String)
    case channelData(ChannelID, ReceivedBytes)
    case channelExtendedData(ChannelID, type: UInt32, ReceivedBytes)
    /// Where a reply is wanted, give it with ``SSHEngine/replyToRequest(on:success:)``: replies go out in the order of the requests.
    case channelRequest(ChannelID, ChannelRequestOffer)
    /// The reply to the oldest request of ours on this channel that wanted one.
    case channelRequestReply(ChannelID, success: Bool)
    case channelEOF(ChannelID)
    /// Both sides have closed: the last event of this identifier.
    case channelClosed(ChannelID)
    /// The queue fell below its low mark after ``SSHEngine/isWritable(_:)`` had been false.
    case channelWritable(ChannelID)

    /// Where a reply is wanted, give it with ``SSHEngine/replyToGlobalRequest(success:payload:)``, in the order of the requests.
    case globalRequest(GlobalRequestOffer)
    /// The reply to the oldest global request of ours that wanted one.
    case globalReply(success: Bool, payload: [UInt8])

    /// The peer said good-bye; nothing follows.
    case disconnected(reason: DisconnectReason, message: String)
}

/// What the two sides agreed on.
package struct KeyExchangeSummary: Equatable, Sendable {
    package let isRekey: Bool
    package let keyExchange: String
    package let hostKey: String
    package let cipherFromClient: String
    package let cipherFromServer: String
    package let isStrict: Bool
}

/// A channel that the peer wants to open (RFC 4254 §5.1).
package struct ChannelOpenOffer: Sendable {
    package let id: ChannelID
    package let type: String
    /// What follows the common fields.
    package let payload: [UInt8]
}

/// A request on a channel (RFC 4254 §5.4).
package struct ChannelRequestOffer: Sendable {
    package let type: String
    package let payload: [UInt8]
    package let wantsReply: Bool
}

/// A request about the connection as a whole (RFC 4254 §4).
package struct GlobalRequestOffer: Sendable {
    package let name: String
    package let payload: [UInt8]
    package let wantsReply: Bool
}
