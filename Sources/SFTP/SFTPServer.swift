package import Base

/// The server's side of SFTP: requests become file operations, and these replies, one after the other and in order.
///
/// As OpenSSH's server behaves, with its extensions; what may be done is for the ``SFTPFiles`` to say. Nothing here waits: a client's
/// requests may come in any number, each is answered as it is read.
package struct SFTPServer: ~Copyable {
    private enum Handle {
        case file(any SFTPFile)
        case directory(any SFTPDirectory)
        case none
    }

    private let files: any SFTPFiles
    private var handles: [Handle] = []
    private var unused: [Int] = []
    private var hasVersion = false

    /// A process has 1,024 descriptors where nobody says otherwise; some are its own.
    package static let handlesMax = 1000
    /// Names in one reply fill no more than a packet that every client takes (draft-ietf-secsh-filexfer-02 §3 has 34,000 bytes).
    private static let namesBytesMax = 30_000
    /// What `copy-data` moves at once.
    private static let copyBytesMax = 256 << 10

    package static let extensions = [
        SFTPExtension(SFTPExtendedRequest.Name.posixRename, "1"),
        SFTPExtension(SFTPExtendedRequest.Name.fileSystemStatus, "2"),
        SFTPExtension(SFTPExtendedRequest.Name.fileSystemStatusOfHandle, "2"),
        SFTPExtension(SFTPExtendedRequest.Name.hardLink, "1"),
        SFTPExtension(SFTPExtendedRequest.Name.synchronize, "1"),
        SFTPExtension(SFTPExtendedRequest.Name.setLinkStatus, "1"),
        SFTPExtension(SFTPExtendedRequest.Name.limits, "1"),
        SFTPExtension(SFTPExtendedRequest.Name.expandPath, "1"),
        SFTPExtension(SFTPExtendedRequest.Name.copyData, "1"),
        SFTPExtension(SFTPExtendedRequest.Name.userGroupNames, "1"),
    ]

    package init(files: any SFTPFiles) {
        self.files = files
    }

    /// Closes what the client has left open.
    package mutating func end() {
        for handle in handles {
            switch handle {
            // The client is gone: nobody is left who could be told of a failure.
            case .file(let file): do throws(SFTPFailure) { try file.close() } catch { continue }
            case .directory(let directory): directory.close()
            case .none: break
            }
        }
        handles = []
    }

    /// Answers the whole packets at the beginning of `input`, until there are no more or the output is full.
    ///
    /// - Returns: how many bytes were used.
    /// - Throws: where the client does not speak SFTP; what it was sent before stands.
    package mutating func receive(_ input: Span<UInt8>, output: inout SFTPOutput) throws(WireError) -> Int {
        var used = 0
        while !output.isFull {
            let rest = input.extracting(droppingFirst: used)
            guard let range = try SFTPPacket.first(in: rest) else { break }
            try answer(rest.extracting(range), output: &output)
            used += range.upperBound
        }
        return used
    }

    private mutating func answer(_ packet: Span<UInt8>, output: inout SFTPOutput) throws(WireError) {
        let id = try SFTPPacket.requestID(packet)
        let isFirst = packet[0] == SFTPPacketType.initialize.rawValue
        guard isFirst != hasVersion else { throw .badValue(isFirst ? "a second version" : "a request before the version") }
        do throws(SFTPFailure) {
            // Most of a transfer is these two, whose data are not copied.
            switch packet[0] {
            case SFTPPacketType.write.rawValue: output.append(try write(packet), id: id)
            case SFTPPacketType.read.rawValue: try read(packet, id: id, output: &output)
            default: output.append(try reply(to: try Self.parsed(packet)), id: id)
            }
        } catch {
            output.append(.status(error.code, message: error.message), id: id)
        }
    }

    private static func parsed(_ packet: Span<UInt8>) throws(SFTPFailure) -> SFTPRequest {
        do throws(WireError) {
            return try SFTPRequest.parse(packet).request
        } catch {
            throw SFTPFailure(.badMessage)
        }
    }

    // MARK: Reading and writing

    private func read(_ packet: Span<UInt8>, id: UInt32, output: inout SFTPOutput) throws(SFTPFailure) {
        guard case .read(let handle, let offset, let count) = try Self.parsed(packet) else { throw SFTPFailure(.badMessage) }
        let file = try file(handle.span)
        let bytesMax = min(Int(count), SFTPPacket.dataBytesMax)
        try output.appendData(id: id, bytesMax: bytesMax) { bytes throws(SFTPFailure) in try file.read(at: offset, into: &bytes) }
    }

    private func write(_ packet: Span<UInt8>) throws(SFTPFailure) -> SFTPReply {
        var reader = ByteReader(packet)
        do throws(WireError) {
            _ = try reader.readSpan(count: 5)
            let handle = try reader.readStringSpan()
            let offset = try reader.readUInt64()
            let data = try reader.readStringSpan()
            try reader.finish()
            return try written(data, to: handle, at: offset)
        } catch {
            throw SFTPFailure(.badMessage)
        }
    }

    /// A failure of the file's is a reply, so that none is taken for one of the packet's.
    private func written(_ data: Span<UInt8>, to handle: Span<UInt8>, at offset: UInt64) throws(WireError) -> SFTPReply {
        do throws(SFTPFailure) {
            try file(handle).write(data, at: offset)
            return Self.ok
        } catch {
            return .status(error.code, message: error.message)
        }
    }

    private static let ok = SFTPReply.status(.ok, message: SFTPStatusCode.ok.text)

    // MARK: Handles

    private mutating func keep(_ handle: Handle) -> SFTPReply {
        let index = unused.popLast() ?? handles.count
        if index == handles.count { handles.append(handle) } else { handles[index] = handle }
        var writer = ByteWriter(capacity: 4)
        writer.writeUInt32(UInt32(index))
        return .handle(writer.finish())
    }

    private func checkRoom() throws(SFTPFailure) {
        guard handles.count - unused.count < Self.handlesMax else { throw SFTPFailure(.failure, "Too many open files") }
    }

    private func index(_ handle: Span<UInt8>) throws(SFTPFailure) -> Int {
        guard handle.count == 4 else { throw SFTPFailure(.failure, "Invalid handle") }
        var index = 0
        for position in 0..<4 { index = index << 8 | Int(handle[position]) }
        guard handles.indices.contains(index) else { throw SFTPFailure(.failure, "Invalid handle") }
        return index
    }

    private func file(_ handle: Span<UInt8>) throws(SFTPFailure) -> any SFTPFile {
        guard case .file(let file) = handles[try index(handle)] else { throw SFTPFailure(.failure, "Invalid handle") }
        return file
    }

    private mutating func close(_ handle: [UInt8]) throws(SFTPFailure) {
        let index = try index(handle.span)
        let kept = handles[index]
        handles[index] = .none
        switch kept {
        case .none: throw SFTPFailure(.failure, "Invalid handle")
        case .file(let file):
            unused.append(index)
            try file.close()
        case .directory(let directory):
            unused.append(index)
            directory.close()
        }
    }

    // MARK: Requests

    private mutating func reply(to request: SFTPRequest) throws(SFTPFailure) -> SFTPReply {
        switch request {
        case .initialize:
            hasVersion = true
            return .version(SFTPPacket.version, extensions: Self.extensions)
        case .open(let path, let flags, let attributes):
            try checkRoom()
            return keep(.file(try files.open(path, flags, permissions: attributes.permissions ?? 0o666)))
        case .openDirectory(let path):
            try checkRoom()
            return keep(.directory(try files.openDirectory(path)))
        case .close(let handle): try close(handle)
        case .readDirectory(let handle): return try names(handle)
        case .linkStatus(let path): return .attributes(try files.attributes(path, followsLinks: false))
        case .status(let path): return .attributes(try files.attributes(path, followsLinks: true))
        case .handleStatus(let handle): return .attributes(try file(handle.span).attributes())
        case .setStatus(let path, let attributes): try files.set(attributes, of: path, followsLinks: true)
        case .setHandleStatus(let handle, let attributes): try file(handle.span).set(attributes)
        case .remove(let path): try files.remove(path)
        case .makeDirectory(let path, let attributes): try files.makeDirectory(path, permissions: attributes.permissions ?? 0o777)
        case .removeDirectory(let path): try files.removeDirectory(path)
        case .realPath(let path): return Self.name(try files.realPath(path.isEmpty ? Array(".".utf8) : path))
        case .rename(let path, let new): try files.rename(path, to: new, replaces: false)
        case .readLink(let path): return Self.name(try files.readLink(path))
        case .symbolicLink(let target, let link): try files.makeSymbolicLink(link, to: target)
        case .extended(let request): return try reply(to: request)
        case .read, .write, .other: throw SFTPFailure(.operationUnsupported)
        }
        return Self.ok
    }

    private static func name(_ path: [UInt8]) -> SFTPReply {
        .names([SFTPName(name: path, longName: path, attributes: SFTPAttributes())])
    }

    private func names(_ handle: [UInt8]) throws(SFTPFailure) -> SFTPReply {
        guard case .directory(let directory) = handles[try index(handle.span)] else { throw SFTPFailure(.failure, "Invalid handle") }
        var names: [SFTPName] = []
        var byteCount = 0
        while byteCount < Self.namesBytesMax, let name = try directory.next() {
            names.append(name)
            // Two lengths and the attributes.
            byteCount += name.name.count + name.longName.count + 40
        }
        guard !names.isEmpty else { throw SFTPFailure(.endOfFile) }
        return .names(names)
    }

    private func reply(to request: SFTPExtendedRequest) throws(SFTPFailure) -> SFTPReply {
        switch request {
        case .posixRename(let path, let new): try files.rename(path, to: new, replaces: true)
        case .fileSystemStatus(let path): return .extended(try files.fileSystemStatus(path).encoded())
        case .fileSystemStatusOfHandle(let handle): return .extended(try file(handle.span).fileSystemStatus().encoded())
        case .hardLink(let path, let link): try files.makeHardLink(link, to: path)
        case .synchronize(let handle): try file(handle.span).synchronize()
        case .setLinkStatus(let path, let attributes): try files.set(attributes, of: path, followsLinks: false)
        case .limits:
            return .extended(
                SFTPLimits(
                    packetBytesMax: UInt64(SFTPPacket.bytesMax), readBytesMax: UInt64(SFTPPacket.dataBytesMax),
                    writeBytesMax: UInt64(SFTPPacket.dataBytesMax), openHandlesMax: UInt64(Self.handlesMax)
                ).encoded())
        case .expandPath(let path): return Self.name(try files.expandPath(path))
        case .copyData(let from, let offset, let count, let to, let targetOffset):
            try copy(from: try file(from.span), offset, count: count, to: try file(to.span), targetOffset)
        case .userGroupNames(let users, let groups):
            let names = SFTPUserGroupNames(users: users.map(files.name(ofUser:)), groups: groups.map(files.name(ofGroup:))).encoded()
            guard names.count <= SFTPPacket.dataBytesMax else { throw SFTPFailure(.failure, "Too many names for one packet") }
            return .extended(names)
        case .other: throw SFTPFailure(.operationUnsupported)
        }
        return Self.ok
    }

    /// - Parameter count: 0 for all there is.
    private func copy(
        from source: any SFTPFile, _ offset: UInt64, count: UInt64, to target: any SFTPFile, _ targetOffset: UInt64
    ) throws(SFTPFailure) {
        // A file that grows as it is copied has no end.
        guard try !source.isSame(as: target) else { throw SFTPFailure(.failure, "A file cannot be copied into itself") }
        var buffer = [UInt8](repeating: 0, count: Self.copyBytesMax)
        var done: UInt64 = 0
        while count == 0 || done < count {
            let wanted = count == 0 ? buffer.count : Int(min(UInt64(buffer.count), count - done))
            let (from, isPastEnd) = offset.addingReportingOverflow(done)
            let (to, isPastTarget) = targetOffset.addingReportingOverflow(done)
            guard !isPastEnd, !isPastTarget else { throw SFTPFailure(.failure, "An offset beyond every file") }
            var span = buffer.mutableSpan
            var room = span._mutatingExtracting(0..<wanted)
            let read = try source.read(at: from, into: &room)
            guard read > 0 else {
                // As OpenSSH: bytes that were asked for and are not there are an error, all that are there is none.
                if count == 0 { return }
                throw SFTPFailure(.endOfFile)
            }
            try target.write(buffer.span.extracting(first: read), at: to)
            done += UInt64(read)
        }
    }
}
