package import Base
package import EventLoop
internal import SFTP

/// The commands of `tsh sftp`, one line each, as sftp(1) has them. Bound to its loop.
package final class SFTPShell {
    private let session: SFTPSession
    private let loop: Loop
    private let progress: CopyProgress?
    private let show: (String) -> Void
    private let report: (TeleportError) -> Void
    private var directory: [UInt8]
    private var localDirectory: String

    package static let help = """
        cd [PATH]                     change the directory on the node        lcd [PATH]   and here
        pwd                           print the directory on the node         lpwd         and here
        ls [-l] [-a] [PATH]           list a directory on the node            lls [PATH]   and here
        get [-r] [-p] [-a] PATH [TO]  copy from the node; -a continues a part reget        the same with -a
        put [-r] [-p] [-a] PATH [TO]  copy to the node; -a continues a part   reput        the same with -a
        mkdir PATH, rmdir PATH, rm PATH, rename FROM TO, ln [-s] FROM TO, chmod MODE PATH, df [PATH]
        help, exit

        """

    /// - Parameters:
    ///   - show: is given lines for stdout.
    ///   - report: is given what was left out of a copy.
    package init(
        _ session: SFTPSession, localDirectory: String, progress: CopyProgress?, on loop: Loop, show: @escaping (String) -> Void,
        report: @escaping (TeleportError) -> Void
    ) async throws(TeleportError) {
        self.session = session
        self.loop = loop
        self.progress = progress
        self.show = show
        self.report = report
        self.localDirectory = localDirectory
        directory = try await session.realPath(Array(".".utf8))
    }

    /// What a target names behind its colon: a directory is entered, a file copied here.
    ///
    /// - Returns: whether it was a directory, in which one may go on.
    package func begin(at path: String) async throws(TeleportError) -> Bool {
        guard !path.isEmpty else { return true }
        if try await session.attributes(of: remote(path))?.isDirectory == true {
            try await enter(path)
            return true
        }
        try await get(Arguments(words: [path], flags: [], resumes: false))
        return false
    }

    /// - Returns: whether there may be another line.
    /// - Throws: what went wrong with the command.
    package func run(_ line: String) async throws(TeleportError) -> Bool {
        let words = try Self.words(line)
        guard let command = words.first, !command.hasPrefix("#") else { return true }
        let rest = Array(words.dropFirst())
        switch command {
        case "exit", "quit", "bye": return false
        case "help", "?": show(Self.help)
        case "cd": try await enter(try Self.atMostOne(rest) ?? "")
        case "pwd": show("Remote working directory: \(SFTPSession.shown(directory))\n")
        case "lcd": try await enterLocal(try Self.atMostOne(rest))
        case "lpwd": show("Local working directory: \(localDirectory)\n")
        case "ls", "dir": try await list(try Arguments(rest, allowed: "la1"))
        case "lls":
            let path = local(try Self.atMostOne(rest) ?? ".")
            for name in try await loop.working({ () throws(TeleportError) in try FileIO.list(path) }) {
                show(SFTPSession.shown(Array(name.utf8)) + "\n")
            }
        case "get", "mget": try await get(try Arguments(rest, allowed: "rpRPa"))
        case "reget": try await get(try Arguments(rest, allowed: "rpRP", resumes: true))
        case "put", "mput": try await put(try Arguments(rest, allowed: "rpRPa"))
        case "reput": try await put(try Arguments(rest, allowed: "rpRP", resumes: true))
        case "mkdir": try await each(rest, "making") { .makeDirectory(path: $0, SFTPAttributes(permissions: 0o777)) }
        case "rmdir": try await each(rest, "removing") { .removeDirectory(path: $0) }
        case "rm", "delete": try await remove(rest)
        case "rename", "mv": try await rename(rest)
        case "ln", "symlink": try await link(try Arguments(rest, allowed: "s"), isSymbolic: command == "symlink")
        case "chmod": try await changeMode(rest)
        case "df": try await showFileSystem(try Self.atMostOne(rest) ?? ".")
        default: throw .badParameter("\(SFTPSession.shown(Array(command.utf8))) is no command; `help` lists them")
        }
        return true
    }

    /// Words between blanks; quotes and backslashes hold them together.
    package static func words(_ line: String) throws(TeleportError) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var isEscaped = false
        for character in line {
            if isEscaped {
                word = (word ?? "") + String(character)
                isEscaped = false
            } else if character == "\\", quote != "'" {
                isEscaped = true
            } else if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + String(character) }
            } else if character == "\"" || character == "'" {
                quote = character
                word = word ?? ""
            } else if character.isWhitespace {
                if let whole = word { words.append(whole) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        guard quote == nil, !isEscaped else { throw .badParameter("a quote is not closed") }
        if let word { words.append(word) }
        return words
    }

    /// A command's words, with the letters of its options apart.
    private struct Arguments {
        let words: [String]
        let flags: Set<Character>
        let resumes: Bool

        init(words: [String], flags: Set<Character>, resumes: Bool) {
            self.words = words
            self.flags = flags
            self.resumes = resumes
        }

        init(_ words: [String], allowed: String, resumes: Bool = false) throws(TeleportError) {
            var words = words[...]
            var flags: Set<Character> = []
            while let word = words.first, word.hasPrefix("-"), word.count > 1 {
                words.removeFirst()
                if word == "--" { break }
                for flag in word.dropFirst() {
                    guard allowed.contains(flag) else { throw .badParameter("there is no option -\(flag) here") }
                    flags.insert(flag)
                }
            }
            self.words = Array(words)
            self.flags = flags
            self.resumes = resumes || flags.contains("a")
        }

        var options: FileCopy.Options {
            .init(
                isRecursive: flags.contains("r") || flags.contains("R"), preserves: flags.contains("p") || flags.contains("P"),
                resumes: resumes)
        }
    }

    private static func atMostOne(_ words: [String]) throws(TeleportError) -> String? {
        guard words.count <= 1 else { throw .badParameter("one path at most is named here") }
        return words.first
    }

    private func remote(_ path: String) -> [UInt8] {
        let path = CopyPlace.fromHome(path)
        return path.hasPrefix("/") ? Array(path.utf8) : RemotePath.join(directory, Array(path.utf8))
    }

    private func local(_ path: String) -> String {
        path.hasPrefix("/") ? path : "\(localDirectory)/\(path)"
    }

    // MARK: Commands

    private func enter(_ path: String) async throws(TeleportError) {
        // Without a path it is the home directory, where a server begins.
        let target = try await session.realPath(path.isEmpty || path == "~" ? Array(".".utf8) : remote(path))
        guard try await session.attributes(of: target)?.isDirectory == true else {
            throw .badParameter("\(SFTPSession.shown(target)) is no directory")
        }
        directory = target
    }

    private func enterLocal(_ path: String?) async throws(TeleportError) {
        let target = local(path ?? ProcessEnvironment.value("HOME") ?? "/")
        localDirectory = try await loop.working { () throws(TeleportError) in
            guard try FileIO.status(target)?.isDirectory == true else { throw .badParameter("\(target) is no directory") }
            return String(decoding: try PathIO.realPath(Array(target.utf8)), as: UTF8.self)
        }
    }

    private func list(_ arguments: Arguments) async throws(TeleportError) {
        let paths = arguments.words.isEmpty ? [directory] : arguments.words.map(remote)
        for path in paths {
            for found in try await expand(path) {
                guard let attributes = try await session.attributes(of: found) else {
                    throw .notFound("\(SFTPSession.shown(found)): the node has no such file")
                }
                guard attributes.isDirectory == true else {
                    show(SFTPSession.shown(found) + "\n")
                    continue
                }
                for name in try await session.list(found) where arguments.flags.contains("a") || name.name.first != UInt8(ascii: ".") {
                    show(SFTPSession.shown(arguments.flags.contains("l") ? name.longName : name.name) + "\n")
                }
            }
        }
    }

    private func copy(_ options: FileCopy.Options) -> FileCopy {
        FileCopy(session, options, progress: progress, on: loop, report: report)
    }

    private func expand(_ path: [UInt8]) async throws(TeleportError) -> [[UInt8]] {
        try await copy(.init()).expand(path)
    }

    private func get(_ arguments: Arguments) async throws(TeleportError) {
        guard (1...2).contains(arguments.words.count) else { throw .badParameter("get takes a path on the node and perhaps one here") }
        let copy = copy(arguments.options)
        try await copy.download(remote(arguments.words[0]), to: Array(local(arguments.words.count > 1 ? arguments.words[1] : ".").utf8))
        if copy.hasFailed { throw .connectionProblem("not everything was copied") }
    }

    private func put(_ arguments: Arguments) async throws(TeleportError) {
        guard (1...2).contains(arguments.words.count) else { throw .badParameter("put takes a path here and perhaps one on the node") }
        let copy = copy(arguments.options)
        try await copy.upload(
            [Array(local(arguments.words[0]).utf8)], to: arguments.words.count > 1 ? remote(arguments.words[1]) : directory)
        if copy.hasFailed { throw .connectionProblem("not everything was copied") }
    }

    private func each(_ paths: [String], _ what: String, _ request: ([UInt8]) -> SFTPRequest) async throws(TeleportError) {
        guard !paths.isEmpty else { throw .badParameter("no path is named") }
        for path in paths.map(remote) { try await session.perform(request(path), "\(what) \(SFTPSession.shown(path))") }
    }

    private func remove(_ paths: [String]) async throws(TeleportError) {
        guard !paths.isEmpty else { throw .badParameter("no path is named") }
        for path in paths {
            for found in try await expand(remote(path)) {
                try await session.perform(.remove(path: found), "removing \(SFTPSession.shown(found))")
            }
        }
    }

    private func rename(_ paths: [String]) async throws(TeleportError) {
        guard paths.count == 2 else { throw .badParameter("rename takes two paths") }
        let (from, to) = (remote(paths[0]), remote(paths[1]))
        let request: SFTPRequest =
            session.supports(SFTPExtendedRequest.Name.posixRename)
            ? .extended(.posixRename(from: from, to: to)) : .rename(from: from, to: to)
        try await session.perform(request, "renaming \(SFTPSession.shown(from))")
    }

    private func link(_ arguments: Arguments, isSymbolic: Bool) async throws(TeleportError) {
        guard arguments.words.count == 2 else { throw .badParameter("ln takes two paths") }
        let link = remote(arguments.words[1])
        // What a symbolic link says is not looked up.
        let request: SFTPRequest =
            isSymbolic || arguments.flags.contains("s")
            ? .symbolicLink(target: Array(arguments.words[0].utf8), link: link)
            : .extended(.hardLink(from: remote(arguments.words[0]), to: link))
        try await session.perform(request, "linking \(SFTPSession.shown(link))")
    }

    private func changeMode(_ words: [String]) async throws(TeleportError) {
        guard let mode = words.first.flatMap({ UInt32($0, radix: 8) }), mode <= 0o7777 else {
            throw .badParameter("chmod takes a mode such as 644 and paths")
        }
        try await each(Array(words.dropFirst()), "changing the mode of") { .setStatus(path: $0, SFTPAttributes(permissions: mode)) }
    }

    private func showFileSystem(_ path: String) async throws(TeleportError) {
        let path = remote(path)
        let reply = try await session.ask(.extended(.fileSystemStatus(path: path)))
        guard case .extended(let bytes) = reply, let status = try? SFTPFileSystemStatus(decoding: bytes) else {
            throw SFTPSession.error(reply, "looking at \(SFTPSession.shown(path))")
        }
        let unit = max(1, status.fragmentBytes)
        let (size, free, available) = (status.blocks, status.freeBlocks, status.availableBlocks)
        func kibibytes(_ blocks: UInt64) -> UInt64 { (blocks.multipliedReportingOverflow(by: unit).partialValue) / 1024 }
        show("KiB \(kibibytes(size)), used \(kibibytes(size >= free ? size - free : 0)), available \(kibibytes(available))\n")
    }
}
