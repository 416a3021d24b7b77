internal import Base
internal import EventLoop
internal import SFTP

/// One side of a copy with `scp -O` on descriptors 0 and 1 of a session child.
struct SCPService: ~Copyable {
    private let command: SCPCommand
    private var input = InputBuffer()
    /// Records and the beginnings of files that wait to go out with what follows them.
    private var output = SCPOutput()
    /// Something could not be copied; the copy went on.
    private var hasFailed = false

    private static let copyBytesMax = 256 << 10

    init(_ command: SCPCommand) {
        self.command = command
        FileIO.widenPipe(0, bytes: SFTPService.pipeBytes)
        FileIO.widenPipe(1, bytes: SFTPService.pipeBytes)
    }

    /// - Returns: the status to exit with.
    mutating func run() throws -> Int32 {
        do {
            switch command.direction {
            case .sink: try receive(into: command.paths[0])
            case .source: try send(command.paths)
            }
        } catch let error as SCPError {
            try output.answer(.fatal("scp: \(error.message)"))
            return 1
        }
        return hasFailed ? 1 : 0
    }

    private mutating func warn(_ text: String) throws(TeleportError) {
        hasFailed = true
        try output.answer(.warning("scp: \(text)"))
    }

    // MARK: Sink

    /// A directory that is being received, and what it gets when it is complete.
    private struct Level {
        let path: [UInt8]
        let mode: UInt32?
        let times: (modification: Int64, access: Int64)?
    }

    private mutating func receive(into target: [UInt8]) throws {
        let isDirectory = (try? PathIO.status(target, followsLinks: true))?.isDirectory ?? false
        if command.wantsDirectory, !isDirectory { throw SCPError("\(Self.text(target)): Not a directory") }
        var sink = SCPSink(isRecursive: command.isRecursive)
        var levels: [Level] = []
        var times: (modification: Int64, access: Int64)?
        try output.answer(.ok)
        while true {
            guard let (used, event) = try sink.receive(input.bytes) else {
                guard try input.fill() else { break }
                continue
            }
            switch event {
            case .times(let modification, let access):
                times = (modification, access)
                try output.answer(.ok)
            case .offer(let record):
                input.removeFirst(used)
                try take(record, times: times, target: target, isDirectory: isDirectory, levels: &levels, sink: &sink)
                times = nil
                continue
            case .endOfDirectory:
                let level = levels.removeLast()
                do throws(TeleportError) {
                    if let times = level.times {
                        try PathIO.setTimes(access: times.access, modification: times.modification, of: level.path, followsLinks: true)
                    }
                    if let mode = level.mode { try PathIO.setMode(mode, of: level.path, followsLinks: true) }
                    try output.answer(.ok)
                } catch {
                    try warn(error.message)
                }
            case .message(let response):
                hasFailed = true
                if case .fatal(let text) = response { throw SCPError(text) }
            case .data, .endOfFile: throw SCPError("protocol error: data without a file")
            }
            input.removeFirst(used)
        }
        guard levels.isEmpty else { throw SCPError("protocol error: the copy ended within a directory") }
    }

    private mutating func take(
        _ record: SCPRecord, times: (modification: Int64, access: Int64)?, target: [UInt8], isDirectory: Bool, levels: inout [Level],
        sink: inout SCPSink
    ) throws {
        let parent = levels.last?.path ?? target
        func place(_ name: [UInt8]) -> [UInt8] {
            levels.isEmpty && !isDirectory ? parent : parent + (parent.last == UInt8(ascii: "/") ? [] : [UInt8(ascii: "/")]) + name
        }
        switch record {
        case .directory(let mode, let name):
            let path = place(name)
            do throws(TeleportError) {
                let existing = try? PathIO.status(path, followsLinks: true)
                if let existing {
                    guard existing.isDirectory else { throw TeleportError.badParameter("\(Self.text(path)): Not a directory") }
                } else {
                    // Until it is complete, its owner has to be able to write in it.
                    try PathIO.makeDirectory(path, mode: mode | 0o700)
                }
                levels.append(Level(path: path, mode: existing == nil || command.preserves ? own(mode) : nil, times: times))
                sink.accept()
                try output.answer(.ok)
            } catch {
                sink.refuse()
                try warn(error.message)
            }
        case .file(let mode, _, let name):
            try receiveFile(place(name), mode: mode, times: times, sink: &sink)
        case .times, .end: throw SCPError("protocol error: no offer")
        }
    }

