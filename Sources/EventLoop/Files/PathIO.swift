package import Base
internal import CLibuv
internal import Glibc

/// What the system says of a file.
package struct FileStatus: Equatable, Sendable {
    package let size: Int64
    /// The kind of file and its permission bits.
    package let mode: UInt32
    package let owner: UInt32
    package let group: UInt32
    /// Seconds since 1970.
    package let access: Int64
    package let modification: Int64
    package let linkCount: UInt64
    package let device: UInt64
    package let inode: UInt64

    init(_ result: stat) {
        size = Int64(result.st_size)
        mode = result.st_mode
        owner = result.st_uid
        group = result.st_gid
        access = Int64(result.st_atim.tv_sec)
        modification = Int64(result.st_mtim.tv_sec)
        linkCount = UInt64(result.st_nlink)
        device = UInt64(result.st_dev)
        inode = UInt64(result.st_ino)
    }

    package var isDirectory: Bool { mode & S_IFMT == S_IFDIR }
    package var isRegular: Bool { mode & S_IFMT == S_IFREG }
}

/// What the system says of a file system: the fields of POSIX `statvfs`.
package struct VolumeStatus: Equatable, Sendable {
    package let blockBytes: UInt64
    package let fragmentBytes: UInt64
    package let blocks: UInt64
    package let freeBlocks: UInt64
    package let availableBlocks: UInt64
    package let files: UInt64
    package let freeFiles: UInt64
    package let availableFiles: UInt64
    package let identifier: UInt64
    package let isReadOnly: Bool
    package let ignoresSetUID: Bool
    package let nameBytesMax: UInt64

    init(_ result: statvfs) {
        blockBytes = UInt64(result.f_bsize)
        fragmentBytes = UInt64(result.f_frsize)
        blocks = UInt64(result.f_blocks)
        freeBlocks = UInt64(result.f_bfree)
        availableBlocks = UInt64(result.f_bavail)
        files = UInt64(result.f_files)
        freeFiles = UInt64(result.f_ffree)
        availableFiles = UInt64(result.f_favail)
        identifier = UInt64(result.f_fsid)
        isReadOnly = result.f_flag & UInt(SHIM_MOUNT_READ_ONLY) != 0
        ignoresSetUID = result.f_flag & UInt(SHIM_MOUNT_NO_SETUID) != 0
        nameBytesMax = UInt64(result.f_namemax)
    }
}

