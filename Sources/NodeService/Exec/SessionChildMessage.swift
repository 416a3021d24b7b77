package import Base
package import EventLoop

/// What a node tells the session child: whom to become and what to run.
///
/// It travels over descriptor 3 with a `uint32` length before it, never through arguments or environment, which other users can read
/// and the runtime loader acts on.
package struct SessionChildMessage: Equatable, Sendable {
    /// An environment and a command line of what Linux takes for `exec` (`ARG_MAX` is 2 MiB), and some.
    package static let bytesMax = 4 << 20
    /// Groups of an account: Linux allows 65,536.
    private static let groupsMax = 65_536
    /// More arguments and variables than a node ever sends.
    private static let listMax = 1024

    package var account: UserAccount
    /// From the name that the account's shell finds as its own on; bytes, as a command line need not be UTF-8.
    package var arguments: [[UInt8]]
    /// `NAME=value`, all of it.
    package var environment: [String]
    /// Whether descriptor 0 is a terminal, to be the session's own.
    package var hasTerminal: Bool

    package init(account: UserAccount, arguments: [[UInt8]], environment: [String], hasTerminal: Bool) {
        self.account = account
        self.arguments = arguments
        self.environment = environment
        self.hasTerminal = hasTerminal
    }

    package init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes.span)
        let name = try reader.readText()
        let identifier = try reader.readUInt32()
        let group = try reader.readUInt32()
        let groups = try Self.readList(&reader, max: Self.groupsMax) { reader throws(WireError) in try reader.readUInt32() }
        account = UserAccount(
            name: name, identifier: identifier, group: group, groups: groups, home: try reader.readText(), shell: try reader.readText())
        arguments = try Self.readList(&reader, max: Self.listMax) { reader throws(WireError) in
            let argument = try reader.readString()
            guard !argument.contains(0) else { throw .badValue("NUL") }
            return argument
        }
        environment = try Self.readList(&reader, max: Self.listMax) { reader throws(WireError) in
            let variable = try reader.readText()
            guard !variable.utf8.contains(0) else { throw .badValue("NUL") }
            return variable
        }
        hasTerminal = try reader.readBoolean()
        try reader.finish()
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 4096)
        writer.writeText(account.name)
        writer.writeUInt32(account.identifier)
        writer.writeUInt32(account.group)
        writer.writeUInt32(UInt32(account.groups.count))
        for group in account.groups { writer.writeUInt32(group) }
        writer.writeText(account.home)
        writer.writeText(account.shell)
        writer.writeUInt32(UInt32(arguments.count))
        for argument in arguments { writer.writeString(argument) }
        writer.writeUInt32(UInt32(environment.count))
        for variable in environment { writer.writeText(variable) }
        writer.writeBoolean(hasTerminal)
        return writer.finish()
    }

    /// With its length before it.
    package func framed() -> [UInt8] {
        var writer = ByteWriter(capacity: 4096)
        writer.writeString(encoded())
        return writer.finish()
    }

    private static func readList<Item>(
        _ reader: inout ByteReader, max: Int, _ item: (inout ByteReader) throws(WireError) -> Item
    ) throws(WireError) -> [Item] {
        let count = Int(try reader.readUInt32())
        guard count <= max else { throw .tooLong(count) }
        var list: [Item] = []
        for _ in 0..<count { list.append(try item(&reader)) }
        return list
    }
}
