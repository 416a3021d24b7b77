import Base
import SFTP
import Testing

/// Files that are names and bytes, of which one cannot be read.
private final class MemoryFiles: SFTPFiles {
    final class File: SFTPFile {
        var bytes: [UInt8]
        let isBroken: Bool
        private(set) var closings = 0

        init(_ bytes: [UInt8] = [], isBroken: Bool = false) {
            self.bytes = bytes
            self.isBroken = isBroken
        }

        func read(at offset: UInt64, into span: inout MutableSpan<UInt8>) throws(SFTPFailure) -> Int {
            if isBroken { throw SFTPFailure(.failure, "broken") }
            guard offset < UInt64(bytes.count) else { return 0 }
            let part = bytes[Int(offset)...].prefix(span.count)
            span.copy(Array(part).span, at: 0)
            return part.count
        }

        func write(_ span: Span<UInt8>, at offset: UInt64) throws(SFTPFailure) {
            if isBroken { throw SFTPFailure(.failure, "broken") }
            let end = Int(offset) + span.count
            if bytes.count < end { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
            bytes.replaceSubrange(Int(offset)..<end, with: [UInt8](copying: span))
        }

        func attributes() throws(SFTPFailure) -> SFTPAttributes { SFTPAttributes(size: UInt64(bytes.count)) }
        func set(_ attributes: SFTPAttributes) throws(SFTPFailure) { throw SFTPFailure(.permissionDenied) }
        func synchronize() throws(SFTPFailure) {}
        func fileSystemStatus() throws(SFTPFailure) -> SFTPFileSystemStatus { throw SFTPFailure(.operationUnsupported) }
        func isSame(as other: any SFTPFile) throws(SFTPFailure) -> Bool { other === self }
        func close() throws(SFTPFailure) { closings += 1 }
    }

    final class Directory: SFTPDirectory {
        private var rest: [SFTPName]
        init(_ names: [SFTPName]) { rest = names.reversed() }
        func next() throws(SFTPFailure) -> SFTPName? { rest.popLast() }
        func close() {}
    }

    var files: [[UInt8]: File] = [:]
    /// What was asked, in order.
    private(set) var calls: [String] = []

    private func note(_ call: String, _ paths: [UInt8]...) throws(SFTPFailure) {
        calls.append(([call] + paths.map { String(decoding: $0, as: UTF8.self) }).joined(separator: " "))
    }

    func open(_ path: [UInt8], _ flags: SFTPOpenFlags, permissions: UInt32) throws(SFTPFailure) -> any SFTPFile {
        if let file = files[path] { return file }
        guard flags.contains(.create) else { throw SFTPFailure(.noSuchFile) }
        let file = File()
        files[path] = file
        return file
    }

    func openDirectory(_ path: [UInt8]) throws(SFTPFailure) -> any SFTPDirectory {
        Directory(files.keys.map { SFTPName(name: $0, longName: $0, attributes: SFTPAttributes(permissions: 0o100644)) })
    }

    func attributes(_ path: [UInt8], followsLinks: Bool) throws(SFTPFailure) -> SFTPAttributes {
        guard let file = files[path] else { throw SFTPFailure(.noSuchFile) }
        return try file.attributes()
    }

    func set(_ attributes: SFTPAttributes, of path: [UInt8], followsLinks: Bool) throws(SFTPFailure) {
        try note("set \(followsLinks)", path)
    }

    func remove(_ path: [UInt8]) throws(SFTPFailure) { try note("remove", path) }
    func makeDirectory(_ path: [UInt8], permissions: UInt32) throws(SFTPFailure) { try note("mkdir \(permissions)", path) }
    func removeDirectory(_ path: [UInt8]) throws(SFTPFailure) { try note("rmdir", path) }
    func realPath(_ path: [UInt8]) throws(SFTPFailure) -> [UInt8] { Array("/home/".utf8) + path }
    func expandPath(_ path: [UInt8]) throws(SFTPFailure) -> [UInt8] { Array("/expanded/".utf8) + path }
    func rename(_ path: [UInt8], to new: [UInt8], replaces: Bool) throws(SFTPFailure) { try note("rename \(replaces)", path, new) }
    func readLink(_ path: [UInt8]) throws(SFTPFailure) -> [UInt8] { path }
    func makeSymbolicLink(_ link: [UInt8], to target: [UInt8]) throws(SFTPFailure) { try note("symlink", link, target) }
    func makeHardLink(_ link: [UInt8], to path: [UInt8]) throws(SFTPFailure) { try note("hardlink", link, path) }
    func fileSystemStatus(_ path: [UInt8]) throws(SFTPFailure) -> SFTPFileSystemStatus { throw SFTPFailure(.operationUnsupported) }
    func name(ofUser identifier: UInt32) -> [UInt8] { identifier == 0 ? Array("root".utf8) : [] }
    func name(ofGroup identifier: UInt32) -> [UInt8] { [] }
}

@Suite("SFTP server")
struct SFTPServerTests {
    private static let path = Array("file".utf8)

