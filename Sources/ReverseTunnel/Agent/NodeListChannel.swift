internal import Base
internal import SSHNet

/// A channel that gives one text and ends.
final class NodeListChannel: ChannelHandler {
    private init() {}

    static func serve(_ bytes: [UInt8], _ request: ChannelOpenRequest) {
        let channel = request.accept(handler: NodeListChannel())
        channel.write(bytes)
        channel.sendEOF()
        channel.close()
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        channel.consumed(data.count)
    }

    func channelClosed(_ channel: SSHChannel) {}
}
