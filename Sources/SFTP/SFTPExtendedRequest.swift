internal import Base

/// A request by name (`SSH_FXP_EXTENDED`): OpenSSH's, from its PROTOCOL, "SFTP extensions".
package enum SFTPExtendedRequest: Equatable, Sendable {
    /// `posix-rename@openssh.com`: takes the place of what is there.
    case posixRename(from: [UInt8], to: [UInt8])
    /// `statvfs@openssh.com`; the answer is an ``SFTPFileSystemStatus``.
    case fileSystemStatus(path: [UInt8])
    /// `fstatvfs@openssh.com`
    case fileSystemStatusOfHandle(handle: [UInt8])
    /// `hardlink@openssh.com`
    case hardLink(from: [UInt8], to: [UInt8])
    /// `fsync@openssh.com`
    case synchronize(handle: [UInt8])
    /// `lsetstat@openssh.com`: links are not followed.
    case setLinkStatus(path: [UInt8], SFTPAttributes)
    /// `limits@openssh.com`; the answer is an ``SFTPLimits``.
    case limits
    /// `expand-path@openssh.com`: as `realPath`, after `~` and `~user`.
    case expandPath(path: [UInt8])
    /// `copy-data`, from a handle to a handle; 0 bytes mean all until the end.
    case copyData(from: [UInt8], offset: UInt64, count: UInt64, to: [UInt8], targetOffset: UInt64)
    /// `users-groups-by-id@openssh.com`; the answer is an ``SFTPUserGroupNames``.
    case userGroupNames(users: [UInt32], groups: [UInt32])
    case other(name: [UInt8], payload: [UInt8])

    /// The names as a server tells them with its version.
    package enum Name {
        package static let posixRename = "posix-rename@openssh.com"
        package static let fileSystemStatus = "statvfs@openssh.com"
        package static let fileSystemStatusOfHandle = "fstatvfs@openssh.com"
        package static let hardLink = "hardlink@openssh.com"
        package static let synchronize = "fsync@openssh.com"
        package static let setLinkStatus = "lsetstat@openssh.com"
        package static let limits = "limits@openssh.com"
        package static let expandPath = "expand-path@openssh.com"
        package static let copyData = "copy-data"
        package static let userGroupNames = "users-groups-by-id@openssh.com"
    }

    init(parsing reader: inout ByteReader) throws(WireError) {
        let name = try reader.readString()
        switch String(decoding: name, as: UTF8.self) {
        case Name.posixRename: self = .posixRename(from: try reader.readString(), to: try reader.readString())
        case Name.fileSystemStatus: self = .fileSystemStatus(path: try reader.readString())
        case Name.fileSystemStatusOfHandle: self = .fileSystemStatusOfHandle(handle: try reader.readSFTPHandle())
        case Name.hardLink: self = .hardLink(from: try reader.readString(), to: try reader.readString())
        case Name.synchronize: self = .synchronize(handle: try reader.readSFTPHandle())
        case Name.setLinkStatus: self = .setLinkStatus(path: try reader.readString(), try SFTPAttributes(parsing: &reader))
        case Name.limits: self = .limits
        case Name.expandPath: self = .expandPath(path: try reader.readString())
        case Name.copyData:
            self = .copyData(
                from: try reader.readSFTPHandle(), offset: try reader.readUInt64(), count: try reader.readUInt64(),
                to: try reader.readSFTPHandle(), targetOffset: try reader.readUInt64())
        case Name.userGroupNames: self = .userGroupNames(users: try Self.readNumbers(&reader), groups: try Self.readNumbers(&reader))
        default: self = .other(name: name, payload: reader.readRest())
        }
    }

    private static func readNumbers(_ reader: inout ByteReader) throws(WireError) -> [UInt32] {
        var numbers = ByteReader(try reader.readStringSpan())
        var list: [UInt32] = []
        while numbers.remaining > 0 { list.append(try numbers.readUInt32()) }
        return list
    }

    private var name: [UInt8] {
        switch self {
        case .posixRename: Array(Name.posixRename.utf8)
        case .fileSystemStatus: Array(Name.fileSystemStatus.utf8)
        case .fileSystemStatusOfHandle: Array(Name.fileSystemStatusOfHandle.utf8)
        case .hardLink: Array(Name.hardLink.utf8)
        case .synchronize: Array(Name.synchronize.utf8)
        case .setLinkStatus: Array(Name.setLinkStatus.utf8)
        case .limits: Array(Name.limits.utf8)
        case .expandPath: Array(Name.expandPath.utf8)
        case .copyData: Array(Name.copyData.utf8)
        case .userGroupNames: Array(Name.userGroupNames.utf8)
        case .other(let name, _): name
        }
    }

    func write(to writer: inout ByteWriter) {
        writer.writeString(name)
        switch self {
        case .posixRename(let from, let to), .hardLink(let from, let to):
            writer.writeString(from)
            writer.writeString(to)
        case .fileSystemStatus(let name), .fileSystemStatusOfHandle(let name), .synchronize(let name), .expandPath(let name):
            writer.writeString(name)
        case .setLinkStatus(let path, let attributes):
            writer.writeString(path)
            attributes.write(to: &writer)
        case .limits: break
        case .copyData(let from, let offset, let count, let to, let targetOffset):
            writer.writeString(from)
            writer.writeUInt64(offset)
            writer.writeUInt64(count)
            writer.writeString(to)
            writer.writeUInt64(targetOffset)
        case .userGroupNames(let users, let groups):
            for numbers in [users, groups] {
                writer.writeUInt32(UInt32(numbers.count * 4))
                for number in numbers { writer.writeUInt32(number) }
            }
        case .other(_, let payload): writer.writeRaw(payload)
        }
    }
}