    /// What a server answers to requests that come all at once, after the version.
    private func ask(_ requests: [SFTPRequest], _ files: MemoryFiles = MemoryFiles()) throws -> [SFTPReply] {
        var server = SFTPServer(files: files)
        var output = SFTPOutput()
        var input = SFTPRequest.initialize(version: 3).framed(id: 0)
        for (id, request) in requests.enumerated() { input += request.framed(id: UInt32(id)) }
        var replies: [SFTPReply] = []
        while !input.isEmpty {
            let used = try server.receive(input.span, output: &output)
            input.removeFirst(used)
            if used == 0 { break }
            var bytes = [UInt8](copying: output.bytes)
            output.removeAll()
            while let range = try SFTPPacket.first(in: bytes.span) {
                let (id, reply) = try SFTPReply.parse(bytes.span.extracting(range))
                #expect(Int(id) == max(0, replies.count - 1))
                replies.append(reply)
                bytes.removeFirst(range.upperBound)
            }
        }
        server.end()
        #expect(replies.first == .version(3, extensions: SFTPServer.extensions))
        return Array(replies.dropFirst())
    }

    private static let ok = SFTPReply.status(.ok, message: "Success")
    private static let invalid = SFTPReply.status(.failure, message: "Invalid handle")

    @Test func `a file is written, read and closed by its handle`() throws {
        let files = MemoryFiles()
        let handle: [UInt8] = [0, 0, 0, 0]
        let replies = try ask(
            [
                .open(path: Self.path, flags: [.read, .write, .create], attributes: SFTPAttributes()),
                .write(handle: handle, offset: 2, data: [1, 2, 3]), .read(handle: handle, offset: 1, count: 3),
                .read(handle: handle, offset: 3, count: 1 << 30), .read(handle: handle, offset: 5, count: 1), .handleStatus(handle: handle),
                .close(handle: handle), .close(handle: handle), .read(handle: handle, offset: 0, count: 1),
            ], files)
        #expect(
            replies == [
                .handle(handle), Self.ok, .data([0, 1, 2]), .data([2, 3]), .status(.endOfFile, message: "End of file"),
                .attributes(SFTPAttributes(size: 5)), Self.ok, Self.invalid, Self.invalid,
            ])
        #expect(files.files[Self.path]?.closings == 1)
    }

    @Test(arguments: [[], [0], [0, 0, 0, 0], [0, 0, 0, 9], [0xff, 0xff, 0xff, 0xff], [0, 0, 0, 0, 0]] as [[UInt8]])
    func `a handle that was never given is no handle`(handle: [UInt8]) throws {
        let requests: [SFTPRequest] = [
            .read(handle: handle, offset: 0, count: 1), .write(handle: handle, offset: 0, data: []), .close(handle: handle),
            .readDirectory(handle: handle), .handleStatus(handle: handle), .extended(.synchronize(handle: handle)),
            .extended(.copyData(from: handle, offset: 0, count: 0, to: handle, targetOffset: 0)),
        ]
        #expect(try ask(requests) == requests.map { _ in Self.invalid })
    }

    @Test func `handles have a bound, and are used again`() throws {
        let open = SFTPRequest.open(path: Self.path, flags: [.create], attributes: SFTPAttributes())
        let many = [SFTPRequest](repeating: open, count: SFTPServer.handlesMax)
        let replies = try ask(many + [open, .openDirectory(path: []), .close(handle: [0, 0, 0, 7]), open, open])
        #expect(replies.dropFirst(SFTPServer.handlesMax - 1).first == .handle([0, 0, 3, 231]))
        let tooMany = SFTPReply.status(.failure, message: "Too many open files")
        #expect(Array(replies.suffix(5)) == [tooMany, tooMany, Self.ok, .handle([0, 0, 0, 7]), tooMany])
    }

