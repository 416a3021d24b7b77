import FoundationEssentials

/// A Swift file of this repository, as text and as code without comments and string literals.
struct SourceFile: Sendable {
    /// Below the repository's root: `Sources/Base/Bytes/Hex.swift`.
    let path: String
    let text: String
    /// The same lines with the contents of comments and string literals left out.
    let code: String

    /// The repository's root, with a slash at its end.
    static let root = String(#filePath.dropLast("Tests/TidyTests/SourceFile.swift".count))

    init(path: String, text: String) {
        self.path = path
        self.text = text
        code = Self.withoutCommentsAndStrings(text)
    }

    /// The target this file is of.
    var target: String { String(path.split(separator: "/")[1]) }

    /// The path below `Sources/` or `Tests/`.
    var pathInside: String { path.split(separator: "/").dropFirst().joined(separator: "/") }

    var codeLines: [Substring] { code.split(separator: "\n", omittingEmptySubsequences: false) }

    /// The modules of its `import` lines, with what stands before `import`.
    var imports: [(access: String, module: String)] {
        codeLines.compactMap { line in
            guard
                let match = line.firstMatch(
                    of: /^(?:@\w+ )*(?:(package|internal|private|public|fileprivate) )?import (?:struct |class |enum |func )?(\w+)/)
            else { return nil }
            return (String(match.1 ?? ""), String(match.2))
        }
    }

    /// Every Swift file below `folder`.
    static func all(in folder: String) throws -> [SourceFile] {
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
        var kept: [UInt8] = []
        var inside = Inside.code
        var index = 0
        func follows(_ word: String) -> Bool { bytes[index...].starts(with: word.utf8) }
        while index < bytes.count - 4 {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\n") { kept.append(byte) }
            switch inside {
            case .code:
                let pounds = bytes[index...].prefix { $0 == UInt8(ascii: "#") }.count
                if follows("//") {
                    inside = .lineComment
                } else if follows("/*") {
                    inside = .blockComment(depth: 1)
                    index += 1
                } else if index + pounds < bytes.count, bytes[index + pounds] == UInt8(ascii: "\"") {
                    index += pounds
                    let isLong = follows("\"\"\"")
                    inside = .string(pounds: pounds, lines: isLong)
                    index += isLong ? 2 : 0
                    kept += Array("\"\"".utf8)
                } else if byte != UInt8(ascii: "\n") {
                    kept.append(byte)
                }
            case .lineComment:
                if byte == UInt8(ascii: "\n") { inside = .code }
            case .blockComment(let depth):
                if follows("*/") {
                    inside = depth == 1 ? .code : .blockComment(depth: depth - 1)
                    index += 1
                } else if follows("/*") {
                    inside = .blockComment(depth: depth + 1)
                    index += 1
                }
            case .string(let pounds, let lines):
                let fence = String(repeating: "#", count: pounds)
                if follows("\\" + fence) {
                    index += pounds + 1
                    if bytes[index] == UInt8(ascii: "\n") { kept.append(bytes[index]) }
                    if bytes[index] == UInt8(ascii: "(") { index = endOfInterpolation(bytes, from: index) }
                } else if follows((lines ? "\"\"\"" : "\"") + fence) {
                    inside = .code
                    index += (lines ? 2 : 0) + pounds
                } else if byte == UInt8(ascii: "\n"), !lines {
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
