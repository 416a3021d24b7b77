package import Base
package import EventLoop

/// What a session child does once it is the user.
package enum SessionService: UInt8, Equatable, Sendable {
    /// Becomes the account's shell with the arguments.
    case program = 0
    /// Serves SFTP itself.
    case sftp = 1
    /// Serves the other side of `scp -O` itself; the one argument is the client's command line.
    case scp = 2
}

/// What a node tells the session child: whom to become and what to run.
///
/// It travels over descriptor 3 with a `uint32` length before it, never through arguments or environment, which other users can read
/// and the runtime loader acts on.
package struct SessionChildMessage: Equatable, Sendable {
    /// An environment and a command line of what Linux takes for `exec` (`ARG_MAX` is 2 MiB), and some.
    package static let bytesMax = 4 << 20
    /// More arguments and variables than a node ever sends.
    private static let listMax = 1024

    package var account: UserAccount
    package var service: SessionService
    /// From the name that the account's shell finds as its own on; bytes, as a command line need not be UTF-8.
    package var arguments: [[UInt8]]
    /// `NAME=value`, all of it.
    package var environment: [String]
    /// Whether descriptor 0 is a terminal, to be the session's own.
    package var hasTerminal: Bool

    package init(account: UserAccount, service: SessionService = .program, arguments: [[UInt8]], environment: [String], hasTerminal: Bool) {
        self.account = account
        self.service = service
        self.arguments = arguments
        self.environment = environment
        self.hasTerminal = hasTerminal
    }

    package init(decoding bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes.span)
        account = try UserAccount(parsing: &reader)
        guard let service = SessionService(rawValue: try reader.readByte()) else { throw .badValue("service") }
        self.service = service
        arguments = try reader.readList(max: Self.listMax) { reader throws(WireError) in
            let argument = try reader.readString()
            guard !argument.contains(0) else { throw .badValue("NUL") }
            return argument
        }
        environment = try reader.readList(max: Self.listMax) { reader throws(WireError) in
            let variable = try reader.readText()
            guard !variable.utf8.contains(0) else { throw .badValue("NUL") }
            return variable
        }
        hasTerminal = try reader.readBoolean()
        try reader.finish()
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 4096)
        account.write(to: &writer)
        writer.writeByte(service.rawValue)
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
}

extension UserAccount {
    /// Groups of an account: Linux allows 65,536.
    private static let groupsMax = 65_536

    init(parsing reader: inout ByteReader) throws(WireError) {
        let name = try reader.readText()
        let identifier = try reader.readUInt32()
        let group = try reader.readUInt32()
        let groups = try reader.readList(max: Self.groupsMax) { reader throws(WireError) in try reader.readUInt32() }
        self.init(
            name: name, identifier: identifier, group: group, groups: groups, home: try reader.readText(), shell: try reader.readText())
    }

    func write(to writer: inout ByteWriter) {
        writer.writeText(name)
        writer.writeUInt32(identifier)
        writer.writeUInt32(group)
        writer.writeUInt32(UInt32(groups.count))
        for group in groups { writer.writeUInt32(group) }
        writer.writeText(home)
        writer.writeText(shell)
    }
}

extension ByteReader {
    fileprivate mutating func readList<Item>(
        max: Int, _ item: (inout ByteReader) throws(WireError) -> Item
    ) throws(WireError) -> [Item] {
        let count = Int(try readUInt32())
        guard count <= max else { throw .tooLong(count) }
        var list: [Item] = []
        for _ in 0..<count { list.append(try item(&self)) }
        return list
    }
}