    @Test func `a read gives what one packet holds, and what waits stays bounded`() throws {
        let files = MemoryFiles()
        let bytes = SeededRandomness(seed: 1).bytes(700_000)
        files.files[Self.path] = MemoryFiles.File(bytes)
        let handle: [UInt8] = [0, 0, 0, 0]
        let reads = stride(from: 0, to: 700_000, by: SFTPPacket.dataBytesMax).map {
            SFTPRequest.read(handle: handle, offset: UInt64($0), count: .max)
        }
        var read: [UInt8] = []
        for case .data(let part) in try ask([.open(path: Self.path, flags: .read, attributes: SFTPAttributes())] + reads, files) {
            #expect(part.count <= SFTPPacket.dataBytesMax)
            read += part
        }
        #expect(read == bytes)
        var server = SFTPServer(files: files)
        var output = SFTPOutput()
        let stat = SFTPRequest.realPath(path: [UInt8](repeating: 65, count: 1000)).framed(id: 1)
        let input = SFTPRequest.initialize(version: 3).framed(id: 0) + [[UInt8]](repeating: stat, count: 1000).flatMap { $0 }
        let used = try server.receive(input.span, output: &output)
        let (isFull, count) = (output.isFull, output.bytes.count)
        #expect(isFull && used < input.count && count < SFTPPacket.bytesMax + 3000)
    }

    @Test func `a directory comes in parts, then ends`() throws {
        let files = MemoryFiles()
        for number in 0..<1000 { files.files[Array("name-of-some-length-\(number)".utf8)] = MemoryFiles.File() }
        let handle: [UInt8] = [0, 0, 0, 0]
        let requests = [SFTPRequest.openDirectory(path: [])] + [SFTPRequest](repeating: .readDirectory(handle: handle), count: 10)
        var names: Set<[UInt8]> = []
        let answers = try ask(requests, files)
        for case .names(let part) in answers {
            #expect(SFTPReply.names(part).framed(id: 0).count < 34_000)
            names.formUnion(part.map(\.name))
        }
        #expect(names == Set(files.files.keys))
        #expect(answers.last == .status(.endOfFile, message: "End of file"))
    }

