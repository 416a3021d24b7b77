internal import Base
internal import EventLoop
internal import SFTP

/// This machine's files as an ``SFTPServer`` serves them. What may be done is the kernel's decision for whom this process runs as.
final class UserFiles: SFTPFiles {
    private let home: [UInt8]
    private let names: AccountNames

    init(home: String, now: UnixTime) {
        self.home = Array(home.utf8)
        names = AccountNames(now: now)
    }

    func open(_ path: [UInt8], _ flags: SFTPOpenFlags, permissions: UInt32) throws(SFTPFailure) -> any SFTPFile {
        try checking { () throws(TeleportError) in
            UserFile(try PathIO.open(path, PathIO.Access(flags), mode: permissions & UserFiles.modeMask))
        }
    }

    func openDirectory(_ path: [UInt8]) throws(SFTPFailure) -> any SFTPDirectory {
        try checking { () throws(TeleportError) in UserDirectory(try PathIO.openDirectory(path), names: names) }
    }

    func attributes(_ path: [UInt8], followsLinks: Bool) throws(SFTPFailure) -> SFTPAttributes {
        try checking { () throws(TeleportError) in SFTPAttributes(try PathIO.status(path, followsLinks: followsLinks)) }
    }

    func set(_ attributes: SFTPAttributes, of path: [UInt8], followsLinks: Bool) throws(SFTPFailure) {
        var changes = Changes()
        if let size = attributes.size {
            changes.try { () throws(TeleportError) in
                // A link has no size that could be changed.
                guard followsLinks else { throw TeleportError.badParameter("a link has no size of its own") }
                try PathIO.setSize(Int64(clamping: size), of: path)
            }
        }
        if let permissions = attributes.permissions {
            changes.try { () throws(TeleportError) in
                try PathIO.setMode(permissions & UserFiles.modeMask, of: path, followsLinks: followsLinks)
            }
        }
        if let times = attributes.times {
            changes.try { () throws(TeleportError) in
                try PathIO.setTimes(
                    access: Int64(times.access), modification: Int64(times.modification), of: path, followsLinks: followsLinks)
            }
        }
        if let owner = attributes.owner {
            changes.try { () throws(TeleportError) in
                try PathIO.setOwner(owner.user, group: owner.group, of: path, followsLinks: followsLinks)
            }
        }
        try changes.finish()
    }

    func remove(_ path: [UInt8]) throws(SFTPFailure) {
        try checking { () throws(TeleportError) in try PathIO.remove(path) }
    }

    func makeDirectory(_ path: [UInt8], permissions: UInt32) throws(SFTPFailure) {
        try checking { () throws(TeleportError) in try PathIO.makeDirectory(path, mode: permissions & UserFiles.modeMask) }
    }

    func removeDirectory(_ path: [UInt8]) throws(SFTPFailure) {
        try checking { () throws(TeleportError) in try PathIO.removeDirectory(path) }
    }

    func realPath(_ path: [UInt8]) throws(SFTPFailure) -> [UInt8] {
        do throws(TeleportError) {
            return try PathIO.realPath(path)
        } catch {
            // As in BSD and in OpenSSH: what is not there yet has a path all the same, if its directory is there.
            guard error.kind == .notFound else { throw SFTPFailure(error) }
            let slash = UInt8(ascii: "/")
            var parts = path
            while parts.count > 1, parts.last == slash { parts.removeLast() }
            let cut = parts.lastIndex(of: slash)
            let name = Array(parts[(cut.map { $0 + 1 } ?? 0)...])
            guard SCPRecord.isPlain(name) else { throw SFTPFailure(error) }
            let directory = cut.map { $0 == 0 ? [slash] : Array(parts[..<$0]) } ?? [UInt8(ascii: ".")]
            let above = try checking { () throws(TeleportError) in try PathIO.realPath(directory) }
            return (above == [slash] ? [] : above) + [slash] + name
        }
    }

    func expandPath(_ path: [UInt8]) throws(SFTPFailure) -> [UInt8] {
        guard path.first == UInt8(ascii: "~") else { return try realPath(path.isEmpty ? [UInt8(ascii: ".")] : path) }
        let name = path.dropFirst().prefix { $0 != UInt8(ascii: "/") }
        let rest = path.dropFirst(1 + name.count)
        guard !name.isEmpty else { return try realPath(home + rest) }
        let account = try checking { () throws(TeleportError) in try UserAccounts.account(named: String(decoding: name, as: UTF8.self)) }
        guard let account else { throw SFTPFailure(.noSuchFile) }
        return try realPath(Array(account.home.utf8) + rest)
    }

