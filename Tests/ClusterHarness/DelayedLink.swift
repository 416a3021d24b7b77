package import Base
package import EventLoop

/// A line of some length between two hosts: what either side says arrives half a round trip later, and a connection is there after a whole one.
///
/// It counts round trips by what each side can have known, not by a clock: what the client says is one later than the latest of the server's words
/// that have reached it, and an answer is as late as the latest of the client's words that have reached the server. So it does not matter in how many
/// pieces a flight comes, nor how fast anybody is.
///
///     connection 1 ─▶ client's first words 2 ─▶ the answer to them 2 ─▶ the client's next words 3 …
package final class DelayedLink {
    private let listener: TCPListener
    private var lines: [Line] = []
    /// All that there have been.
    package private(set) var connections = 0
    package var address: SocketAddress { listener.address }

    /// - Parameters:
    ///   - last: what the client says in a later round trip than this never arrives.
    ///   - ended: is given, of each connection, the round trips until the last of the server's words that its client heard.
    package init(
        from address: SocketAddress, to target: SocketAddress, roundTrip: Duration, last: Int = .max, on loop: Loop,
        ended: @escaping (Int) -> Void = { _ in }
    ) throws(TeleportError) {
        var accepted: (Line) -> Void = { _ in }
        listener = try TCPListener(address: address, on: loop) { client in
            let line = Line(client, roundTrip / 2, last, loop, ended)
            accepted(line)
            line.connect(to: target, after: roundTrip)
        }
        accepted = { [weak self] line in
            self?.lines.removeAll(where: \.isCut)
            self?.lines.append(line)
            self?.connections += 1
        }
    }

    /// What the clients of now say in a later round trip than this from now on never arrives.
    package func carryOnly(_ roundTrips: Int) {
        for line in lines { line.carryOnly(roundTrips) }
    }

    /// Ends the connections of now.
    package func cut() {
        for line in lines { line.cut() }
    }

    package func close() { listener.close() }
}

private final class Line {
    private let client: LineEnd
    private let server: LineEnd
    private let halfway: Duration
    private var last: Int
    private let loop: Loop
    private var ended: ((Int) -> Void)?

    init(_ stream: TCPStream, _ halfway: Duration, _ last: Int, _ loop: Loop, _ ended: @escaping (Int) -> Void) {
        client = LineEnd(heard: 1)
        server = LineEnd(heard: 1)
        self.halfway = halfway
        self.last = last
        self.loop = loop
        self.ended = ended
        client.line = self
        server.line = self
        client.take(stream)
    }

    func connect(to target: SocketAddress, after delay: Duration) {
        loop.schedule(after: delay) { [self] in
            TCPStream.connect(to: [target], timeout: .seconds(10), on: loop) { [self] result in
                guard case .success(let stream) = result, let waiting = client.stream else {
                    client.stream?.close()
                    return
                }
                server.take(stream)
                stream.resumeReading()
                waiting.resumeReading()
            }
        }
    }

    func carryOnly(_ roundTrips: Int) { last = client.heard + roundTrips }

    var isCut: Bool { client.stream == nil }
    func cut() { client.stream?.close() }

    func carry(_ bytes: [UInt8], from end: LineEnd) {
        let other = other(end)
        let number = end === client ? end.heard + 1 : end.heard
        if end === client, number > last { return }
        loop.schedule(after: halfway) {
            other.heard = max(other.heard, number)
            other.stream?.write(bytes)
        }
    }

    /// One side says no more: what it has said is still on its way.
    func finish(_ end: LineEnd) {
        if end === client, let ended {
            self.ended = nil
            ended(client.heard)
        }
        let other = other(end)
        loop.schedule(after: halfway) { other.stream?.closeAfterWrites() }
    }

    private func other(_ end: LineEnd) -> LineEnd { end === client ? server : client }
}

private final class LineEnd: StreamHandler {
    var line: Line?
    private(set) var stream: TCPStream?
    /// The round trip of the latest words that have come here.
    var heard: Int

    init(heard: Int) {
        self.heard = heard
    }

    func take(_ stream: TCPStream) {
        self.stream = stream
        stream.handler = self
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) { line?.carry(Array(copying: bytes.span), from: self) }
    func streamEnded(_ stream: Stream) { line?.finish(self) }
    func streamDrained(_ stream: Stream) {}

    func streamClosed(_ stream: Stream, error: TeleportError?) {
        self.stream = nil
        line?.finish(self)
        line = nil
    }
}
