/// Why a file operation failed: what its status says.
package struct SFTPFailure: Error, Equatable, Sendable {
    package var code: SFTPStatusCode
    package var message: String

    /// - Parameter message: the code's own words unless there are better ones.
    package init(_ code: SFTPStatusCode, _ message: String? = nil) {
        self.code = code
        self.message = message ?? code.text
    }
}

/// The files that an ``SFTPServer`` serves. Relative paths begin in the user's home directory.
package protocol SFTPFiles: AnyObject {
    func open(_ path: [UInt8], _ flags: SFTPOpenFlags, permissions: UInt32) throws(SFTPFailure) -> any SFTPFile
    func openDirectory(_ path: [UInt8]) throws(SFTPFailure) -> any SFTPDirectory
    func attributes(_ path: [UInt8], followsLinks: Bool) throws(SFTPFailure) -> SFTPAttributes
    /// Changes whatever is given, also after one change has failed.
    func set(_ attributes: SFTPAttributes, of path: [UInt8], followsLinks: Bool) throws(SFTPFailure)
    func remove(_ path: [UInt8]) throws(SFTPFailure)
    func makeDirectory(_ path: [UInt8], permissions: UInt32) throws(SFTPFailure)
    func removeDirectory(_ path: [UInt8]) throws(SFTPFailure)
    /// Absolute and without links; the last component need not exist.
    func realPath(_ path: [UInt8]) throws(SFTPFailure) -> [UInt8]
    /// As ``realPath(_:)``, after `~` and `~user`.
    func expandPath(_ path: [UInt8]) throws(SFTPFailure) -> [UInt8]
    /// - Parameter replaces: whether `new` may be there already.
    func rename(_ path: [UInt8], to new: [UInt8], replaces: Bool) throws(SFTPFailure)
    func readLink(_ path: [UInt8]) throws(SFTPFailure) -> [UInt8]
    func makeSymbolicLink(_ link: [UInt8], to target: [UInt8]) throws(SFTPFailure)
    func makeHardLink(_ link: [UInt8], to path: [UInt8]) throws(SFTPFailure)
    func fileSystemStatus(_ path: [UInt8]) throws(SFTPFailure) -> SFTPFileSystemStatus
    /// Empty for who has none.
    func name(ofUser identifier: UInt32) -> [UInt8]
    func name(ofGroup identifier: UInt32) -> [UInt8]
}

/// An open file. It is closed by ``close()`` and not before.
package protocol SFTPFile: AnyObject {
    /// Fills `bytes` from `offset` on as far as the file has bytes.
    ///
    /// - Returns: how many were read; 0 at the end of the file.
    func read(at offset: UInt64, into bytes: inout MutableSpan<UInt8>) throws(SFTPFailure) -> Int
    /// Writes all of `bytes`.
    func write(_ bytes: Span<UInt8>, at offset: UInt64) throws(SFTPFailure)
    func attributes() throws(SFTPFailure) -> SFTPAttributes
    func set(_ attributes: SFTPAttributes) throws(SFTPFailure)
    func synchronize() throws(SFTPFailure)
    func fileSystemStatus() throws(SFTPFailure) -> SFTPFileSystemStatus
    /// Whether both are the same file, opened once or twice.
    func isSame(as other: any SFTPFile) throws(SFTPFailure) -> Bool
    func close() throws(SFTPFailure)
}

/// A directory that is being read.
package protocol SFTPDirectory: AnyObject {
    /// nil after the last name; `.` and `..` are among them.
    func next() throws(SFTPFailure) -> SFTPName?
    func close()
}