    func rename(_ path: [UInt8], to new: [UInt8], replaces: Bool) throws(SFTPFailure) {
        try checking { () throws(TeleportError) in try PathIO.rename(path, to: new, replaces: replaces) }
    }

    func readLink(_ path: [UInt8]) throws(SFTPFailure) -> [UInt8] {
        try checking { () throws(TeleportError) in try PathIO.readLink(path) }
    }

    func makeSymbolicLink(_ link: [UInt8], to target: [UInt8]) throws(SFTPFailure) {
        try checking { () throws(TeleportError) in try PathIO.makeSymbolicLink(link, to: target) }
    }

    func makeHardLink(_ link: [UInt8], to path: [UInt8]) throws(SFTPFailure) {
        try checking { () throws(TeleportError) in try PathIO.makeHardLink(link, to: path) }
    }

    func fileSystemStatus(_ path: [UInt8]) throws(SFTPFailure) -> SFTPFileSystemStatus {
        try checking { () throws(TeleportError) in SFTPFileSystemStatus(try PathIO.volumeStatus(path)) }
    }

    func name(ofUser identifier: UInt32) -> [UInt8] { Array((names.user(identifier) ?? "").utf8) }
    func name(ofGroup identifier: UInt32) -> [UInt8] { Array((names.group(identifier) ?? "").utf8) }

    /// Of `st_mode`, what can be set.
    static let modeMask: UInt32 = 0o7777
}

/// Names of users and groups, looked up once each, and what a line of a listing is made of.
final class AccountNames {
    private let now: UnixTime
    private var users: [UInt32: String?] = [:]
    private var groups: [UInt32: String?] = [:]

    init(now: UnixTime) {
        self.now = now
    }

    /// A directory server that does not answer leaves a number.
    func user(_ identifier: UInt32) -> String? {
        if let known = users[identifier] { return known }
        let name = (try? UserAccounts.account(identifier: identifier))?.name
        users[identifier] = .some(name)
        return name
    }

    func group(_ identifier: UInt32) -> String? {
        if let known = groups[identifier] { return known }
        let name = try? UserAccounts.groupName(identifier: identifier)
        groups[identifier] = .some(name)
        return name
    }

    /// A line as that of `ls -l`.
    func line(_ name: [UInt8], _ status: FileStatus) -> [UInt8] {
        let columns = [
            SFTPListing.modeText(status.mode), Self.padded("\(status.linkCount)", 4, leading: true),
            Self.padded(user(status.owner) ?? "\(status.owner)", 8), Self.padded(group(status.group) ?? "\(status.group)", 8),
            Self.padded("\(status.size)", 8, leading: true), LocalTime.listing(status.modification, now: now),
        ]
        return Array(columns.joined(separator: " ").utf8) + [UInt8(ascii: " ")] + name
    }

    private static func padded(_ text: String, _ width: Int, leading: Bool = false) -> String {
        let space = String(repeating: " ", count: max(0, width - text.utf8.count))
        return leading ? space + text : text + space
    }
}

private final class UserFile: SFTPFile {
    private let file: OpenFile

    init(_ file: OpenFile) {
        self.file = file
    }

    func read(at offset: UInt64, into bytes: inout MutableSpan<UInt8>) throws(SFTPFailure) -> Int {
        do throws(TeleportError) {
            return try file.read(at: offset, into: &bytes)
        } catch {
            throw SFTPFailure(error)
        }
    }

    func write(_ bytes: Span<UInt8>, at offset: UInt64) throws(SFTPFailure) {
        do throws(TeleportError) {
            try file.write(bytes, at: offset)
        } catch {
            throw SFTPFailure(error)
        }
    }

    func attributes() throws(SFTPFailure) -> SFTPAttributes {
        try checking { () throws(TeleportError) in SFTPAttributes(try file.status()) }
    }

