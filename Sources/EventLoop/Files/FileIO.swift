package import Base
internal import CLibuv
internal import Glibc

/// Files, for the worker pool: every call blocks.
package enum FileIO {
    package struct Status: Equatable, Sendable {
        package let size: Int64
        /// Permission bits only.
        package let mode: UInt32
        package let owner: UInt32
        package let isDirectory: Bool
        package let isRegular: Bool
    }

    /// - Parameter max: a longer file is refused rather than read.
    package static func read(_ path: String, max: Int = 64 << 20) throws(TeleportError) -> [UInt8] {
        let file = try open(path, O_RDONLY)
        return try readAll(file.raw, max: max, name: path)
    }

    /// Replaces the file at once and durably: whoever reads sees the old bytes or the new, also after a power cut.
    package static func write(_ bytes: [UInt8], to path: String, mode: UInt32 = 0o600) throws(TeleportError) {
        // The process identifier and the clock tell the writers of one file apart.
        let temporary = "\(path).\(getpid()).\(uv_hrtime())"
        do throws(TeleportError) {
            let file = try open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode: mode)
            try write(bytes, descriptor: file.raw)
            guard fsync(file.raw) == 0 else { throw UVError.errno("writing \(path)") }
            try rename(temporary, to: path)
        } catch {
            unsafe unlink(temporary)
            throw error
        }
        try synchronizeDirectory(of: path)
    }

    package static func append(_ bytes: [UInt8], to path: String, mode: UInt32 = 0o600) throws(TeleportError) {
        let file = try open(path, O_WRONLY | O_CREAT | O_APPEND, mode: mode)
        try write(bytes, descriptor: file.raw)
    }

    package static func rename(_ path: String, to other: String) throws(TeleportError) {
        guard unsafe Glibc.rename(path, other) == 0 else { throw UVError.errno("renaming \(path) to \(other)") }
    }

    /// A file or a link; not being there is no error.
    package static func remove(_ path: String) throws(TeleportError) {
        guard unsafe unlink(path) == 0 || errno == ENOENT else { throw UVError.errno("removing \(path)") }
    }

    /// A directory and all in it; links are removed and not followed.
    package static func removeTree(_ path: String) throws(TeleportError) {
        guard let status = try linkStatus(path) else { return }
        guard status.isDirectory else { return try remove(path) }
        for name in try list(path) { try removeTree("\(path)/\(name)") }
        guard unsafe rmdir(path) == 0 else { throw UVError.errno("removing \(path)") }
    }

    /// Makes the directory and those above it that are missing; one that is there keeps its mode.
    package static func createDirectory(_ path: String, mode: UInt32 = 0o700) throws(TeleportError) {
        if unsafe mkdir(path, mode) == 0 { return }
        switch errno {
        case EEXIST:
            guard try status(path)?.isDirectory == true else { throw UVError.errno("making the directory \(path)", ENOTDIR) }
        case ENOENT:
            guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { throw UVError.errno("making the directory \(path)") }
            try createDirectory(String(path[..<slash]), mode: mode)
            guard unsafe mkdir(path, mode) == 0 || errno == EEXIST else { throw UVError.errno("making the directory \(path)") }
        default: throw UVError.errno("making the directory \(path)")
        }
    }

    /// Makes a directory that nobody else can enter, under a name that nobody can foresee.
    ///
    /// - Parameter prefix: of its path.
    package static func createTemporaryDirectory(prefix: String) throws(TeleportError) -> String {
        var template = Array("\(prefix)XXXXXXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw UVError.errno("making a directory \(prefix)…") }
        return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// The names in a directory, sorted.
    package static func list(_ path: String) throws(TeleportError) -> [String] {
        guard let directory = unsafe opendir(path) else { throw UVError.errno("listing \(path)") }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// nil where there is nothing of that name; links are followed.
    package static func status(_ path: String) throws(TeleportError) -> Status? {
        var result = stat()
        return try status(unsafe stat(path, &result), result, path)
    }

    private static func linkStatus(_ path: String) throws(TeleportError) -> Status? {
        var result = stat()
        return try status(unsafe lstat(path, &result), result, path)
    }

    private static func status(_ code: CInt, _ result: stat, _ path: String) throws(TeleportError) -> Status? {
        if code != 0 {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw UVError.errno("looking at \(path)")
        }
        let kind = result.st_mode & S_IFMT
        return Status(
            size: Int64(result.st_size), mode: result.st_mode & 0o7777, owner: result.st_uid, isDirectory: kind == S_IFDIR,
            isRegular: kind == S_IFREG)
    }

    package static func setMode(_ mode: UInt32, of path: String) throws(TeleportError) {
        guard unsafe chmod(path, mode) == 0 else { throw UVError.errno("changing the mode of \(path)") }
    }

    package static func setOwner(_ user: UInt32, group: UInt32, of path: String) throws(TeleportError) {
        guard unsafe chown(path, user, group) == 0 else { throw UVError.errno("changing the owner of \(path)") }
    }

    /// The path from the root, whatever the working directory is.
    package static func absolute(_ path: String) throws(TeleportError) -> String {
        guard !path.hasPrefix("/") else { return path }
        guard let directory = unsafe getcwd(nil, 0) else { throw UVError.errno("finding the working directory") }
        defer { unsafe free(directory) }
        return unsafe "\(String(cString: directory))/\(path)"
    }

    /// The absolute path of this process's own program.
    package static func executablePath() throws(TeleportError) -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        var size = buffer.count
        try UVError.check(unsafe uv_exepath(&buffer, &size), "finding this program")
        return String(decoding: buffer[..<size].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Holds the file for this process, until the result goes.
    ///
    /// - Throws: ``ErrorKind/alreadyAcquired`` where another process holds it.
    package static func lock(_ path: String) throws(TeleportError) -> FileDescriptor {
        let file = try open(path, O_RDWR | O_CREAT, mode: 0o600)
        guard flock(file.raw, LOCK_EX | LOCK_NB) == 0 else {
            throw TeleportError(.alreadyAcquired, "another process holds \(path)", code: errno)
        }
        return file
    }

    // MARK: Descriptors

    /// All there is until end of file.
    package static func readAll(_ descriptor: Int32, max: Int, name: String) throws(TeleportError) -> [UInt8] {
        var bytes: [UInt8] = []
        while let chunk = try readSome(descriptor, name: name) {
            bytes += chunk
            guard bytes.count <= max else { throw TeleportError.limitExceeded("\(name) is longer than \(max) bytes") }
        }
        return bytes
    }

    /// One line without its end; nothing is read past it. Empty at the end of the input.
    package static func readLine(descriptor: Int32, max: Int = 4096) throws(TeleportError) -> [UInt8] {
        try readNextLine(descriptor: descriptor, max: max) ?? []
    }

    /// The same, but nil at the end of the input.
    package static func readNextLine(descriptor: Int32, max: Int = 4096) throws(TeleportError) -> [UInt8]? {
        var line: [UInt8] = []
        while true {
            guard let byte = try readSome(descriptor, name: "the input", max: 1)?.first else { return line.isEmpty ? nil : line }
            if byte == 0x0a { return line }
            line.append(byte)
            guard line.count <= max else { throw TeleportError.limitExceeded("the line is longer than \(max) bytes") }
        }
    }

    /// nil at end of file.
    package static func readSome(_ descriptor: Int32, name: String, max: Int = 64 << 10) throws(TeleportError) -> [UInt8]? {
        while true {
            var count = 0
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: max) { buffer, initialized in
                count = unsafe Glibc.read(descriptor, buffer.baseAddress, max)
                initialized = Swift.max(count, 0)
            }
            if count > 0 { return bytes }
            if count == 0 { return nil }
            guard errno == EINTR else { throw UVError.errno("reading \(name)") }
        }
    }

    /// Fills what it can of `bytes`, whose size is that of one read.
    ///
    /// - Returns: how many were read; 0 at end of file.
    package static func read(_ descriptor: Int32, into bytes: inout MutableSpan<UInt8>) throws(TeleportError) -> Int {
        while true {
            let count = unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 { return count }
            guard errno == EINTR else { throw UVError.errno("reading") }
        }
    }

    package static func write(_ bytes: [UInt8], descriptor: Int32) throws(TeleportError) {
        try write(bytes.span, descriptor: descriptor)
    }

    package static func write(_ bytes: Span<UInt8>, descriptor: Int32) throws(TeleportError) {
        var done = 0
        while done < bytes.count {
            let rest = bytes.extracting(droppingFirst: done)
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                done += count
            } else if errno != EINTR {
                throw UVError.errno("writing")
            }
        }
    }

    /// Whether it is `/dev/null`, which neither has anything nor keeps anything.
    package static func isNullDevice(_ descriptor: Int32) -> Bool {
        shim_is_null_device(descriptor)
    }

    /// Lets a pipe hold more, so that its two sides take turns less often; one that cannot is left as it is.
    package static func widenPipe(_ descriptor: Int32, bytes: Int32) {
        shim_widen_pipe(descriptor, bytes)
    }

    private static func open(_ path: String, _ flags: CInt, mode: UInt32 = 0) throws(TeleportError) -> FileDescriptor {
        let raw = unsafe Glibc.open(path, flags | O_CLOEXEC, mode)
        guard raw >= 0 else { throw UVError.errno("opening \(path)") }
        return FileDescriptor(raw)
    }

    private static func synchronizeDirectory(of path: String) throws(TeleportError) {
        let directory = path.lastIndex(of: "/").map { String(path[..<path.index(after: $0)]) } ?? "."
        let file = try open(directory, O_RDONLY | O_DIRECTORY)
        guard fsync(file.raw) == 0 else { throw UVError.errno("writing \(directory)") }
    }
}