/// Files whose paths are bytes, as the kernel has them, for a process that serves its user's files: every call blocks.
///
/// Errors carry the system's code (``TeleportError/code``).
package enum PathIO {
    /// What a file is opened for.
    package struct Access: OptionSet, Sendable {
        package let rawValue: Int

        package init(rawValue: Int) {
            self.rawValue = rawValue
        }

        package static let read = Access(rawValue: 1)
        package static let write = Access(rawValue: 2)
        package static let append = Access(rawValue: 4)
        package static let create = Access(rawValue: 8)
        package static let truncate = Access(rawValue: 16)
        /// With `create`: only where nothing is there.
        package static let exclusive = Access(rawValue: 32)

        fileprivate var flags: CInt {
            var flags =
                switch (contains(.read), contains(.write)) {
                case (true, true): O_RDWR
                case (false, true): O_WRONLY
                case (_, false): O_RDONLY
                }
            if contains(.append) { flags |= O_APPEND }
            if contains(.create) { flags |= O_CREAT }
            if contains(.truncate) { flags |= O_TRUNC }
            if contains(.exclusive) { flags |= O_EXCL }
            return flags | O_CLOEXEC | O_NOCTTY
        }
    }

    package static func open(_ path: [UInt8], _ access: Access, mode: UInt32) throws(TeleportError) -> OpenFile {
        let raw = try unsafe call(path, "opening") { unsafe Glibc.open($0, access.flags, mode) }
        return OpenFile(raw)
    }

    package static func openDirectory(_ path: [UInt8]) throws(TeleportError) -> OpenDirectory {
        let raw = try unsafe call(path, "opening") { unsafe Glibc.open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard let stream = unsafe fdopendir(raw) else {
            let error = failure("opening", path)
            Glibc.close(raw)
            throw error
        }
        return unsafe OpenDirectory(stream)
    }

    package static func status(_ path: [UInt8], followsLinks: Bool) throws(TeleportError) -> FileStatus {
        var result = stat()
        try unsafe call(path, "looking at") { unsafe fstatat(AT_FDCWD, $0, &result, followsLinks ? 0 : AT_SYMLINK_NOFOLLOW) }
        return FileStatus(result)
    }

    package static func volumeStatus(_ path: [UInt8]) throws(TeleportError) -> VolumeStatus {
        var result = statvfs()
        try unsafe call(path, "looking at") { unsafe statvfs($0, &result) }
        return VolumeStatus(result)
    }

    package static func setSize(_ size: Int64, of path: [UInt8]) throws(TeleportError) {
        try unsafe call(path, "changing the size of") { unsafe truncate($0, off_t(size)) }
    }

    /// - Parameter followsLinks: a link has no mode of its own: without, the system says that it cannot be changed.
    package static func setMode(_ mode: UInt32, of path: [UInt8], followsLinks: Bool) throws(TeleportError) {
        try unsafe call(path, "changing the mode of") { unsafe fchmodat(AT_FDCWD, $0, mode, followsLinks ? 0 : AT_SYMLINK_NOFOLLOW) }
    }

    package static func setOwner(_ user: UInt32, group: UInt32, of path: [UInt8], followsLinks: Bool) throws(TeleportError) {
        try unsafe call(path, "changing the owner of") {
            unsafe fchownat(AT_FDCWD, $0, user, group, followsLinks ? 0 : AT_SYMLINK_NOFOLLOW)
        }
    }

    /// Seconds since 1970.
    package static func setTimes(access: Int64, modification: Int64, of path: [UInt8], followsLinks: Bool) throws(TeleportError) {
        let times = [timespec(tv_sec: Int(access), tv_nsec: 0), timespec(tv_sec: Int(modification), tv_nsec: 0)]
        try unsafe call(path, "changing the times of") { unsafe utimensat(AT_FDCWD, $0, times, followsLinks ? 0 : AT_SYMLINK_NOFOLLOW) }
    }

    package static func remove(_ path: [UInt8]) throws(TeleportError) {
        try unsafe call(path, "removing") { unsafe unlink($0) }
    }

    package static func makeDirectory(_ path: [UInt8], mode: UInt32) throws(TeleportError) {
        try unsafe call(path, "making the directory") { unsafe mkdir($0, mode) }
    }

    package static func removeDirectory(_ path: [UInt8]) throws(TeleportError) {
        try unsafe call(path, "removing") { unsafe rmdir($0) }
    }

    /// - Parameter replaces: whether `new` may be there already; where a file system cannot tell in one step, it is told in two.
    package static func rename(_ path: [UInt8], to new: [UInt8], replaces: Bool) throws(TeleportError) {
        try unsafe call(path, new, "renaming") { path, new in
            if replaces { return unsafe Glibc.rename(path, new) }
            let code = unsafe renameat2(AT_FDCWD, path, AT_FDCWD, new, SHIM_RENAME_NOREPLACE)
            guard code != 0, errno == EINVAL || errno == ENOSYS else { return code }
            var result = stat()
            if unsafe lstat(new, &result) == 0 {
                errno = EEXIST
                return -1
            }
            return unsafe Glibc.rename(path, new)
        }
    }

    package static func makeHardLink(_ link: [UInt8], to path: [UInt8]) throws(TeleportError) {
        try unsafe call(path, link, "linking") { unsafe Glibc.link($0, $1) }
    }

    package static func makeSymbolicLink(_ link: [UInt8], to target: [UInt8]) throws(TeleportError) {
        try unsafe call(target, link, "linking") { unsafe symlink($0, $1) }
    }

    package static func readLink(_ path: [UInt8]) throws(TeleportError) -> [UInt8] {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = try unsafe call(path, "reading the link") { CInt(unsafe readlink($0, &buffer, buffer.count)) }
        return buffer.prefix(Int(count)).map(UInt8.init(bitPattern:))
    }

    /// Absolute, without links and dots; all of it has to be there.
    package static func realPath(_ path: [UInt8]) throws(TeleportError) -> [UInt8] {
        var found: [UInt8] = []
        try unsafe call(path, "finding") { path in
            guard let text = unsafe realpath(path, nil) else { return -1 }
            found = unsafe bytes(text)
            unsafe free(text)
            return 0
        }
        return found
    }

    /// The words of a command line as a shell of this process's would have split and expanded them: quotes, `~`, variables, patterns.
    ///
    /// Commands are not run, and what only a shell could do (`;`, `|`, `>`) is refused.
    package static func words(_ line: [UInt8]) throws(TeleportError) -> [[UInt8]] {
        var words: [[UInt8]] = []
        var code: CInt = 0
        try unsafe call(line, "reading") { line in
            var result = unsafe wordexp_t()
            code = unsafe wordexp(line, &result, CInt(WRDE_NOCMD))
            guard code == 0 else { return 0 }
            let count = unsafe result.we_wordc
            for index in 0..<count {
                guard let word = unsafe result.we_wordv[index] else { continue }
                words.append(unsafe bytes(word))
            }
            unsafe wordfree(&result)
            return 0
        }
        switch code {
        case 0: return words
        case CInt(WRDE_CMDSUB): throw .badParameter("a path cannot hold a command to be run")
        case CInt(WRDE_NOSPACE): throw .limitExceeded("the paths are too many")
        default: throw .badParameter("the path has characters that only a shell could make sense of; put them in quotes")
        }
    }

    /// Whether `shell` is one that people log in with (`/etc/shells`).
    package static func isLoginShell(_ shell: String) -> Bool {
        setusershell()
        defer { endusershell() }
        while let listed = unsafe getusershell() {
            if unsafe String(cString: listed) == shell { return true }
        }
        return false
    }

    /// Sets a variable of this process.
    package static func setEnvironment(_ name: String, _ value: String) {
        unsafe setenv(name, value, 1)
    }

    static func bytes(_ text: UnsafePointer<CChar>) -> [UInt8] {
        unsafe UnsafeBufferPointer(start: text, count: strlen(text)).map(UInt8.init(bitPattern:))
    }

    private static func failure(_ doing: String, _ path: [UInt8]) -> TeleportError {
        UVError.errno("\(doing) \(String(decoding: path, as: UTF8.self))")
    }

    /// Calls the system with `path`; a negative result is an error.
    @discardableResult
    private static func call(
        _ path: [UInt8], _ doing: String, _ body: (UnsafePointer<CChar>) -> CInt
    ) throws(TeleportError) -> CInt {
        let result = unsafe terminated(path, body)
        guard result >= 0 else { throw failure(doing, path) }
        return result
    }

    private static func call(
        _ path: [UInt8], _ other: [UInt8], _ doing: String, _ body: (UnsafePointer<CChar>, UnsafePointer<CChar>) -> CInt
    ) throws(TeleportError) {
        let result = unsafe terminated(path) { path in unsafe terminated(other) { unsafe body(path, $0) } }
        guard result >= 0 else { throw failure(doing, path) }
    }

    /// A path with a NUL in it names no file.
    static func terminated(_ path: [UInt8], _ body: (UnsafePointer<CChar>) -> CInt) -> CInt {
        guard !path.contains(0) else {
            errno = EINVAL
            return -1
        }
        return unsafe (path + [0]).withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("there is a NUL at least") }
            return unsafe base.withMemoryRebound(to: CChar.self, capacity: buffer.count) { unsafe body($0) }
        }
    }
}

extension TeleportError {
    /// What an error of the system's means for a file.
    package enum SystemFailure: Sendable {
        case missing, forbidden, malformed, unsupported, other
    }

    package var systemFailure: SystemFailure {
        switch code {
        case ENOENT, ENOTDIR, EBADF, ELOOP: .missing
        case EPERM, EACCES, EFAULT: .forbidden
        case ENAMETOOLONG, EINVAL: .malformed
        case ENOSYS, EOPNOTSUPP: .unsupported
        default: .other
        }
    }
}
