internal import Base

/// What is said of a file, all of it optional (`ATTRS`, draft-ietf-secsh-filexfer-02 §5).
package struct SFTPAttributes: Equatable, Sendable {
    package struct Owner: Equatable, Sendable {
        package var user: UInt32
        package var group: UInt32

        package init(user: UInt32, group: UInt32) {
            self.user = user
            self.group = group
        }
    }

    /// In seconds since 1970.
    package struct Times: Equatable, Sendable {
        package var access: UInt32
        package var modification: UInt32

        package init(access: UInt32, modification: UInt32) {
            self.access = access
            self.modification = modification
        }
    }

    package var size: UInt64?
    package var owner: Owner?
    /// `st_mode`: the kind of file and its permission bits.
    package var permissions: UInt32?
    package var times: Times?

    package init(size: UInt64? = nil, owner: Owner? = nil, permissions: UInt32? = nil, times: Times? = nil) {
        self.size = size
        self.owner = owner
        self.permissions = permissions
        self.times = times
    }

    /// The bits of `st_mode` that tell kinds of files apart.
    package enum Kind {
        package static let mask: UInt32 = 0o170000
        package static let directory: UInt32 = 0o040000
        package static let regular: UInt32 = 0o100000
        package static let symbolicLink: UInt32 = 0o120000
    }

    /// nil where the attributes do not tell what kind of file it is.
    package var isDirectory: Bool? { permissions.map { $0 & Kind.mask == Kind.directory } }
    package var isRegular: Bool? { permissions.map { $0 & Kind.mask == Kind.regular } }
    package var isSymbolicLink: Bool? { permissions.map { $0 & Kind.mask == Kind.symbolicLink } }

    private enum Flag {
        static let size: UInt32 = 0x1
        static let owner: UInt32 = 0x2
        static let permissions: UInt32 = 0x4
        static let times: UInt32 = 0x8
        static let extended: UInt32 = 0x8000_0000
    }

    /// Pairs of names and values, to which nobody has given a meaning, are read and dropped; so are flags that have none, as in OpenSSH.
    init(parsing reader: inout ByteReader) throws(WireError) {
        let flags = try reader.readUInt32()
        if flags & Flag.size != 0 { size = try reader.readUInt64() }
        if flags & Flag.owner != 0 { owner = Owner(user: try reader.readUInt32(), group: try reader.readUInt32()) }
        if flags & Flag.permissions != 0 { permissions = try reader.readUInt32() }
        if flags & Flag.times != 0 { times = Times(access: try reader.readUInt32(), modification: try reader.readUInt32()) }
        if flags & Flag.extended != 0 {
            for _ in 0..<(try reader.readUInt32()) {
                _ = try reader.readStringSpan()
                _ = try reader.readStringSpan()
            }
        }
    }

    func write(to writer: inout ByteWriter) {
        var flags: UInt32 = 0
        if size != nil { flags |= Flag.size }
        if owner != nil { flags |= Flag.owner }
        if permissions != nil { flags |= Flag.permissions }
        if times != nil { flags |= Flag.times }
        writer.writeUInt32(flags)
        if let size { writer.writeUInt64(size) }
        if let owner {
            writer.writeUInt32(owner.user)
            writer.writeUInt32(owner.group)
        }
        if let permissions { writer.writeUInt32(permissions) }
        if let times {
            writer.writeUInt32(times.access)
            writer.writeUInt32(times.modification)
        }
    }
}

/// How a file is opened (draft-ietf-secsh-filexfer-02 §6.3).
package struct SFTPOpenFlags: OptionSet, Hashable, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    package static let read = SFTPOpenFlags(rawValue: 0x01)
    package static let write = SFTPOpenFlags(rawValue: 0x02)
    package static let append = SFTPOpenFlags(rawValue: 0x04)
    package static let create = SFTPOpenFlags(rawValue: 0x08)
    package static let truncate = SFTPOpenFlags(rawValue: 0x10)
    /// With `create`: only where nothing is there.
    package static let exclusive = SFTPOpenFlags(rawValue: 0x20)
}
