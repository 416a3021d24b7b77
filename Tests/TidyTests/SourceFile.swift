import FoundationEssentials

/// A Swift file of this repository, as text and as code without comments and string literals.
struct SourceFile: Sendable {
    /// Below the repository's root: `Sources/Base/Bytes/Hex.swift`.
    let path: String
    let text: String
    /// The same lines with the contents of comments and string literals left out.
    let code: String
    /// The modules of its `import` lines, with what stands before `import`.
    let imports: [(access: String, module: String)]

    /// The repository's root, with a slash at its end.
    static let root = String(#filePath.dropLast("Tests/TidyTests/SourceFile.swift".count))

    init(path: String, text: String) {
        self.path = path
        self.text = text
        code = Self.withoutCommentsAndStrings(text)
        imports = code.split(separator: "\n").filter { $0.utf8.starts(with: "import ".utf8) || $0.contains(" import ") }.compactMap {
            line in
            let pattern = /^(?:@\w+ )*(?:(package|internal|private|public|fileprivate) )?import (?:struct |class |enum |func )?(\w+)/
            return line.firstMatch(of: pattern).map { (String($0.1 ?? ""), String($0.2)) }
        }
    }

    /// The target this file is of.
    var target: String { String(path.split(separator: "/")[1]) }

    /// The path below `Sources/` or `Tests/`.
    var pathInside: String { path.split(separator: "/").dropFirst().joined(separator: "/") }

    /// Every Swift file of the repository, read once.
    static let all: [SourceFile] = {
        let files = try? read(in: "Sources") + read(in: "Tests")
        precondition(files?.isEmpty == false, "no source files below \(root)")
        return files ?? []
    }()

    var isSource: Bool { path.hasPrefix("Sources/") }

    private static func read(in folder: String) throws -> [SourceFile] {
        try paths(in: folder).filter { $0.hasSuffix(".swift") }.map { path in
            SourceFile(path: path, text: try String(contentsOfFile: root + path, encoding: .utf8))
        }
    }

    /// Every file and folder below `folder`.
    static func paths(in folder: String) throws -> [String] {
        var found: [String] = []
        for name in try FileManager.default.contentsOfDirectory(atPath: root + folder).sorted() {
            let path = "\(folder)/\(name)"
            found.append(path)
            var isFolder = false
            if FileManager.default.fileExists(atPath: root + path, isDirectory: &isFolder), isFolder { found += try paths(in: path) }
        }
        return found
    }

    /// Blanks comments and the contents of string literals; what is interpolated goes with them.
    static func withoutCommentsAndStrings(_ text: String) -> String {
        enum Inside { case code, lineComment, blockComment(depth: Int), string(pounds: Int, lines: Bool) }
        let bytes = Array(text.utf8) + [0, 0, 0, 0]
        let (newline, slash, star, quote, pound, backslash) = (UInt8(10), UInt8(47), UInt8(42), UInt8(34), UInt8(35), UInt8(92))
        var kept: [UInt8] = []
        kept.reserveCapacity(bytes.count)
        var inside = Inside.code
        var index = 0
        /// How many of `byte` stand from `start` on.
        func run(of byte: UInt8, from start: Int) -> Int {
            var end = start
            while end < bytes.count, bytes[end] == byte { end += 1 }
            return end - start
        }
        while index < bytes.count - 4 {
            let byte = bytes[index]
            if byte == newline { kept.append(byte) }
            switch inside {
            case .code:
                let pounds = byte == pound ? run(of: pound, from: index) : 0
                if byte == slash, bytes[index + 1] == slash {
                    inside = .lineComment
                } else if byte == slash, bytes[index + 1] == star {
                    inside = .blockComment(depth: 1)
                    index += 1
                } else if bytes[index + pounds] == quote {
                    index += pounds
                    let isLong = run(of: quote, from: index) >= 3
                    inside = .string(pounds: pounds, lines: isLong)
                    index += isLong ? 2 : 0
                    kept += [quote, quote]
                } else if byte != newline {
                    kept.append(byte)
                }
            case .lineComment:
                if byte == newline { inside = .code }
            case .blockComment(let depth):
                if byte == star, bytes[index + 1] == slash {
                    inside = depth == 1 ? .code : .blockComment(depth: depth - 1)
                    index += 1
                } else if byte == slash, bytes[index + 1] == star {
                    inside = .blockComment(depth: depth + 1)
                    index += 1
                }
            case .string(let pounds, let lines):
                if byte == backslash, run(of: pound, from: index + 1) >= pounds {
                    index += pounds + 1
                    if bytes[index] == newline { kept.append(newline) }
                    if bytes[index] == UInt8(ascii: "(") { index = endOfInterpolation(bytes, from: index) }
                } else if byte == quote, !lines || run(of: quote, from: index) >= 3, run(of: pound, from: index + (lines ? 3 : 1)) >= pounds
                {
                    inside = .code
                    index += (lines ? 2 : 0) + pounds
                } else if byte == newline, !lines {
                    inside = .code
                }
            }
            index += 1
        }
        return String(decoding: kept, as: UTF8.self)
    }

    /// The index of the bracket that closes the one at `start`; strings inside may hold brackets in pairs only.
    private static func endOfInterpolation(_ bytes: [UInt8], from start: Int) -> Int {
        var depth = 0
        for index in start..<bytes.count {
            if bytes[index] == UInt8(ascii: "(") { depth += 1 }
            if bytes[index] == UInt8(ascii: ")") { depth -= 1 }
            if depth == 0 { return index }
        }
        return bytes.count - 1
    }
}
