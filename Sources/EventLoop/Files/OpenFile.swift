package import Base
internal import CLibuv
internal import Glibc

/// A file that ``PathIO`` opened. Every call blocks; it is closed by ``close()`` and not before.
package final class OpenFile: Sendable {
    private let raw: CInt

    init(_ raw: CInt) {
        self.raw = raw
    }

    /// Fills `bytes` as far as the file has bytes from `offset` on.
    ///
    /// - Returns: how many were read; 0 at the end of the file.
    package func read(at offset: UInt64, into bytes: inout MutableSpan<UInt8>) throws(TeleportError) -> Int {
        guard let offset = off_t(exactly: offset) else { throw UVError.errno("reading", EINVAL) }
        while true {
            let count = unsafe bytes.withUnsafeMutableBytes { unsafe pread(raw, $0.baseAddress, $0.count, offset) }
            if count >= 0 { return count }
            guard errno == EINTR else { throw UVError.errno("reading") }
        }
    }

    /// Writes all of `bytes`.
    package func write(_ bytes: Span<UInt8>, at offset: UInt64) throws(TeleportError) {
        var done = 0
        while done < bytes.count {
            guard let position = off_t(exactly: offset), position <= off_t.max - off_t(bytes.count) else {
                throw UVError.errno("writing", EFBIG)
            }
            let rest = bytes.extracting(droppingFirst: done)
            let count = unsafe rest.withUnsafeBytes { unsafe pwrite(raw, $0.baseAddress, $0.count, position + off_t(done)) }
            if count >= 0 {
                done += count
            } else if errno != EINTR {
                throw UVError.errno("writing")
            }
        }
    }

    package func status() throws(TeleportError) -> FileStatus {
        var result = stat()
        try check(unsafe fstat(raw, &result), "looking at a file")
        return FileStatus(result)
    }

    package func volumeStatus() throws(TeleportError) -> VolumeStatus {
        var result = statvfs()
        try check(unsafe fstatvfs(raw, &result), "looking at a file system")
        return VolumeStatus(result)
    }

    package func setSize(_ size: Int64) throws(TeleportError) {
        try check(ftruncate(raw, off_t(size)), "changing a size")
    }

    package func setMode(_ mode: UInt32) throws(TeleportError) {
        try check(fchmod(raw, mode), "changing a mode")
    }

    package func setOwner(_ user: UInt32, group: UInt32) throws(TeleportError) {
        try check(fchown(raw, user, group), "changing an owner")
    }

    /// Seconds since 1970.
    package func setTimes(access: Int64, modification: Int64) throws(TeleportError) {
        let times = [timespec(tv_sec: Int(access), tv_nsec: 0), timespec(tv_sec: Int(modification), tv_nsec: 0)]
        try check(unsafe futimens(raw, times), "changing times")
    }

    package func synchronize() throws(TeleportError) {
        try check(fsync(raw), "writing to the disk")
    }

    package func close() throws(TeleportError) {
        try check(Glibc.close(raw), "closing")
    }

    private func check(_ code: CInt, _ doing: String) throws(TeleportError) {
        guard code == 0 else { throw UVError.errno(doing) }
    }
}

/// A directory that ``PathIO`` opened, which is read name by name. It closes when it goes.
@safe
package final class OpenDirectory {
    private let stream: OpaquePointer

    init(_ stream: OpaquePointer) {
        unsafe self.stream = stream
    }

    deinit {
        unsafe closedir(stream)
    }

    /// nil after the last; `.` and `..` are among them.
    package func next() throws(TeleportError) -> [UInt8]? {
        errno = 0
        guard let entry = unsafe readdir(stream) else {
            guard errno == 0 else { throw UVError.errno("reading a directory") }
            return nil
        }
        return unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
            unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe PathIO.bytes($0) }
        }
    }

    /// What a name in it is, links not followed; nil where it has gone meanwhile.
    package func status(of name: [UInt8]) -> FileStatus? {
        var result = stat()
        let code = unsafe PathIO.terminated(name) { unsafe fstatat(dirfd(stream), $0, &result, AT_SYMLINK_NOFOLLOW) }
        return code == 0 ? FileStatus(result) : nil
    }
}
