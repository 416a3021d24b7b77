internal import EventLoop
internal import SSHEngine
package import SSHWire

/// What a service does with one channel. All calls come on the connection's loop.
package protocol ChannelHandler: AnyObject {
    /// The peer confirmed a channel that we opened.
    func channelOpened(_ channel: SSHChannel)
    /// The peer refused a channel that we opened, or the connection ended first: the last call.
    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String)
    /// - Parameter data: lent for this call. The peer may send as much again after ``SSHChannel/consumed(_:)``.
    func channel(_ channel: SSHChannel, received data: Span<UInt8>)
    /// Of the same window as plain data.
    func channel(_ channel: SSHChannel, receivedExtended data: Span<UInt8>, type: UInt32)
    /// Where a reply is wanted, reply, now or later.
    func channel(_ channel: SSHChannel, request: ChannelRequest)
    /// The peer sends no more data; requests may still come.
    func channelEOF(_ channel: SSHChannel)
    /// There is room again after ``SSHChannel/isWritable`` had said no.
    func channelWritable(_ channel: SSHChannel)
    /// Both sides have closed, or the connection has ended: the last call.
    func channelClosed(_ channel: SSHChannel)
}

extension ChannelHandler {
    package func channelOpened(_ channel: SSHChannel) {}
    package func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {}
    package func channel(_ channel: SSHChannel, receivedExtended data: Span<UInt8>, type: UInt32) { channel.consumed(data.count) }
    package func channel(_ channel: SSHChannel, request: ChannelRequest) { request.reply(false) }
    package func channelEOF(_ channel: SSHChannel) {}
    package func channelWritable(_ channel: SSHChannel) {}
}

/// A request on a channel (RFC 4254 §5.4).
package final class ChannelRequest {
    package let type: String
    package let payload: [UInt8]
    package let wantsReply: Bool
    private let channel: SSHChannel
    fileprivate var answer: Bool?

    init(_ offer: ChannelRequestOffer, on channel: SSHChannel) {
        type = offer.type
        payload = offer.payload
        wantsReply = offer.wantsReply
        self.channel = channel
    }

    /// Replies go out in the order of the requests, whatever the order of these calls. Does nothing where no reply is wanted.
    package func reply(_ success: Bool) {
        guard wantsReply, answer == nil else { return }
        answer = success
        channel.sendReplies()
    }
}

