package import Base
package import EventLoop
internal import SFTP

/// Copies files and trees between this host and a node, over SFTP. Bound to its loop.
///
/// What a node says decides nothing about where files go here: a name that is not one file's name ends the copy, and no link is ever made.
/// Links are followed, as scp has it; what is neither file nor directory is left out.
package final class FileCopy {
    package struct Options: Sendable, Equatable {
        /// Directories with all that is in them.
        package var isRecursive: Bool
        /// Times, and modes whatever the umask says.
        package var preserves: Bool
        /// A file that is shorter than the source is taken for its beginning, and continued.
        package var resumes: Bool

        package init(isRecursive: Bool = false, preserves: Bool = false, resumes: Bool = false) {
            self.isRecursive = isRecursive
            self.preserves = preserves
            self.resumes = resumes
        }
    }

    private let session: SFTPSession
    private let options: Options
    private let loop: Loop
    private let progress: CopyProgress?
    private let report: (TeleportError) -> Void
    /// Whether something was left out.
    package private(set) var hasFailed = false

    /// As OpenSSH: a tree of links to itself ends here.
    private static let depthMax = 64
    private static let permissions: UInt32 = 0o777
    private static let allPermissions: UInt32 = 0o7777

    /// - Parameter report: is given what was left out, and why.
    package init(
        _ session: SFTPSession, _ options: Options, progress: CopyProgress?, on loop: Loop, report: @escaping (TeleportError) -> Void
    ) {
        self.session = session
        self.options = options
        self.progress = progress
        self.loop = loop
        self.report = report
    }

    /// One file that cannot be copied is left out; without a connection there is nothing to go on with.
    private func goOn(after error: TeleportError) throws(TeleportError) {
        if session.hasEnded { throw error }
        hasFailed = true
        report(error)
    }

    private func work<T: Sendable>(_ body: @escaping @Sendable () throws(TeleportError) -> T) async throws(TeleportError) -> T {
        try await loop.working(body)
    }

    // MARK: From the node

    /// Copies what `path` names, which may be a pattern, to `target`: into it where that is a directory.
    package func download(_ path: [UInt8], to target: [UInt8]) async throws(TeleportError) {
        let sources = try await expand(path)
        let targetIsDirectory = try await localStatus(target)?.isDirectory ?? false
        guard sources.count == 1 || targetIsDirectory else {
            throw .badParameter("\(SFTPSession.shown(target)) is no directory, and several files go there")
        }
        for source in sources {
            do throws(TeleportError) {
                try await downloadOne(
                    source, to: targetIsDirectory ? RemotePath.join(target, try await name(of: source)) : target, depth: 0)
            } catch {
                try goOn(after: error)
            }
        }
    }

    /// The files that a pattern names; a path that is none is itself.
    package func expand(_ path: [UInt8]) async throws(TeleportError) -> [[UInt8]] {
        guard RemotePath.isPattern(path), try await session.attributes(of: path) == nil else {
            return [path.isEmpty ? Array(".".utf8) : path]
        }
        var found: [[UInt8]] = path.first == UInt8(ascii: "/") ? [Array("/".utf8)] : [[]]
        for part in path.split(separator: UInt8(ascii: "/")).map(Array.init) {
            var next: [[UInt8]] = []
            for directory in found {
                if !RemotePath.isPattern(part) {
                    next.append(RemotePath.join(directory, part))
                    continue
                }
                let names = try await session.list(directory.isEmpty ? Array(".".utf8) : directory)
                next += names.filter { RemotePath.matches($0.name, part) }.map { RemotePath.join(directory, $0.name) }
            }
            found = next
        }
        guard !found.isEmpty else { throw .notFound("nothing on the node is named \(SFTPSession.shown(path))") }
        return found
    }

    /// How a file is called in a directory here: as it was asked for, never as the node would have it.
    private func name(of path: [UInt8]) async throws(TeleportError) -> [UInt8] {
        let name = RemotePath.lastName(path)
        if !name.isEmpty { return name }
        let real = RemotePath.lastName(try await session.realPath(path))
        guard !real.isEmpty else { throw .badParameter("\(SFTPSession.shown(path)) has no name to be called by here") }
        return real
    }

    private func downloadOne(_ path: [UInt8], to target: [UInt8], depth: Int) async throws(TeleportError) {
        guard let attributes = try await session.attributes(of: path) else {
            throw .notFound("\(SFTPSession.shown(path)): the node has no such file")
        }
        if attributes.isDirectory == true {
            try await downloadTree(path, attributes, to: target, depth: depth)
        } else if attributes.isRegular ?? true {
            try await downloadFile(path, attributes, to: target)
        } else {
            throw .badParameter("\(SFTPSession.shown(path)) is no regular file")
        }
    }

    private func downloadTree(_ path: [UInt8], _ attributes: SFTPAttributes, to target: [UInt8], depth: Int) async throws(TeleportError) {
        guard options.isRecursive else { throw .badParameter("\(SFTPSession.shown(path)) is a directory; use -r") }
        guard depth < Self.depthMax else { throw .limitExceeded("\(SFTPSession.shown(path)) is too deep") }
        let mode = (attributes.permissions ?? 0o755) & Self.permissions
        // Ours to write into until all is there.
        try await makeLocalDirectory(target, mode: mode | 0o700)
        for entry in try await session.list(path) {
            do throws(TeleportError) {
                try await downloadOne(RemotePath.join(path, entry.name), to: RemotePath.join(target, entry.name), depth: depth + 1)
            } catch {
                try goOn(after: error)
            }
        }
        if options.preserves { try await preserve(attributes, target) }
    }

    private func downloadFile(_ path: [UInt8], _ attributes: SFTPAttributes, to target: [UInt8]) async throws(TeleportError) {
        let mode = (attributes.permissions ?? 0o644) & Self.permissions
        let file = try await work { () throws(TeleportError) in try PathIO.open(target, [.write, .create], mode: mode | 0o200) }
        do throws(TeleportError) {
            try await fill(file, from: path, attributes)
        } catch {
            // What went wrong first is what counts.
            try? await work { () throws(TeleportError) in try file.close() }
            throw error
        }
        try await work { () throws(TeleportError) in try file.close() }
        if options.preserves { try await preserve(attributes, target) }
    }

    private func fill(_ file: OpenFile, from path: [UInt8], _ attributes: SFTPAttributes) async throws(TeleportError) {
        let present = try await work { () throws(TeleportError) in try file.status() }
        let presentSize = UInt64(clamping: present.size)
        let begin = options.resumes && present.isRegular && presentSize <= attributes.size ?? 0 ? presentSize : 0
        let handle = try await session.open(path, .read)
        progress?.begin(SFTPSession.shown(RemotePath.lastName(path)), size: attributes.size, at: begin)
        var end = begin
        do throws(TeleportError) {
            try await session.download(handle, from: begin, size: attributes.size, to: file) { [progress] count in
                end += UInt64(count)
                progress?.advance(count)
            }
        } catch {
            progress?.end()
            throw TeleportError(error.kind, "\(SFTPSession.shown(path)): \(error.message)", code: error.code, cause: error)
        }
        progress?.end()
        // What was there before and is longer than what has come.
        let size = end
        if present.isRegular, presentSize > size { try await work { () throws(TeleportError) in try file.setSize(Int64(size)) } }
        try await session.close(handle, path)
    }

    private func preserve(_ attributes: SFTPAttributes, _ path: [UInt8]) async throws(TeleportError) {
        try await work { () throws(TeleportError) in
            if let permissions = attributes.permissions {
                try PathIO.setMode(permissions & Self.allPermissions, of: path, followsLinks: true)
            }
            if let times = attributes.times {
                try PathIO.setTimes(
                    access: Int64(times.access), modification: Int64(times.modification), of: path, followsLinks: true)
            }
        }
    }

    /// nil where there is nothing of that name; links are followed.
    private func localStatus(_ path: [UInt8]) async throws(TeleportError) -> FileStatus? {
        try await work { () throws(TeleportError) in
            do throws(TeleportError) {
                return try PathIO.status(path, followsLinks: true)
            } catch {
                if error.systemFailure == .missing { return nil }
                throw error
            }
        }
    }

    /// One that is there is no error.
    private func makeLocalDirectory(_ path: [UInt8], mode: UInt32) async throws(TeleportError) {
        if try await localStatus(path)?.isDirectory == true { return }
        try await work { () throws(TeleportError) in try PathIO.makeDirectory(path, mode: mode) }
    }

    // MARK: To the node

    /// Copies local files to `target`: into it where that is a directory.
    package func upload(_ paths: [[UInt8]], to target: [UInt8]) async throws(TeleportError) {
        let target = target.isEmpty ? Array(".".utf8) : target
        let targetIsDirectory = try await session.attributes(of: target)?.isDirectory ?? false
        guard paths.count == 1 || targetIsDirectory else {
            throw .badParameter("\(SFTPSession.shown(target)) is no directory on the node, and several files go there")
        }
        for path in paths {
            do throws(TeleportError) {
                try await uploadOne(path, to: targetIsDirectory ? RemotePath.join(target, try await localName(path)) : target, depth: 0)
            } catch {
                try goOn(after: error)
            }
        }
    }

    /// `.` and `..` are called by what they are.
    private func localName(_ path: [UInt8]) async throws(TeleportError) -> [UInt8] {
        let name = RemotePath.lastName(path)
        if !name.isEmpty { return name }
        return RemotePath.lastName(try await work { () throws(TeleportError) in try PathIO.realPath(path) })
    }

    private func uploadOne(_ path: [UInt8], to target: [UInt8], depth: Int) async throws(TeleportError) {
        guard let status = try await localStatus(path) else { throw .notFound("\(SFTPSession.shown(path)): there is no such file") }
        if status.isDirectory {
            try await uploadTree(path, status, to: target, depth: depth)
        } else if status.isRegular {
            try await uploadFile(path, status, to: target)
        } else {
            throw .badParameter("\(SFTPSession.shown(path)) is no regular file")
        }
    }

    private func uploadTree(_ path: [UInt8], _ status: FileStatus, to target: [UInt8], depth: Int) async throws(TeleportError) {
        guard options.isRecursive else { throw .badParameter("\(SFTPSession.shown(path)) is a directory; use -r") }
        guard depth < Self.depthMax else { throw .limitExceeded("\(SFTPSession.shown(path)) is too deep") }
        if try await session.attributes(of: target)?.isDirectory != true {
            let mode = status.mode & Self.permissions | 0o700
            try await session.perform(
                .makeDirectory(path: target, SFTPAttributes(permissions: mode)), "making \(SFTPSession.shown(target))")
        }
        for name in try await work({ () throws(TeleportError) in try Self.names(in: path) }) {
            do throws(TeleportError) {
                try await uploadOne(RemotePath.join(path, name), to: RemotePath.join(target, name), depth: depth + 1)
            } catch {
                try goOn(after: error)
            }
        }
        if options.preserves {
            try await session.perform(
                .setStatus(path: target, Self.attributes(status)), "setting the times of \(SFTPSession.shown(target))")
        }
    }

    private static func names(in path: [UInt8]) throws(TeleportError) -> [[UInt8]] {
        let directory = try PathIO.openDirectory(path)
        var names: [[UInt8]] = []
        while let name = try directory.next() {
            if SFTPSession.isFileName(name) { names.append(name) }
        }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    private func uploadFile(_ path: [UInt8], _ status: FileStatus, to target: [UInt8]) async throws(TeleportError) {
        let file = try await work { () throws(TeleportError) in try PathIO.open(path, .read, mode: 0) }
        do throws(TeleportError) {
            try await send(file, status, path, to: target)
        } catch {
            // What went wrong first is what counts.
            try? await work { () throws(TeleportError) in try file.close() }
            throw error
        }
        try await work { () throws(TeleportError) in try file.close() }
    }

    private func send(_ file: OpenFile, _ status: FileStatus, _ path: [UInt8], to target: [UInt8]) async throws(TeleportError) {
        let size = UInt64(clamping: status.size)
        let present = options.resumes ? try await session.attributes(of: target)?.size ?? 0 : 0
        let begin = present <= size ? present : 0
        let flags: SFTPOpenFlags = begin > 0 ? [.write, .create] : [.write, .create, .truncate]
        let handle = try await session.open(target, flags, permissions: status.mode & Self.permissions)
        progress?.begin(SFTPSession.shown(RemotePath.lastName(path)), size: size, at: begin)
        do throws(TeleportError) {
            try await session.upload(file, from: begin, to: handle) { [progress] count in progress?.advance(count) }
        } catch {
            progress?.end()
            throw TeleportError(error.kind, "\(SFTPSession.shown(target)): \(error.message)", code: error.code, cause: error)
        }
        progress?.end()
        if options.preserves {
            try await session.perform(
                .setHandleStatus(handle: handle, Self.attributes(status)), "setting the times of \(SFTPSession.shown(target))")
        }
        try await session.close(handle, target)
    }

    private static func attributes(_ status: FileStatus) -> SFTPAttributes {
        SFTPAttributes(
            permissions: status.mode & allPermissions,
            times: .init(access: UInt32(clamping: status.access), modification: UInt32(clamping: status.modification)))
    }
}