    /// The mode that a file gets: the source's, less what the user's files are made without.
    private func own(_ mode: UInt32) -> UInt32 {
        command.preserves ? mode : mode & ~SessionChild.fileModeMask
    }

    private mutating func receiveFile(
        _ path: [UInt8], mode: UInt32, times: (modification: Int64, access: Int64)?, sink: inout SCPSink
    ) throws {
        let file: OpenFile
        let isNew = (try? PathIO.status(path, followsLinks: true)) == nil
        do throws(TeleportError) {
            // Whatever the mode, it has to be written once.
            file = try PathIO.open(path, [.write, .create], mode: mode | 0o200)
        } catch {
            sink.refuse()
            return try warn(error.message)
        }
        sink.accept()
        try output.answer(.ok)
        var size: UInt64 = 0
        // What goes wrong is told when the source listens again: after the last byte.
        var failure: TeleportError?
        var verdict: SCPResponse?
        while verdict == nil {
            guard let (used, event) = try sink.receive(input.bytes) else {
                guard try input.fill() else { throw SCPError("lost connection") }
                continue
            }
            switch event {
            case .data(let count):
                do throws(TeleportError) {
                    if failure == nil { try file.write(input.bytes.extracting(first: count), at: size) }
                } catch {
                    failure = error
                }
                size += UInt64(count)
            case .endOfFile(let response): verdict = response
            case .offer, .times, .endOfDirectory, .message: throw SCPError("protocol error: a record within a file")
            }
            input.removeFirst(used)
        }
        do throws(TeleportError) {
            // A longer file that was there before is cut; what is no file has no length.
            if failure == nil, try file.status().isRegular { try file.setSize(Int64(size)) }
            if command.preserves || !isNew || mode & 0o200 == 0 { try file.setMode(own(mode)) }
            if let times { try file.setTimes(access: times.access, modification: times.modification) }
            try file.close()
        } catch {
            failure = failure ?? error
        }
        switch verdict {
        case .fatal(let text): throw SCPError(text)
        case .warning: hasFailed = true
        case .ok, nil: break
        }
        if let failure { try warn(failure.message) } else { try output.answer(.ok) }
    }

    // MARK: Source

    private enum Answer { case goOn, skip }

    private mutating func send(_ paths: [[UInt8]]) throws {
        guard try answer() == .goOn else { return }
        for path in paths {
            var path = path
            while path.count > 1, path.last == UInt8(ascii: "/") { path.removeLast() }
            try send(path)
        }
    }

    /// What the sink says to what was sent last.
    private mutating func answer() throws -> Answer {
        try output.flush()
        while true {
            if let (used, response) = try SCPResponse.parse(input.bytes) {
                input.removeFirst(used)
                switch response {
                case .ok: return .goOn
                case .warning:
                    hasFailed = true
                    return .skip
                case .fatal(let text): throw SCPError(text)
                }
            }
            guard try input.fill() else { throw SCPError("lost connection") }
        }
    }

    private mutating func send(_ path: [UInt8]) throws {
        let status: FileStatus
        do throws(TeleportError) {
            status = try PathIO.status(path, followsLinks: true)
        } catch {
            return try warn(error.message)
        }
        let name = Array(path[(path.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0)...])
        if status.isDirectory {
            guard command.isRecursive else { return try warn("\(Self.text(path)): not a regular file") }
            return try sendDirectory(path, name: name, status)
        }
        guard status.isRegular else { return try warn("\(Self.text(path)): not a regular file") }
        try sendFile(path, name: name)
    }

    private mutating func mayBegin(_ record: SCPRecord, _ status: FileStatus) throws -> Bool {
        if command.preserves {
            output.append(SCPRecord.times(modification: max(0, status.modification), access: max(0, status.access)).encoded())
            guard try answer() == .goOn else { return false }
        }
        output.append(record.encoded())
        return try answer() == .goOn
    }