    func set(_ attributes: SFTPAttributes) throws(SFTPFailure) {
        var changes = Changes()
        if let size = attributes.size {
            changes.try { () throws(TeleportError) in try file.setSize(Int64(clamping: size)) }
        }
        if let permissions = attributes.permissions {
            changes.try { () throws(TeleportError) in try file.setMode(permissions & UserFiles.modeMask) }
        }
        if let times = attributes.times {
            changes.try { () throws(TeleportError) in
                try file.setTimes(access: Int64(times.access), modification: Int64(times.modification))
            }
        }
        if let owner = attributes.owner {
            changes.try { () throws(TeleportError) in try file.setOwner(owner.user, group: owner.group) }
        }
        try changes.finish()
    }

    func synchronize() throws(SFTPFailure) {
        try checking { () throws(TeleportError) in try file.synchronize() }
    }

    func fileSystemStatus() throws(SFTPFailure) -> SFTPFileSystemStatus {
        try checking { () throws(TeleportError) in SFTPFileSystemStatus(try file.volumeStatus()) }
    }

    func isSame(as other: any SFTPFile) throws(SFTPFailure) -> Bool {
        guard let other = other as? UserFile else { return false }
        return try checking { () throws(TeleportError) in
            let (mine, theirs) = (try file.status(), try other.file.status())
            return mine.device == theirs.device && mine.inode == theirs.inode
        }
    }

    func close() throws(SFTPFailure) {
        try checking { () throws(TeleportError) in try file.close() }
    }
}

private final class UserDirectory: SFTPDirectory {
    private var directory: OpenDirectory?
    private let names: AccountNames

    init(_ directory: OpenDirectory, names: AccountNames) {
        self.directory = directory
        self.names = names
    }

    func next() throws(SFTPFailure) -> SFTPName? {
        while let name = try checking({ () throws(TeleportError) in try directory?.next() }) {
            // What has gone since is not listed.
            guard let status = directory?.status(of: name) else { continue }
            return SFTPName(name: name, longName: names.line(name, status), attributes: SFTPAttributes(status))
        }
        return nil
    }

    func close() {
        directory = nil
    }
}

/// Several changes of one file, of which each is tried; the first failure is told.
private struct Changes {
    private var failure: SFTPFailure?

    mutating func `try`(_ change: () throws(TeleportError) -> Void) {
        do throws(TeleportError) {
            try change()
        } catch {
            if failure == nil { failure = SFTPFailure(error) }
        }
    }

    func finish() throws(SFTPFailure) {
        if let failure { throw failure }
    }
}

private func checking<Result>(_ body: () throws(TeleportError) -> Result) throws(SFTPFailure) -> Result {
    do throws(TeleportError) {
        return try body()
    } catch {
        throw SFTPFailure(error)
    }
}

extension SFTPFailure {
    /// The codes that OpenSSH's server gives for those of the system.
    fileprivate init(_ error: TeleportError) {
        switch error.systemFailure {
        case .missing: self.init(.noSuchFile)
        case .forbidden: self.init(.permissionDenied)
        case .malformed: self.init(.badMessage, error.message)
        case .unsupported: self.init(.operationUnsupported, error.message)
        case .other: self.init(.failure, error.message)
        }
    }
}

extension PathIO.Access {
    fileprivate init(_ flags: SFTPOpenFlags) {
        self = []
        if flags.contains(.read) { insert(.read) }
        if flags.contains(.write) { insert(.write) }
        if flags.contains(.append) { insert(.append) }
        if flags.contains(.create) { insert(.create) }
        if flags.contains(.truncate) { insert(.truncate) }
        if flags.contains(.exclusive) { insert(.exclusive) }
    }
}

extension SFTPAttributes {
    fileprivate init(_ status: FileStatus) {
        self.init(
            size: UInt64(clamping: status.size), owner: Owner(user: status.owner, group: status.group), permissions: status.mode,
            times: Times(access: UInt32(clamping: status.access), modification: UInt32(clamping: status.modification)))
    }
}

extension SFTPFileSystemStatus {
    fileprivate init(_ status: VolumeStatus) {
        self.init(
            blockBytes: status.blockBytes, fragmentBytes: status.fragmentBytes, blocks: status.blocks, freeBlocks: status.freeBlocks,
            availableBlocks: status.availableBlocks, files: status.files, freeFiles: status.freeFiles,
            availableFiles: status.availableFiles, identifier: status.identifier, isReadOnly: status.isReadOnly,
            ignoresSetUID: status.ignoresSetUID, nameBytesMax: status.nameBytesMax)
    }
}
