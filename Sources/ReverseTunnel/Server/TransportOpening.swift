internal import Base
internal import EventLoop
internal import SSHNet
internal import SSHWire

/// A channel towards an agent until there is a connection behind it: then its handler takes over.
final class TransportOpening: ChannelHandler {
    /// What an OpenSSH client that serves SOCKS has to be asked.
    struct Socks {
        var connect: SocksConnect
        /// Names the target in what the user reads.
        let what: String
    }

    private let handler: any ChannelHandler
    /// Names the tunnel's destination in what the user reads.
    private let title: String
    private var socks: Socks?
    /// Whether the SOCKS server says that it has connected.
    private var isConnected = false
    private var answered: (() -> Void)?
    /// Nothing more is to be heard of the channel: its handler has been told.
    private var isOver = false

    /// - Parameters:
    ///   - socks: nil for an agent of ours, which has dialled when it confirms the channel.
    ///   - answered: is called once, when the site is no longer waited for.
    init(_ handler: any ChannelHandler, title: String, socks: Socks?, answered: @escaping () -> Void) {
        self.handler = handler
        self.title = title
        self.socks = socks
        self.answered = answered
    }

    func watch(_ channel: SSHChannel, timeout: Duration) {
        channel.connection.loop.schedule(after: timeout) { [weak self] in self?.timeOut(channel) }
    }

    private func timeOut(_ channel: SSHChannel) {
        guard answered != nil, !isOver else { return }
        refuse(channel, .connectFailed, "\(title) did not answer in time")
        // An open message cannot be taken back: until it is answered it counts.
        if channel.state == .open { end(channel) }
    }

    private func settle() {
        answered?()
        answered = nil
    }

    private func refuse(_ channel: SSHChannel, _ reason: ChannelOpenFailureReason, _ message: String) {
        guard !isOver else { return }
        isOver = true
        handler.channelRefused(channel, reason: reason, message: message)
    }

    private func end(_ channel: SSHChannel) {
        settle()
        channel.close()
    }

    private func takeOver(_ channel: SSHChannel) {
        settle()
        channel.handler = handler
        handler.channelOpened(channel)
    }

    func channelOpened(_ channel: SSHChannel) {
        guard !isOver else { return end(channel) }
        guard let socks else { return takeOver(channel) }
        channel.write(socks.connect.opening)
    }

    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        settle()
        refuse(channel, reason, message)
    }

    /// The SOCKS server's answer, and the first that the target says. RFC 4253 §4.2: a server sends its version without being asked; OpenSSH says that
    /// it has connected before it has, so that nothing else tells.
    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        guard !isOver, var socks else { return channel.consumed(data.count) }
        var data = data
        if !isConnected {
            do throws(SocksConnect.Refusal) {
                let count = try socks.connect.receive(data)
                self.socks = socks
                channel.consumed(count ?? data.count)
                guard let count else { return }
                isConnected = true
                data = data.extracting(droppingFirst: count)
            } catch {
                refuse(channel, .connectFailed, "the agent of \(title), asked for \(socks.what), \(error.explanation)")
                return end(channel)
            }
        }
        guard !data.isEmpty else { return }
        guard zip(Array(copying: data.extracting(first: 4)), "SSH-".utf8).allSatisfy(==) else {
            refuse(channel, .connectFailed, "\(socks.what) does not speak SSH")
            return end(channel)
        }
        takeOver(channel)
        channel.handler?.channel(channel, received: data)
    }

    func channelEOF(_ channel: SSHChannel) {
        fail(channel)
        end(channel)
    }

    func channelClosed(_ channel: SSHChannel) {
        settle()
        fail(channel)
    }

    private func fail(_ channel: SSHChannel) {
        refuse(
            channel, .connectFailed,
            "\(socks?.what ?? "the target") cannot be reached from there: the agent of \(title) ended the connection")
    }
}
