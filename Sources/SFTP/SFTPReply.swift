package import Base

/// How a request went (draft-ietf-secsh-filexfer-02 §7); a server may have codes of its own.
package struct SFTPStatusCode: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    package static let ok = SFTPStatusCode(rawValue: 0)
    package static let endOfFile = SFTPStatusCode(rawValue: 1)
    package static let noSuchFile = SFTPStatusCode(rawValue: 2)
    package static let permissionDenied = SFTPStatusCode(rawValue: 3)
    package static let failure = SFTPStatusCode(rawValue: 4)
    package static let badMessage = SFTPStatusCode(rawValue: 5)
    package static let noConnection = SFTPStatusCode(rawValue: 6)
    package static let connectionLost = SFTPStatusCode(rawValue: 7)
    package static let operationUnsupported = SFTPStatusCode(rawValue: 8)

    /// The words of OpenSSH's server.
    package var text: String {
        switch self {
        case .ok: "Success"
        case .endOfFile: "End of file"
        case .noSuchFile: "No such file"
        case .permissionDenied: "Permission denied"
        case .failure: "Failure"
        case .badMessage: "Bad message"
        case .noConnection: "No connection"
        case .connectionLost: "Connection lost"
        case .operationUnsupported: "Operation unsupported"
        default: "Status \(rawValue)"
        }
    }
}

/// A name in a directory, or the one name that is the answer to `realPath` and `readLink`.
package struct SFTPName: Equatable, Sendable {
    package var name: [UInt8]
    /// As `ls -l` shows it.
    package var longName: [UInt8]
    package var attributes: SFTPAttributes

    package init(name: [UInt8], longName: [UInt8], attributes: SFTPAttributes) {
        self.name = name
        self.longName = longName
        self.attributes = attributes
    }
}

/// What a server says with its version that it can do beyond it.
package struct SFTPExtension: Equatable, Sendable {
    package var name: [UInt8]
    package var version: [UInt8]

    package init(name: [UInt8], version: [UInt8]) {
        self.name = name
        self.version = version
    }

    package init(_ name: String, _ version: String) {
        self.init(name: Array(name.utf8), version: Array(version.utf8))
    }
}

/// What an SFTP server answers (draft-ietf-secsh-filexfer-02 §4, §7).
package enum SFTPReply: Equatable, Sendable {
    /// The answer to `SSH_FXP_INIT`, and the only one without an id.
    case version(UInt32, extensions: [SFTPExtension])
    case status(SFTPStatusCode, message: String)
    case handle([UInt8])
    case data([UInt8])
    case names([SFTPName])
    case attributes(SFTPAttributes)
    /// The answer to an extended request: ``SFTPLimits``, ``SFTPFileSystemStatus``, ``SFTPUserGroupNames``.
    case extended([UInt8])

    /// Reads a packet without its length.
    ///
    /// - Returns: the reply and the id of its request, which is 0 for ``version(_:extensions:)``.
    package static func parse(_ packet: Span<UInt8>) throws(WireError) -> (id: UInt32, reply: SFTPReply) {
        var reader = ByteReader(packet)
        guard let type = SFTPPacketType(rawValue: try reader.readByte()) else { throw .badValue("packet type") }
        let id = type == .version ? 0 : try reader.readUInt32()
        let reply = try SFTPReply(type, parsing: &reader)
        try reader.finish()
        return (id, reply)
    }

    private init(_ type: SFTPPacketType, parsing reader: inout ByteReader) throws(WireError) {
        switch type {
        case .version:
            let version = try reader.readUInt32()
            var extensions: [SFTPExtension] = []
            while reader.remaining > 0 {
                extensions.append(SFTPExtension(name: try reader.readString(), version: try reader.readString()))
            }
            self = .version(version, extensions: extensions)
        case .statusReply:
            let code = SFTPStatusCode(rawValue: try reader.readUInt32())
            // Old servers leave out the text and its language.
            let text = reader.remaining > 0 ? String(decoding: try reader.readString(), as: UTF8.self) : ""
            if reader.remaining > 0 { _ = try reader.readStringSpan() }
            self = .status(code, message: text)
        case .handle: self = .handle(try reader.readSFTPHandle())
        case .data: self = .data(try reader.readString())
        case .name:
            var names: [SFTPName] = []
            for _ in 0..<(try reader.readUInt32()) {
                names.append(
                    SFTPName(
                        name: try reader.readString(), longName: try reader.readString(), attributes: try SFTPAttributes(parsing: &reader)))
            }
            self = .names(names)
        case .attributes: self = .attributes(try SFTPAttributes(parsing: &reader))
        case .extendedReply: self = .extended(reader.readRest())
        case .initialize, .open, .close, .read, .write, .linkStatus, .handleStatus, .setStatus, .setHandleStatus, .openDirectory,
            .readDirectory, .remove, .makeDirectory, .removeDirectory, .realPath, .status, .rename, .readLink, .symbolicLink, .extended:
            throw .badValue("packet type")
        }
    }

    /// Appends the packet, length first.
    package func write(to writer: inout ByteWriter, id: UInt32) {
        writer.writeString { packet in
            packet.writeByte(type.rawValue)
            if type != .version { packet.writeUInt32(id) }
            writeFields(to: &packet)
        }
    }

    /// The packet, length first.
    package func framed(id: UInt32) -> [UInt8] {
        var writer = ByteWriter()
        write(to: &writer, id: id)
        return writer.finish()
    }

    private var type: SFTPPacketType {
        switch self {
        case .version: .version
        case .status: .statusReply
        case .handle: .handle
        case .data: .data
        case .names: .name
        case .attributes: .attributes
        case .extended: .extendedReply
        }
    }

    private func writeFields(to packet: inout ByteWriter) {
        switch self {
        case .version(let version, let extensions):
            packet.writeUInt32(version)
            for item in extensions {
                packet.writeString(item.name)
                packet.writeString(item.version)
            }
        case .status(let code, let message):
            packet.writeUInt32(code.rawValue)
            packet.writeText(message)
            // The language tag (RFC 3066), which nobody uses.
            packet.writeUInt32(0)
        case .handle(let bytes), .data(let bytes): packet.writeString(bytes)
        case .names(let names):
            packet.writeUInt32(UInt32(names.count))
            for name in names {
                packet.writeString(name.name)
                packet.writeString(name.longName)
                name.attributes.write(to: &packet)
            }
        case .attributes(let attributes): attributes.write(to: &packet)
        case .extended(let payload): packet.writeRaw(payload)
        }
    }
}