    @Test func `each request is the operation of its name`() throws {
        let files = MemoryFiles()
        let (a, b) = (Array("a".utf8), Array("b".utf8))
        let requests: [SFTPRequest] = [
            .remove(path: a), .makeDirectory(path: a, SFTPAttributes()), .makeDirectory(path: a, SFTPAttributes(permissions: 0o700)),
            .removeDirectory(path: a), .rename(from: a, to: b), .symbolicLink(target: a, link: b), .setStatus(path: a, SFTPAttributes()),
            .extended(.posixRename(from: a, to: b)), .extended(.hardLink(from: a, to: b)),
            .extended(.setLinkStatus(path: a, SFTPAttributes())),
        ]
        #expect(try ask(requests, files) == requests.map { _ in Self.ok })
        #expect(
            files.calls == [
                "remove a", "mkdir 511 a", "mkdir 448 a", "rmdir a", "rename false a b", "symlink b a", "set true a", "rename true a b",
                "hardlink b a", "set false a",
            ])
        let path = Array("/home/.".utf8)
        let expanded = Array("/expanded/~".utf8)
        #expect(
            try ask([.realPath(path: []), .extended(.expandPath(path: Array("~".utf8)))]) == [
                .names([SFTPName(name: path, longName: path, attributes: SFTPAttributes())]),
                .names([SFTPName(name: expanded, longName: expanded, attributes: SFTPAttributes())]),
            ])
    }

    @Test func `limits and names are told`() throws {
        let replies = try ask([.extended(.limits), .extended(.userGroupNames(users: [0, 9], groups: [0]))])
        guard case .extended(let limits) = replies[0], case .extended(let names) = replies[1] else {
            Issue.record("\(replies)")
            return
        }
        #expect(
            try SFTPLimits(decoding: limits)
                == SFTPLimits(packetBytesMax: 262_144, readBytesMax: 261_120, writeBytesMax: 261_120, openHandlesMax: 1000))
        #expect(try SFTPUserGroupNames(decoding: names) == SFTPUserGroupNames(users: [Array("root".utf8), []], groups: [[]]))
    }

    @Test func `data are copied from file to file`() throws {
        let files = MemoryFiles()
        let bytes = SeededRandomness(seed: 1).bytes(600_000)
        files.files[Self.path] = MemoryFiles.File(bytes)
        let (from, to): ([UInt8], [UInt8]) = ([0, 0, 0, 0], [0, 0, 0, 1])
        let replies = try ask(
            [
                .open(path: Self.path, flags: .read, attributes: SFTPAttributes()),
                .open(path: Array("other".utf8), flags: [.write, .create], attributes: SFTPAttributes()),
                .extended(.copyData(from: from, offset: 1, count: 0, to: to, targetOffset: 0)),
                .extended(.copyData(from: from, offset: 0, count: 10, to: to, targetOffset: 5)),
                .extended(.copyData(from: from, offset: 0, count: 600_001, to: to, targetOffset: 0)),
                .extended(.copyData(from: from, offset: 0, count: 0, to: from, targetOffset: 5)),
                .extended(.copyData(from: from, offset: .max, count: 2, to: to, targetOffset: 1)),
            ], files)
        #expect(Array(replies[2...3]) == [Self.ok, Self.ok])
        for reply in replies[4...] { #expect(reply != Self.ok) }
        #expect(files.files[Array("other".utf8)]?.bytes == bytes)
    }

    @Test func `a failure has its own words, and ends nothing`() throws {
        let files = MemoryFiles()
        files.files[Self.path] = MemoryFiles.File([1], isBroken: true)
        let handle: [UInt8] = [0, 0, 0, 0]
        let broken = SFTPReply.status(.failure, message: "broken")
        #expect(
            try ask(
                [
                    .open(path: Array("none".utf8), flags: .read, attributes: SFTPAttributes()),
                    .open(path: Self.path, flags: .read, attributes: SFTPAttributes()), .read(handle: handle, offset: 0, count: 1),
                    .write(handle: handle, offset: 0, data: [1]), .other(type: 99), .extended(.other(name: [1], payload: [])),
                    .close(handle: handle),
                ], files) == [
                    .status(.noSuchFile, message: "No such file"), .handle(handle), broken, broken,
                    .status(.operationUnsupported, message: "Operation unsupported"),
                    .status(.operationUnsupported, message: "Operation unsupported"), Self.ok,
                ])
    }

    @Test func `a request whose fields are cut is answered as such, and the next one is served`() throws {
        var server = SFTPServer(files: MemoryFiles())
        var output = SFTPOutput()
        let input =
            SFTPRequest.initialize(version: 3).framed(id: 0) + [0, 0, 0, 7, 6, 0, 0, 0, 5, 0, 0]
            + SFTPRequest.remove(path: []).framed(id: 6)
        let used = try server.receive(input.span, output: &output)
        #expect(used == input.count)
        var bytes = [UInt8](copying: output.bytes)
        bytes.removeFirst(SFTPReply.version(3, extensions: SFTPServer.extensions).framed(id: 0).count)
        #expect(bytes == SFTPReply.status(.badMessage, message: "Bad message").framed(id: 5) + Self.ok.framed(id: 6))
    }

    @Test(
        arguments: [
            [0, 0, 0, 0], [0, 4, 0, 1], [0xff, 0xff, 0xff, 0xff], SFTPRequest.remove(path: []).framed(id: 1), [0, 0, 0, 3, 13, 0, 0],
            SFTPRequest.initialize(version: 3).framed(id: 0) + SFTPRequest.initialize(version: 3).framed(id: 0),
        ] as [[UInt8]])
    func `who does not speak SFTP is not answered`(input: [UInt8]) {
        var server = SFTPServer(files: MemoryFiles())
        var output = SFTPOutput()
        do throws(WireError) {
            _ = try server.receive(input.span, output: &output)
            Issue.record("it was answered")
        } catch {
            let count = output.bytes.count
            #expect(count <= SFTPReply.version(3, extensions: SFTPServer.extensions).framed(id: 0).count)
        }
    }

    @Test func `a mode is shown as ls shows it`() {
        for (mode, text) in [
            (0o100644, "-rw-r--r--"), (0o040755, "drwxr-xr-x"), (0o120777, "lrwxrwxrwx"), (0o104711, "-rws--x--x"),
            (0o102640, "-rw-r-S---"),
            (0o041777, "drwxrwxrwt"), (0o041776, "drwxrwxrwT"), (0o020600, "crw-------"), (0o010600, "prw-------"), (0, "?---------"),
        ] as [(UInt32, String)] {
            #expect(SFTPListing.modeText(mode) == text)
        }
    }
}
