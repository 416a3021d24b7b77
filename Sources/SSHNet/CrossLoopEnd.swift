package import EventLoop
internal import Base

/// One end of a pipe whose other side is on another loop: what goes in at one end comes out at the other.
///
///     loop A: user's channel ── ChannelPipe ── CrossLoopEnd ══ batches ══ CrossLoopEnd ── ChannelPipe ── tunnel's channel :loop B
///
/// The one place where relayed bytes are copied and cross a thread: a turn's worth of them in one message. What the other loop has not passed on is
/// bounded: above ``mailboxBytesMax`` this end is not writable, which closes the window of whoever sends into it.
package final class CrossLoopEnd: TurnGatherer {
    var pipe: ChannelPipe?
    private let loop: Loop
    private var peer: LoopBound<CrossLoopEnd>?
    private(set) var hasEnded = false
    /// What goes to the other end with the turn's end.
    private var batch = Batch()
    private var gathered = 0
    private var isFlushScheduled = false
    /// Sent, and not yet passed on there.
    private var unconfirmed = 0
    /// Whether somebody was told that there is no room.
    private var isBlocked = false
    /// Received and passed on, and not confirmed while our side of the pipe has no room.
    private var withheld = 0
    private var hasFinished = false
    private var isClosed = false

    /// As much as a stream holds before its writer is asked to stop.
    package static let mailboxBytesMax = Stream.queuedBytesHigh
    private static let mailboxBytesLow = Stream.queuedBytesLow
    /// So much goes to the other loop before the turn ends: a fast peer brings many times this in one turn.
    private static let gatheredBytesMax = 256 << 10

    /// What one turn of a loop has for the other end: bytes, then the end of them.
    fileprivate struct Batch: Sendable {
        var chunks: [(bytes: [UInt8], type: UInt32?)] = []
        var passedOn = 0
        var isEnd = false
        var isClose = false
    }

    /// The first end, which learns of the second with ``connect(to:)``.
    package init(on loop: Loop) {
        self.loop = loop
    }

    /// Joins an open channel, within the callback that opened it, to the end that is on another loop.
    ///
    /// - Returns: the end on this loop, for the other one to be connected to.
    package static func join(_ channel: SSHChannel, to other: LoopBound<CrossLoopEnd>) -> LoopBound<CrossLoopEnd> {
        let loop = channel.connection.loop
        let end = CrossLoopEnd(on: loop)
        end.peer = other
        ChannelPipe.join(channel, .elsewhere(end))
        return LoopBound(end, on: loop)
    }

    /// - Parameter peer: the end on the other loop. The pipe is to be joined before this callback ends: then the first bytes may come.
    package func connect(to peer: LoopBound<CrossLoopEnd>) {
        self.peer = peer
    }

    private func scheduleFlush() {
        guard !isFlushScheduled else { return }
        isFlushScheduled = true
        loop.atEndOfTurn(self)
    }

    package func turnEnds() {
        isFlushScheduled = false
        send()
    }

    private func send() {
        gathered = 0
        guard let peer else { return }
        var batch = Batch()
        swap(&batch, &self.batch)
        let sent = batch
        peer.eventLoop.post { loop in peer.value(on: loop)?.receive(sent) }
        if batch.isClose { self.peer = nil }
    }

    private func receive(_ batch: Batch) {
        guard !isClosed else { return }
        unconfirmed -= batch.passedOn
        if isBlocked, unconfirmed <= Self.mailboxBytesLow {
            isBlocked = false
            pipe?.writable(self)
        }
        for (bytes, type) in batch.chunks { pipe?.received(bytes.span, from: self, extended: type) }
        if batch.isEnd {
            hasEnded = true
            pipe?.ended(self)
        }
        if batch.isClose, !isClosed {
            isClosed = true
            peer = nil
            pipe?.closed(self)
        }
    }
}

extension CrossLoopEnd: PipeEnd {
    var isWritable: Bool {
        if unconfirmed < Self.mailboxBytesMax { return true }
        isBlocked = true
        return false
    }

    func begin() {}

    func write(_ bytes: Span<UInt8>, extended type: UInt32?) {
        guard !isClosed, !hasFinished, !bytes.isEmpty else { return }
        unconfirmed += bytes.count
        if let last = batch.chunks.indices.last, batch.chunks[last].type == type {
            batch.chunks[last].bytes.append(copying: bytes)
        } else {
            batch.chunks.append((Array(copying: bytes), type))
        }
        gathered += bytes.count
        if gathered >= Self.gatheredBytesMax { send() }
        scheduleFlush()
    }

    func took(_ count: Int, hasRoom: Bool) {
        withheld += count
        if hasRoom { goOn() }
    }

    func goOn() {
        guard withheld > 0, !isClosed else { return }
        batch.passedOn += withheld
        withheld = 0
        scheduleFlush()
    }

    func finish() {
        guard !isClosed, !hasFinished else { return }
        hasFinished = true
        batch.isEnd = true
        scheduleFlush()
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        batch.isClose = true
        scheduleFlush()
        loop.atEndOfTurn { [self] in pipe?.closed(self) }
    }
}
