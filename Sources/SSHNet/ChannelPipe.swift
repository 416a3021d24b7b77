package import EventLoop
internal import Base

/// What any number of pipes have passed on. Bound to its loop.
package final class RelayedBytes {
    package fileprivate(set) var fromFirst: UInt64 = 0
    package fileprivate(set) var fromSecond: UInt64 = 0

    package init() {}
}

/// What a channel is joined to.
package enum PipeSide {
    /// Connected and paused; `greeting` has come from it already.
    case stream(Stream, greeting: [UInt8] = [])
    case channel(SSHChannel)
    /// Connected to its other end in the callback that joins it.
    case elsewhere(CrossLoopEnd)

    fileprivate var end: any PipeEnd {
        switch self {
        case .stream(let stream, _): StreamEnd(stream)
        case .channel(let channel): ChannelEnd(channel)
        case .elsewhere(let end): end
        }
    }
}

/// Joins a channel to another channel or to a stream, in both directions, until both have ended.
///
/// Each direction ends on its own: an end of file on one side becomes one on the other. Bytes are sealed from where they were read straight into the
/// other side's output. The peer of a side gets window only for what the other side has room for.
package final class ChannelPipe {
    private let relayed: RelayedBytes?
    private let first: any PipeEnd
    private let second: any PipeEnd
    private var closed: (() -> Void)?
    private var openEnds = 2

    /// - Parameters:
    ///   - first: an open channel; the pipe becomes its handler.
    ///   - early: what had come from `first` before, to be sent first.
    ///   - relayed: counts what passes.
    ///   - closed: is called once, when both sides have closed.
    package static func join(
        _ first: SSHChannel, _ second: PipeSide, early: [UInt8] = [], counting relayed: RelayedBytes? = nil,
        closed: @escaping () -> Void = {}
    ) {
        if case .stream(_, let greeting) = second { first.write(greeting) }
        ChannelPipe(ChannelEnd(first), second.end, relayed, closed).begin(early)
    }

    /// The same with a channel that the peer opens, and that is accepted.
    package static func accept(
        _ request: ChannelOpenRequest, _ second: PipeSide, counting relayed: RelayedBytes? = nil, closed: @escaping () -> Void = {}
    ) {
        join(request.accept(handler: NotYetJoined()), second, counting: relayed, closed: closed)
    }

    private init(_ first: any PipeEnd, _ second: any PipeEnd, _ relayed: RelayedBytes?, _ closed: @escaping () -> Void) {
        self.relayed = relayed
        self.first = first
        self.second = second
        self.closed = closed
    }

    private func begin(_ early: [UInt8]) {
        first.pipe = self
        second.pipe = self
        if !early.isEmpty { received(early.span, from: first, extended: nil) }
        first.begin()
        second.begin()
    }

    private func close() {
        first.close()
        second.close()
    }

    func received(_ bytes: Span<UInt8>, from end: any PipeEnd, extended type: UInt32?) {
        if let relayed {
            if end === first { relayed.fromFirst += UInt64(bytes.count) } else { relayed.fromSecond += UInt64(bytes.count) }
        }
        let other = other(end)
        other.write(bytes, extended: type)
        end.took(bytes.count, hasRoom: other.isWritable)
    }

    func ended(_ end: any PipeEnd) {
        let other = other(end)
        // The end of both directions is one call to the kernel.
        if other.hasEnded { close() } else { other.finish() }
    }

    func writable(_ end: any PipeEnd) {
        other(end).goOn()
    }

    func closed(_ end: any PipeEnd) {
        openEnds -= 1
        // What the other side was still to be told goes out before its end.
        other(end).close()
        guard openEnds == 0, let closed else { return }
        self.closed = nil
        first.pipe = nil
        second.pipe = nil
        closed()
    }

    private func other(_ end: any PipeEnd) -> any PipeEnd { end === first ? second : first }
}

/// Stands in between the acceptance of a channel and its joining, which follow each other at once.
private final class NotYetJoined: ChannelHandler {
    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {}
    func channelClosed(_ channel: SSHChannel) {}
}

/// One side of a pipe.
protocol PipeEnd: AnyObject {
    var pipe: ChannelPipe? { get set }
    var isWritable: Bool { get }
    /// Whether this side has sent its end of file.
    var hasEnded: Bool { get }
    func begin()
    func write(_ bytes: Span<UInt8>, extended type: UInt32?)
    /// The other side was given `count` bytes of ours, and has room for more or will say when.
    func took(_ count: Int, hasRoom: Bool)
    /// The other side has room again.
    func goOn()
    /// The other side has ended.
    func finish()
    /// After what was written, and with an end of file.
    func close()
}

private final class ChannelEnd: PipeEnd, ChannelHandler {
    var pipe: ChannelPipe?
    private let channel: SSHChannel
    /// Passed on, and not yet granted to the peer again.
    private var withheld = 0

    init(_ channel: SSHChannel) {
        self.channel = channel
        channel.handler = self
    }

    var isWritable: Bool { channel.isWritable }
    var hasEnded: Bool { channel.hasReceivedEOF }

    func begin() {
        if channel.state == .closed {
            // It went while the other side was made: nothing more is heard of it.
            pipe?.closed(self)
        } else if channel.hasReceivedEOF {
            pipe?.ended(self)
        }
    }

    func write(_ bytes: Span<UInt8>, extended type: UInt32?) {
        if let type { channel.writeExtended(bytes, type: type) } else { channel.write(bytes) }
    }

    func took(_ count: Int, hasRoom: Bool) {
        if hasRoom { channel.consumed(count) } else { withheld += count }
    }

    func goOn() {
        let count = withheld
        withheld = 0
        channel.consumed(count)
    }

    func finish() { channel.sendEOF() }

    func close() {
        channel.sendEOF()
        channel.close()
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) { pipe?.received(data, from: self, extended: nil) }
    func channel(_ channel: SSHChannel, receivedExtended data: Span<UInt8>, type: UInt32) {
        pipe?.received(data, from: self, extended: type)
    }
    func channelEOF(_ channel: SSHChannel) { pipe?.ended(self) }
    func channelWritable(_ channel: SSHChannel) { pipe?.writable(self) }
    func channelClosed(_ channel: SSHChannel) { pipe?.closed(self) }
}

private final class StreamEnd: PipeEnd, StreamHandler {
    var pipe: ChannelPipe?
    private let stream: Stream
    private(set) var hasEnded = false

    init(_ stream: Stream) {
        self.stream = stream
        stream.handler = self
    }

    var isWritable: Bool { stream.isWritable }
    func begin() { stream.resumeReading() }

    func write(_ bytes: Span<UInt8>, extended type: UInt32?) {
        // A stream has no second direction for diagnostics.
        if type == nil { stream.write(bytes) }
    }

    func took(_ count: Int, hasRoom: Bool) {
        if !hasRoom { stream.pauseReading() }
    }

    func goOn() { stream.resumeReading() }
    func finish() { stream.shutdown() }
    func close() { stream.closeAfterWrites() }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) { pipe?.received(bytes.span, from: self, extended: nil) }

    func streamEnded(_ stream: Stream) {
        hasEnded = true
        pipe?.ended(self)
    }

    func streamDrained(_ stream: Stream) { pipe?.writable(self) }
    func streamClosed(_ stream: Stream, error: TeleportError?) { pipe?.closed(self) }
}
