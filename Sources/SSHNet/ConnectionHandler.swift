package import Base
package import SSHEngine
package import SSHWire

/// What a service does with a connection. All calls come on the connection's loop.
package protocol ConnectionHandler: AnyObject {
    /// Server: may this user in with this key or certificate? Where ``UserAuthAttempt/isProven`` is false the client only asks, and the answer must
    /// have no other effect. May answer later, once.
    func connection(_ connection: SSHConnection, authenticate attempt: UserAuthAttempt, answer: @escaping (UserAuthAnswer) -> Void)
    /// Client: is this the right host? May answer later, once.
    func connection(_ connection: SSHConnection, verify hostKey: HostKeyOffer, answer: @escaping (HostKeyAnswer) -> Void)
    /// Client: a signature by a key that the engine does not hold, or nil.
    func connection(_ connection: SSHConnection, sign request: SignatureRequest, answer: @escaping ([UInt8]?) -> Void)
    /// Client: a text to be shown before authentication.
    func connection(_ connection: SSHConnection, banner: String)
    /// Client: the login is out, to a server of ours that judges it before whatever follows it: channels may be opened already. Where it fails they
    /// are refused, and ``connectionClosed(_:error:)`` says why.
    func connectionLoginSent(_ connection: SSHConnection)
    /// The user is authenticated: channels may be opened.
    func connectionReady(_ connection: SSHConnection)
    /// The peer opens a channel: accept or refuse it, now or later.
    func connection(_ connection: SSHConnection, opens request: ChannelOpenRequest)
    /// Where a reply is wanted, reply, now or later. Keepalive probes are answered before they come here.
    func connection(_ connection: SSHConnection, globalRequest request: GlobalRequest)
    /// The last call; all channels have had theirs before. No error means that this side or the peer ended the connection in order.
    func connectionClosed(_ connection: SSHConnection, error: TeleportError?)
}

/// What a handler need not say: everything not asked for is refused.
extension ConnectionHandler {
    package func connection(_ connection: SSHConnection, authenticate attempt: UserAuthAttempt, answer: @escaping (UserAuthAnswer) -> Void)
    {
        answer(.reject)
    }

    package func connection(_ connection: SSHConnection, verify hostKey: HostKeyOffer, answer: @escaping (HostKeyAnswer) -> Void) {
        answer(.reject(reason: "nobody checks host keys here"))
    }

    package func connection(_ connection: SSHConnection, sign request: SignatureRequest, answer: @escaping ([UInt8]?) -> Void) {
        answer(nil)
    }

    package func connection(_ connection: SSHConnection, banner: String) {}

    package func connectionLoginSent(_ connection: SSHConnection) {}

    package func connection(_ connection: SSHConnection, opens request: ChannelOpenRequest) {
        request.refuse(.unknownChannelType, "unknown channel type")
    }

    package func connection(_ connection: SSHConnection, globalRequest request: GlobalRequest) {
        request.reply(success: false)
    }
}

/// A channel that the peer wants to open.
package final class ChannelOpenRequest {
    package let type: String
    /// What follows the common fields (RFC 4254 §5.1).
    package let payload: [UInt8]
    package let connection: SSHConnection
    private let offer: ChannelOpenOffer
    private var isAnswered = false

    /// As it came, for another loop to answer.
    var unanswered: ChannelOpenOffer? { isAnswered ? nil : offer }

    init(_ offer: ChannelOpenOffer, on connection: SSHConnection) {
        type = offer.type
        payload = offer.payload
        self.offer = offer
        self.connection = connection
    }

    /// - Returns: the open channel; where the connection has ended meanwhile, one that does nothing and whose ``ChannelHandler/channelClosed(_:)``
    ///   comes at the end of the turn.
    @discardableResult
    package func accept(handler: any ChannelHandler, payload: [UInt8] = []) -> SSHChannel {
        precondition(!isAnswered, "a channel is accepted or refused once")
        isAnswered = true
        return connection.accept(offer.id, type: type, payload: payload, handler: handler)
    }

    package func refuse(_ reason: ChannelOpenFailureReason, _ message: String) {
        precondition(!isAnswered, "a channel is accepted or refused once")
        isAnswered = true
        connection.refuse(offer.id, reason, message)
    }
}

/// A request about the connection as a whole (RFC 4254 §4).
package final class GlobalRequest {
    package let name: String
    package let payload: [UInt8]
    package let wantsReply: Bool
    private let connection: SSHConnection
    fileprivate(set) var answer: (success: Bool, payload: [UInt8])?

    init(_ offer: GlobalRequestOffer, on connection: SSHConnection) {
        name = offer.name
        payload = offer.payload
        wantsReply = offer.wantsReply
        self.connection = connection
    }

    /// Replies go out in the order of the requests, whatever the order of these calls. Does nothing where no reply is wanted.
    package func reply(success: Bool, payload: [UInt8] = []) {
        guard wantsReply, answer == nil else { return }
        answer = (success, payload)
        connection.sendGlobalReplies()
    }
}

/// The answer to a global request of ours.
package enum GlobalReply: Equatable, Sendable {
    case success(payload: [UInt8])
    case failure
    /// The connection ended first.
    case closed
}
