package import Base

/// The client's half of SFTP: requests get their ids, replies find their requests. Bytes in, bytes and events out.
///
/// Any number of requests may be under way; a server answers them in whatever order it likes.
package struct SFTPClient: Sendable {
    package enum Event: Equatable, Sendable {
        /// The server has said its version: requests may be sent.
        case ready
        case reply(UInt32, SFTPReply)
    }

    /// What the server can beyond version 3, by name.
    package private(set) var extensions: [String: String] = [:]
    package private(set) var isReady = false
    private var nextID: UInt32 = 0
    private var waiting: Set<UInt32> = []
    private var bytes: [UInt8] = []
    /// The part of `bytes` that has been read.
    private var position = 0

    package init() {}

    package func supports(_ name: String) -> Bool { extensions[name] != nil }

    /// The first packet.
    package func hello() -> [UInt8] { SFTPRequest.initialize(version: SFTPPacket.version).framed(id: 0) }

    /// The packet of a request, and the id that its reply will have.
    package mutating func send(_ request: SFTPRequest) -> (id: UInt32, packet: [UInt8]) {
        precondition(isReady, "the server has not said its version")
        while waiting.contains(nextID) { nextID &+= 1 }
        let id = nextID
        nextID &+= 1
        waiting.insert(id)
        return (id, request.framed(id: id))
    }

    package mutating func receive(_ data: Span<UInt8>) {
        if position == bytes.count {
            bytes.removeAll(keepingCapacity: true)
            position = 0
        } else if position > SFTPPacket.bytesMax {
            bytes.removeFirst(position)
            position = 0
        }
        bytes.append(copying: data)
    }

    /// What the server has said next; nil until more bytes come.
    ///
    /// - Throws: for what is no reply, or answers nothing that was asked.
    package mutating func next() throws(WireError) -> Event? {
        guard let (id, reply, count) = try first() else { return nil }
        position += count
        guard isReady else {
            guard case .version(let version, let extensions) = reply, version >= SFTPPacket.version else { throw .badValue("version") }
            for item in extensions {
                self.extensions[String(decoding: item.name, as: UTF8.self)] = String(decoding: item.version, as: UTF8.self)
            }
            isReady = true
            return .ready
        }
        guard waiting.remove(id) != nil else { throw .badValue("request id") }
        if case .version = reply { throw .badValue("packet type") }
        return .reply(id, reply)
    }

    /// The packet that has not been read yet, and how long it is.
    private func first() throws(WireError) -> (id: UInt32, reply: SFTPReply, count: Int)? {
        let rest = bytes.span.extracting(position...)
        guard let range = try SFTPPacket.first(in: rest) else { return nil }
        let (id, reply) = try SFTPReply.parse(rest.extracting(range))
        return (id, reply, range.upperBound)
    }
}
