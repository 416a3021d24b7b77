package import Base

/// The answer to `limits@openssh.com`; 0 where a server has no limit or does not know it.
package struct SFTPLimits: Equatable, Sendable {
    package var packetBytesMax: UInt64
    package var readBytesMax: UInt64
    package var writeBytesMax: UInt64
    package var openHandlesMax: UInt64

    package init(packetBytesMax: UInt64, readBytesMax: UInt64, writeBytesMax: UInt64, openHandlesMax: UInt64) {
        self.packetBytesMax = packetBytesMax
        self.readBytesMax = readBytesMax
        self.writeBytesMax = writeBytesMax
        self.openHandlesMax = openHandlesMax
    }

    /// Reads the payload of an ``SFTPReply/extended(_:)``.
    package init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes.span)
        packetBytesMax = try reader.readUInt64()
        readBytesMax = try reader.readUInt64()
        writeBytesMax = try reader.readUInt64()
        openHandlesMax = try reader.readUInt64()
        try reader.finish()
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter()
        for value in [packetBytesMax, readBytesMax, writeBytesMax, openHandlesMax] { writer.writeUInt64(value) }
        return writer.finish()
    }
}

/// The answer to `statvfs@openssh.com`: the fields of POSIX `statvfs`.
package struct SFTPFileSystemStatus: Equatable, Sendable {
    package var blockBytes: UInt64
    /// The unit of the block counts.
    package var fragmentBytes: UInt64
    package var blocks: UInt64
    package var freeBlocks: UInt64
    /// Free for others than root.
    package var availableBlocks: UInt64
    package var files: UInt64
    package var freeFiles: UInt64
    package var availableFiles: UInt64
    package var identifier: UInt64
    package var isReadOnly: Bool
    package var ignoresSetUID: Bool
    package var nameBytesMax: UInt64

    package init(
        blockBytes: UInt64, fragmentBytes: UInt64, blocks: UInt64, freeBlocks: UInt64, availableBlocks: UInt64, files: UInt64,
        freeFiles: UInt64, availableFiles: UInt64, identifier: UInt64, isReadOnly: Bool, ignoresSetUID: Bool, nameBytesMax: UInt64
    ) {
        self.blockBytes = blockBytes
        self.fragmentBytes = fragmentBytes
        self.blocks = blocks
        self.freeBlocks = freeBlocks
        self.availableBlocks = availableBlocks
        self.files = files
        self.freeFiles = freeFiles
        self.availableFiles = availableFiles
        self.identifier = identifier
        self.isReadOnly = isReadOnly
        self.ignoresSetUID = ignoresSetUID
        self.nameBytesMax = nameBytesMax
    }

    private enum Flag {
        static let readOnly: UInt64 = 0x1
        static let noSetUID: UInt64 = 0x2
    }

    /// Reads the payload of an ``SFTPReply/extended(_:)``.
    package init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes.span)
        blockBytes = try reader.readUInt64()
        fragmentBytes = try reader.readUInt64()
        blocks = try reader.readUInt64()
        freeBlocks = try reader.readUInt64()
        availableBlocks = try reader.readUInt64()
        files = try reader.readUInt64()
        freeFiles = try reader.readUInt64()
        availableFiles = try reader.readUInt64()
        identifier = try reader.readUInt64()
        let flags = try reader.readUInt64()
        isReadOnly = flags & Flag.readOnly != 0
        ignoresSetUID = flags & Flag.noSetUID != 0
        nameBytesMax = try reader.readUInt64()
        try reader.finish()
    }

    package func encoded() -> [UInt8] {
        let flags = (isReadOnly ? Flag.readOnly : 0) | (ignoresSetUID ? Flag.noSetUID : 0)
        var writer = ByteWriter(capacity: 88)
        for value in [
            blockBytes, fragmentBytes, blocks, freeBlocks, availableBlocks, files, freeFiles, availableFiles, identifier, flags,
            nameBytesMax,
        ] { writer.writeUInt64(value) }
        return writer.finish()
    }
}

/// The answer to `users-groups-by-id@openssh.com`: a name for each number that was asked for, empty where there is none.
package struct SFTPUserGroupNames: Equatable, Sendable {
    package var users: [[UInt8]]
    package var groups: [[UInt8]]

    package init(users: [[UInt8]], groups: [[UInt8]]) {
        self.users = users
        self.groups = groups
    }

    /// Reads the payload of an ``SFTPReply/extended(_:)``.
    package init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes.span)
        users = try Self.readNames(&reader)
        groups = try Self.readNames(&reader)
        try reader.finish()
    }

    private static func readNames(_ reader: inout ByteReader) throws(WireError) -> [[UInt8]] {
        var names = ByteReader(try reader.readStringSpan())
        var list: [[UInt8]] = []
        while names.remaining > 0 { list.append(try names.readString()) }
        return list
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter()
        for names in [users, groups] {
            var list = ByteWriter()
            for name in names { list.writeString(name) }
            writer.writeString(list.finish())
        }
        return writer.finish()
    }
}
