package import Base
package import EventLoop
internal import SSHWire

/// What a node asks its ``SocketChild``: first who to become, then one thing after the other, each answered by a ``SocketChildReply``.
package enum SocketChildRequest: Equatable, Sendable {
    /// Not answered.
    case become(UserAccount)
    /// The reply brings the connected socket.
    case connect(path: String)
    /// The reply brings the listening socket.
    case listen(path: String)
    /// A socket at a path that the child chooses: the reply brings both.
    case listenForAgent
    /// Removes the path of a socket that the child made.
    case remove(path: String)

    package init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes.span)
        switch try reader.readByte() {
        case 0: self = .become(try UserAccount(parsing: &reader))
        case 1: self = .connect(path: try reader.readPlainText(max: FieldLimit.socketPath))
        case 2: self = .listen(path: try reader.readPlainText(max: FieldLimit.socketPath))
        case 3: self = .listenForAgent
        case 4: self = .remove(path: try reader.readPlainText(max: FieldLimit.socketPath))
        default: throw .badValue("request")
        }
        try reader.finish()
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .become(let account):
            writer.writeByte(0)
            account.write(to: &writer)
        case .connect(let path):
            writer.writeByte(1)
            writer.writeText(path)
        case .listen(let path):
            writer.writeByte(2)
            writer.writeText(path)
        case .listenForAgent:
            writer.writeByte(3)
        case .remove(let path):
            writer.writeByte(4)
            writer.writeText(path)
        }
        return writer.finish()
    }
}

/// What a ``SocketChild`` answers.
package enum SocketChildReply: Equatable, Sendable {
    case done(path: String)
    /// Why not, fit for the user to read: it was the user's own right that was asked for.
    case failed(reason: String)

    package init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes.span)
        switch try reader.readByte() {
        case 0: self = .done(path: try reader.readPlainText(max: FieldLimit.socketPath))
        case 1: self = .failed(reason: try reader.readMessage())
        default: throw .badValue("reply")
        }
        try reader.finish()
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter()
        switch self {
        case .done(let path):
            writer.writeByte(0)
            writer.writeText(path)
        case .failed(let reason):
            writer.writeByte(1)
            writer.writeText(reason)
        }
        return writer.finish()
    }
}
