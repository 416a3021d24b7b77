package import Base

/// What an SFTP client asks (draft-ietf-secsh-filexfer-02 §4, §6). Paths and handles are bytes: a file's name need not be UTF-8.
package enum SFTPRequest: Equatable, Sendable {
    /// `SSH_FXP_INIT`, the first packet and the only one without an id.
    case initialize(version: UInt32)
    case open(path: [UInt8], flags: SFTPOpenFlags, attributes: SFTPAttributes)
    case close(handle: [UInt8])
    case read(handle: [UInt8], offset: UInt64, count: UInt32)
    case write(handle: [UInt8], offset: UInt64, data: [UInt8])
    /// `SSH_FXP_LSTAT`: links are not followed.
    case linkStatus(path: [UInt8])
    /// `SSH_FXP_STAT`: links are followed.
    case status(path: [UInt8])
    /// `SSH_FXP_FSTAT`
    case handleStatus(handle: [UInt8])
    case setStatus(path: [UInt8], SFTPAttributes)
    case setHandleStatus(handle: [UInt8], SFTPAttributes)
    case openDirectory(path: [UInt8])
    case readDirectory(handle: [UInt8])
    case remove(path: [UInt8])
    case makeDirectory(path: [UInt8], SFTPAttributes)
    case removeDirectory(path: [UInt8])
    case realPath(path: [UInt8])
    case rename(from: [UInt8], to: [UInt8])
    case readLink(path: [UInt8])
    /// On the wire in OpenSSH's order, the target first, which is not the draft's (PROTOCOL, "SSH_FXP_SYMLINK").
    case symbolicLink(target: [UInt8], link: [UInt8])
    case extended(SFTPExtendedRequest)
    /// A type that is not known: the answer is ``SFTPStatusCode/operationUnsupported``.
    case other(type: UInt8)

    /// Reads a packet without its length.
    ///
    /// - Returns: the request and its id, which is 0 for ``initialize(version:)``.
    package static func parse(_ packet: Span<UInt8>) throws(WireError) -> (id: UInt32, request: SFTPRequest) {
        var reader = ByteReader(packet)
        let number = try reader.readByte()
        if number == SFTPPacketType.initialize.rawValue {
            // What extensions a client names decides nothing.
            let version = try reader.readUInt32()
            return (0, .initialize(version: version))
        }
        let id = try reader.readUInt32()
        guard let type = SFTPPacketType(rawValue: number), let request = try SFTPRequest(type, parsing: &reader) else {
            return (id, .other(type: number))
        }
        try reader.finish()
        return (id, request)
    }

    /// nil for what is no request.
    private init?(_ type: SFTPPacketType, parsing reader: inout ByteReader) throws(WireError) {
        switch type {
        case .open:
            self = .open(
                path: try reader.readString(), flags: SFTPOpenFlags(rawValue: try reader.readUInt32()),
                attributes: try SFTPAttributes(parsing: &reader))
        case .close: self = .close(handle: try reader.readSFTPHandle())
        case .read:
            self = .read(handle: try reader.readSFTPHandle(), offset: try reader.readUInt64(), count: try reader.readUInt32())
        case .write:
            self = .write(handle: try reader.readSFTPHandle(), offset: try reader.readUInt64(), data: try reader.readString())
        case .linkStatus: self = .linkStatus(path: try reader.readString())
        case .status: self = .status(path: try reader.readString())
        case .handleStatus: self = .handleStatus(handle: try reader.readSFTPHandle())
        case .setStatus: self = .setStatus(path: try reader.readString(), try SFTPAttributes(parsing: &reader))
        case .setHandleStatus: self = .setHandleStatus(handle: try reader.readSFTPHandle(), try SFTPAttributes(parsing: &reader))
        case .openDirectory: self = .openDirectory(path: try reader.readString())
        case .readDirectory: self = .readDirectory(handle: try reader.readSFTPHandle())
        case .remove: self = .remove(path: try reader.readString())
        case .makeDirectory: self = .makeDirectory(path: try reader.readString(), try SFTPAttributes(parsing: &reader))
        case .removeDirectory: self = .removeDirectory(path: try reader.readString())
        case .realPath: self = .realPath(path: try reader.readString())
        case .rename: self = .rename(from: try reader.readString(), to: try reader.readString())
        case .readLink: self = .readLink(path: try reader.readString())
        case .symbolicLink: self = .symbolicLink(target: try reader.readString(), link: try reader.readString())
        case .extended: self = .extended(try SFTPExtendedRequest(parsing: &reader))
        case .initialize, .version, .statusReply, .handle, .data, .name, .attributes, .extendedReply: return nil
        }
    }

    /// Appends the packet, length first.
    package func write(to writer: inout ByteWriter, id: UInt32) {
        writer.writeString { packet in
            packet.writeByte(number)
            if case .initialize(let version) = self { return packet.writeUInt32(version) }
            packet.writeUInt32(id)
            writeFields(to: &packet)
        }
    }

    /// The packet, length first.
    package func framed(id: UInt32) -> [UInt8] {
        var writer = ByteWriter()
        write(to: &writer, id: id)
        return writer.finish()
    }

    private var number: UInt8 {
        let type: SFTPPacketType
        switch self {
        case .initialize: type = .initialize
        case .open: type = .open
        case .close: type = .close
        case .read: type = .read
        case .write: type = .write
        case .linkStatus: type = .linkStatus
        case .status: type = .status
        case .handleStatus: type = .handleStatus
        case .setStatus: type = .setStatus
        case .setHandleStatus: type = .setHandleStatus
        case .openDirectory: type = .openDirectory
        case .readDirectory: type = .readDirectory
        case .remove: type = .remove
        case .makeDirectory: type = .makeDirectory
        case .removeDirectory: type = .removeDirectory
        case .realPath: type = .realPath
        case .rename: type = .rename
        case .readLink: type = .readLink
        case .symbolicLink: type = .symbolicLink
        case .extended: type = .extended
        case .other(let number): return number
        }
        return type.rawValue
    }

    private func writeFields(to packet: inout ByteWriter) {
        switch self {
        case .initialize, .other: break
        case .open(let path, let flags, let attributes):
            packet.writeString(path)
            packet.writeUInt32(flags.rawValue)
            attributes.write(to: &packet)
        case .read(let handle, let offset, let count):
            packet.writeString(handle)
            packet.writeUInt64(offset)
            packet.writeUInt32(count)
        case .write(let handle, let offset, let data):
            packet.writeString(handle)
            packet.writeUInt64(offset)
            packet.writeString(data)
        case .setStatus(let name, let attributes), .setHandleStatus(let name, let attributes), .makeDirectory(let name, let attributes):
            packet.writeString(name)
            attributes.write(to: &packet)
        case .linkStatus(let name), .status(let name), .openDirectory(let name), .remove(let name), .removeDirectory(let name),
            .realPath(let name), .readLink(let name), .close(let name), .handleStatus(let name), .readDirectory(let name):
            packet.writeString(name)
        case .rename(let first, let second), .symbolicLink(let first, let second):
            packet.writeString(first)
            packet.writeString(second)
        case .extended(let request): request.write(to: &packet)
        }
    }
}

extension ByteReader {
    mutating func readSFTPHandle() throws(WireError) -> [UInt8] {
        try readString(max: SFTPPacket.handleBytesMax)
    }
}
