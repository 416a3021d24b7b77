internal import Base
package import EventLoop
internal import SSHWire

/// Where a connection to a proxy is kept for the commands after the one that made it, as ssh's ControlPath says.
///
/// A unix socket for this user alone. Who connects says in a line what it is for; after a subsystem of the proxy's the bytes of its channel follow:
///
///     proxy:db1:0@east⏎   the way to a node; closed where there is none
///     proxysites⏎         what there is, closed at its end
///     proxynodes:@east⏎
///     stop⏎               nobody else is let in; it ends with the last command that is on its way
package struct ControlSocket: Sendable {
    let directory: String
    let path: String

    static let lineBytesMax = 1024
    static let stop = "stop"

    /// How long a node may take to say anything over a connection that may have died unnoticed.
    static let silenceMax: Duration = .seconds(5)

    init(directory: String, name: String) {
        self.directory = directory
        path = "\(directory)/\(name)"
    }

    /// Whether it is a subsystem of the proxy's that says where to, or what there is.
    static func leads(_ line: String) -> Bool { line.hasPrefix("proxy:") || line.hasPrefix("proxynodes:") || line == "proxysites" }

    /// Whether somebody seems to keep a connection.
    var isThere: Bool { (try? FileIO.status(path)) != nil }

    /// nil where nobody keeps a connection.
    func connect(saying line: String, on loop: Loop) -> PipeStream? {
        guard let stream = try? PipeStream(LocalSocket.connect(path: path), kind: .socket, on: loop) else { return nil }
        stream.write(Array("\(line)\n".utf8))
        return stream
    }

    /// Tells whoever keeps a connection to end.
    package func stop(on loop: Loop) {
        connect(saying: Self.stop, on: loop)?.closeAfterWrites()
    }
}

/// What a subsystem says over a kept connection, to its end.
final class KeptAnswer: StreamHandler {
    private let stream: PipeStream
    private var bytes: [UInt8] = []
    private var then: (([UInt8]) -> Void)?
    private var silence: LoopTimer?

    /// - Parameter then: is given what came, all or not, or nothing.
    init(_ stream: PipeStream, then: @escaping ([UInt8]) -> Void) {
        self.stream = stream
        self.then = then
    }

    func read(on loop: Loop) {
        silence = loop.schedule(after: ControlSocket.silenceMax) { [stream] in stream.close() }
        stream.handler = self
        stream.resumeReading()
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        silence?.cancel()
        self.bytes.append(copying: bytes.span)
        if self.bytes.count > ProxyClient.answerBytesMax { stream.close() }
    }

    func streamEnded(_ stream: Stream) { stream.close() }
    func streamDrained(_ stream: Stream) {}

    func streamClosed(_ stream: Stream, error: TeleportError?) {
        silence?.cancel()
        let then = then
        self.then = nil
        then?(bytes)
    }
}

/// What one command has to do with a connection that is kept for several.
package struct ConnectionSharing {
    /// Whether it goes through one that is there.
    package var isWelcome: Bool
    /// Is called when a node was reached without: the moment to keep a connection for the next command.
    package var missed: () -> Void

    package init(isWelcome: Bool, missed: @escaping () -> Void = {}) {
        self.isWelcome = isWelcome
        self.missed = missed
    }
}
