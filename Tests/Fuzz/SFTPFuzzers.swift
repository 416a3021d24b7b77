import Base
import SFTP

/// Packets of either side, and their frames.
func fuzzSFTPMessages(_ bytes: [UInt8]) {
    if let range = try? SFTPPacket.first(in: bytes.span), range.upperBound > bytes.count { fatalError("a packet beyond its stream") }
    if let (id, request) = try? SFTPRequest.parse(bytes.span) {
        let framed = request.framed(id: id)
        if case .other = request { return }
        let again = try? SFTPRequest.parse(framed.span.extracting(droppingFirst: 4))
        expectSame(request, again?.request, "a request")
        expectSame(id, again?.id, "a request's id")
    }
    if let (id, reply) = try? SFTPReply.parse(bytes.span) {
        let again = try? SFTPReply.parse(reply.framed(id: id).span.extracting(droppingFirst: 4))
        expectSame(reply, again?.reply, "a reply")
        expectSame(id, again?.id, "a reply's id")
        if case .extended(let payload) = reply {
            if let limits = try? SFTPLimits(decoding: payload) { expectSame(limits.encoded(), payload, "limits") }
            if let names = try? SFTPUserGroupNames(decoding: payload) { expectSame(names.encoded(), payload, "names") }
            if let status = try? SFTPFileSystemStatus(decoding: payload) {
                expectSame(status, try? SFTPFileSystemStatus(decoding: status.encoded()), "a file system's status")
            }
        }
    }
}

/// A file of so many bytes, and a file system in which every name is one.
private final class AnyFile: SFTPFile, SFTPFiles, SFTPDirectory {
    private var size: UInt64 = 70_000
    private var listed = 0
    private let attributesOfAll = SFTPAttributes(size: 3, permissions: 0o100644)

    func read(at offset: UInt64, into bytes: inout MutableSpan<UInt8>) throws(SFTPFailure) -> Int {
        offset < size ? min(bytes.count, Int(size - offset)) : 0
    }

    func write(_ bytes: Span<UInt8>, at offset: UInt64) throws(SFTPFailure) {
        if offset > size { throw SFTPFailure(.failure) }
    }

    func attributes() throws(SFTPFailure) -> SFTPAttributes { attributesOfAll }
    func set(_ attributes: SFTPAttributes) throws(SFTPFailure) { size = min(attributes.size ?? size, 1 << 20) }
    func synchronize() throws(SFTPFailure) {}
    func isSame(as other: any SFTPFile) throws(SFTPFailure) -> Bool { other === self }
    func close() {}

    func next() throws(SFTPFailure) -> SFTPName? {
        listed += 1
        return listed > 2000 ? nil : SFTPName(name: [65], longName: [66], attributes: attributesOfAll)
    }

    func open(_ path: [UInt8], _ flags: SFTPOpenFlags, permissions: UInt32) throws(SFTPFailure) -> any SFTPFile { AnyFile() }
    func openDirectory(_ path: [UInt8]) throws(SFTPFailure) -> any SFTPDirectory { AnyFile() }
    func attributes(_ path: [UInt8], followsLinks: Bool) throws(SFTPFailure) -> SFTPAttributes { throw SFTPFailure(.noSuchFile) }
    func set(_ attributes: SFTPAttributes, of path: [UInt8], followsLinks: Bool) throws(SFTPFailure) {}
    func remove(_ path: [UInt8]) throws(SFTPFailure) {}
    func makeDirectory(_ path: [UInt8], permissions: UInt32) throws(SFTPFailure) {}
    func removeDirectory(_ path: [UInt8]) throws(SFTPFailure) {}
    func realPath(_ path: [UInt8]) throws(SFTPFailure) -> [UInt8] { path }
    func expandPath(_ path: [UInt8]) throws(SFTPFailure) -> [UInt8] { path }
    func rename(_ path: [UInt8], to new: [UInt8], replaces: Bool) throws(SFTPFailure) {}
    func readLink(_ path: [UInt8]) throws(SFTPFailure) -> [UInt8] { path }
    func makeSymbolicLink(_ link: [UInt8], to target: [UInt8]) throws(SFTPFailure) {}
    func makeHardLink(_ link: [UInt8], to path: [UInt8]) throws(SFTPFailure) {}
    func fileSystemStatus(_ path: [UInt8]) throws(SFTPFailure) -> SFTPFileSystemStatus { throw SFTPFailure(.operationUnsupported) }
    func fileSystemStatus() throws(SFTPFailure) -> SFTPFileSystemStatus { throw SFTPFailure(.operationUnsupported) }
    func name(ofUser identifier: UInt32) -> [UInt8] { [65] }
    func name(ofGroup identifier: UInt32) -> [UInt8] { [] }
}

/// A client that says anything after its version: what it is answered are whole packets, and its requests are used up or wait for more.
func fuzzSFTPServer(_ bytes: [UInt8]) {
    var server = SFTPServer(files: AnyFile())
    var output = SFTPOutput()
    var input = SFTPRequest.initialize(version: 3).framed(id: 0)
    input += SFTPRequest.open(path: [65], flags: .read, attributes: SFTPAttributes()).framed(id: 1)
    input += SFTPRequest.openDirectory(path: [65]).framed(id: 2) + bytes
    while let used = try? server.receive(input.span, output: &output), used > 0 {
        input.removeFirst(used)
        var replies = [UInt8](copying: output.bytes)
        output.removeAll()
        while let range = try? SFTPPacket.first(in: replies.span) {
            if (try? SFTPReply.parse(replies.span.extracting(range))) == nil { fatalError("a reply that nobody can read") }
            replies.removeFirst(range.upperBound)
        }
        if !replies.isEmpty { fatalError("half a reply") }
    }
    server.end()
}

/// A source that says anything: no name leaves its directory, and no more levels end than have begun.
func fuzzSCPSink(_ bytes: [UInt8]) {
    var sink = SCPSink(isRecursive: true)
    var input = bytes
    while !input.isEmpty, let (used, event) = try? sink.receive(input.span) {
        input.removeFirst(used)
        guard case .offer(let record) = event else { continue }
        switch record {
        case .file(_, let size, let name):
            precondition(SCPRecord.isPlain(name) && size >= 0)
            if name.count % 3 == 0 { sink.refuse() } else { sink.accept() }
        case .directory(_, let name):
            precondition(SCPRecord.isPlain(name))
            sink.accept()
        case .times, .end: fatalError("that is no offer")
        }
        expectSame(record, try? SCPRecord(line: record.encoded().dropLast()), "a record")
    }
    if let (used, response) = try? SCPResponse.parse(bytes.span) {
        precondition(used <= bytes.count)
        _ = response.encoded()
    }
    _ = SCPCommand.isCopy(commandLine: bytes)
}