/// One channel of a connection; after its end every call does nothing.
package final class SSHChannel {
    package enum State: Sendable {
        case opening, open, closed
    }

    package let connection: SSHConnection
    package let type: String
    /// Held until the channel has closed.
    package var handler: (any ChannelHandler)?
    package private(set) var state: State
    /// Whether the peer has said that it sends no more.
    package private(set) var hasReceivedEOF = false

    let id: ChannelID?
    /// Open on the word of the peer, which has not yet said so.
    private var isUnconfirmed = false
    /// The peer's requests that wait for our reply, oldest first.
    private var unanswered: [ChannelRequest] = []
    /// Our requests that wait for the peer's.
    private var replies: [((Bool) -> Void)?] = []
    /// Whether somebody was told that there is no room.
    private var isBlocked = false
    /// Consumed, but not granted to the peer while the connection's output is full.
    private var withheld = 0

    /// What an open channel is without its loop.
    struct Moving: Sendable {
        let id: ChannelID
        fileprivate let type: String
        fileprivate let hasReceivedEOF: Bool
        fileprivate let withheld: Int
    }

    /// nil while a request is unanswered on either side, and where the channel is not open.
    var moving: Moving? {
        guard let id, state == .open, unanswered.isEmpty, replies.isEmpty else { return nil }
        return Moving(id: id, type: type, hasReceivedEOF: hasReceivedEOF, withheld: withheld)
    }

    init(_ moving: Moving, on connection: SSHConnection) {
        id = moving.id
        type = moving.type
        state = .open
        hasReceivedEOF = moving.hasReceivedEOF
        withheld = moving.withheld
        isBlocked = true
        self.connection = connection
    }

    init(_ id: ChannelID?, type: String, state: State, on connection: SSHConnection, handler: any ChannelHandler) {
        self.id = id
        self.type = type
        self.state = state
        self.connection = connection
        self.handler = handler
    }

    convenience init(ahead id: ChannelID, type: String, on connection: SSHConnection, handler: any ChannelHandler) {
        self.init(id, type: type, state: .open, on: connection, handler: handler)
        isUnconfirmed = true
    }

    // MARK: Commands

    package func write(_ data: [UInt8]) {
        write(data.span)
    }

    /// Seals the data into the connection's output; what exceeds the peer's window waits. Nothing is refused: a source asks ``isWritable``.
    package func write(_ data: Span<UInt8>) {
        guard let id, state == .open else { return }
        connection.send(data, on: id)
    }

    package func writeExtended(_ data: Span<UInt8>, type: UInt32 = 1) {
        guard let id, state == .open else { return }
        connection.sendExtended(data, type: type, on: id)
    }

    /// Whether a source should go on. After a no, ``ChannelHandler/channelWritable(_:)`` says when.
    package var isWritable: Bool {
        guard let id, state == .open else { return false }
        if connection.isWritable(id) { return true }
        isBlocked = true
        return false
    }

    /// Lets the peer send `count` more bytes.
    package func consumed(_ count: Int) {
        guard let id, state == .open, count > 0 else { return }
        if connection.isOutputFull {
            withheld += count
            connection.channelsWaiting = true
        } else {
            connection.consumed(count, on: id)
        }
    }

    /// After what has been written.
    package func sendEOF() {
        guard let id, state == .open else { return }
        connection.command { $0.sendEOF(on: id) }
    }

    /// After what has been written; ``ChannelHandler/channelClosed(_:)`` comes when the peer has closed too.
    package func close() {
        guard let id, state != .closed else { return }
        connection.command { $0.closeChannel(id) }
    }

    /// - Parameter then: is told the peer's reply; without it none is asked for.
    package func request(_ type: String, payload: [UInt8] = [], then: ((Bool) -> Void)? = nil) {
        guard let id, state == .open else {
            then.map { then in connection.loop.atEndOfTurn { then(false) } }
            return
        }
        if then != nil { replies.append(then) }
        connection.command { $0.sendRequest(type, payload: payload, wantsReply: then != nil, on: id) }
    }

    fileprivate func sendReplies() {
        while let success = unanswered.first?.answer {
            unanswered.removeFirst()
            guard let id, state == .open else { continue }
            connection.command { $0.replyToRequest(on: id, success: success) }
        }
    }

    // MARK: Events, from the connection

    func opened() {
        guard !isUnconfirmed else {
            isUnconfirmed = false
            return
        }
        state = .open
        handler?.channelOpened(self)
    }

    func refused(_ reason: ChannelOpenFailureReason, _ message: String) {
        state = .closed
        replies = []
        let handler = handler
        self.handler = nil
        handler?.channelRefused(self, reason: reason, message: message)
    }

    func requested(_ offer: ChannelRequestOffer) {
        let request = ChannelRequest(offer, on: self)
        if request.wantsReply { unanswered.append(request) }
        handler?.channel(self, request: request)
    }

    func replied(_ success: Bool) {
        guard !replies.isEmpty else { return }
        replies.removeFirst()?(success)
    }

    func ended() {
        hasReceivedEOF = true
        handler?.channelEOF(self)
    }

    /// The queue of the channel or of the connection has room.
    func roomAgain() {
        if withheld > 0 {
            let count = withheld
            withheld = 0
            consumed(count)
        }
        if isBlocked, isWritable {
            isBlocked = false
            handler?.channelWritable(self)
        }
    }

    func closed() {
        guard state != .closed else { return }
        guard state == .open, !isUnconfirmed else {
            refused(.connectFailed, "the connection ended")
            return
        }
        state = .closed
        let replies = replies
        self.replies = []
        for reply in replies { reply?(false) }
        let handler = handler
        self.handler = nil
        handler?.channelClosed(self)
    }
}