    private mutating func sendDirectory(_ path: [UInt8], name: [UInt8], _ status: FileStatus) throws {
        let entries: [[UInt8]]
        do throws(TeleportError) {
            let directory = try PathIO.openDirectory(path)
            var names: [[UInt8]] = []
            while let name = try directory.next() { names.append(name) }
            entries = names.filter { $0 != [UInt8(ascii: ".")] && $0 != Array("..".utf8) }
        } catch {
            return try warn(error.message)
        }
        // `.` and `..` are sent under the name that they have on this side's way.
        let shown = SCPRecord.isPlain(name) ? name : Self.lastName(of: path)
        guard try mayBegin(.directory(mode: status.mode & UserFiles.modeMask, name: shown), status) else { return }
        for entry in entries {
            guard SCPRecord.isPlain(entry) else {
                try warn("\(Self.text(entry)): a name with a newline cannot be sent")
                continue
            }
            try send(path + (path.last == UInt8(ascii: "/") ? [] : [UInt8(ascii: "/")]) + entry)
        }
        output.append(SCPRecord.end.encoded())
        _ = try answer()
    }

    private static func lastName(of path: [UInt8]) -> [UInt8] {
        let whole = (try? PathIO.realPath(path)) ?? path
        let name = whole.split(separator: UInt8(ascii: "/")).last.map(Array.init) ?? []
        return SCPRecord.isPlain(name) ? name : Array("root".utf8)
    }

    private mutating func sendFile(_ path: [UInt8], name: [UInt8]) throws {
        guard SCPRecord.isPlain(name) else { return try warn("\(Self.text(path)): a name with a newline cannot be sent") }
        let file: OpenFile
        let status: FileStatus
        do throws(TeleportError) {
            file = try PathIO.open(path, [.read], mode: 0)
            status = try file.status()
        } catch {
            return try warn(error.message)
        }
        // Nothing was written: closing cannot lose anything.
        defer { _ = try? file.close() }
        guard try mayBegin(.file(mode: status.mode & UserFiles.modeMask, size: status.size, name: name), status) else { return }
        let failure = try sendBytes(of: file, count: status.size)
        if let failure {
            hasFailed = true
            output.append(SCPResponse.warning("scp: \(Self.text(path)): \(failure)").encoded())
        } else {
            output.append(SCPResponse.ok.encoded())
        }
        _ = try answer()
    }

    /// Sends what was promised, and zeros for what the file did not have.
    ///
    /// - Returns: what was wrong with it.
    private mutating func sendBytes(of file: OpenFile, count: Int64) throws -> String? {
        var failure: String?
        var buffer = [UInt8](repeating: 0, count: Int(min(Int64(Self.copyBytesMax), count)))
        var done: Int64 = 0
        try output.flush()
        while done < count {
            let wanted = Int(min(Int64(buffer.count), count - done))
            var read = 0
            if failure == nil {
                do throws(TeleportError) {
                    var span = buffer.mutableSpan
                    var room = span._mutatingExtracting(0..<wanted)
                    read = try file.read(at: UInt64(done), into: &room)
                    if read == 0 { failure = "the file has become shorter" }
                } catch {
                    failure = error.message
                }
            }
            if failure != nil {
                for index in 0..<wanted { buffer[index] = 0 }
                read = wanted
            }
            try FileIO.write(buffer.span.extracting(first: read), descriptor: 1)
            done += Int64(read)
        }
        return failure
    }

    private static func text(_ path: [UInt8]) -> String { String(decoding: path, as: UTF8.self) }
}

/// What waits to go to the other side: little records, which are written together.
struct SCPOutput: ~Copyable {
    private var waiting: [UInt8] = []

    mutating func append(_ bytes: [UInt8]) {
        waiting += bytes
    }

    mutating func answer(_ response: SCPResponse) throws(TeleportError) {
        append(response.encoded())
        try flush()
    }

    mutating func flush() throws(TeleportError) {
        try FileIO.write(waiting, descriptor: 1)
        waiting.removeAll(keepingCapacity: true)
    }
}
