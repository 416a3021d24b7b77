import Base
import ClientKit
import Testing

@Suite("What tsh scp copies")
struct CopyPlaceTests {
    @Test(arguments: ["a", "./a:b", "/a:b", ":a", "a/b:c", "."])
    func `what has no colon before a slash is here`(text: String) throws {
        #expect(try CopyPlace(text) == .local(text))
    }

    @Test(arguments: [
        ("db1:", "db1", ""), ("db1:a b", "db1", "a b"), ("root@db1@east:/etc/hosts", "root@db1@east", "/etc/hosts"),
        ("db1.east:~", "db1.east", ""),
        ("db1:~/x:y", "db1", "x:y"),
    ])
    func `a node and a path are there`(text: String, target: String, path: String) throws {
        #expect(try CopyPlace(text) == .remote(try CommandTarget(parsing: target), path: path))
    }

    @Test(arguments: ["", "a@:b", "env=prod:x"])
    func `is no place`(text: String) {
        #expect(throws: TeleportError.self) { try CopyPlace(text) }
    }

    struct Pattern: Sendable, CustomTestStringConvertible {
        let pattern: String
        let fits: [String]
        let fitsNot: [String]
        var testDescription: String { pattern }
    }

    static let patterns = [
        Pattern(pattern: "*.txt", fits: ["a.txt", "a.b.txt"], fitsNot: ["a.tx", ".a.txt", "a.txt "]),
        Pattern(pattern: "*", fits: ["a"], fitsNot: [".a"]), Pattern(pattern: ".*", fits: [".a"], fitsNot: ["a"]),
        Pattern(pattern: "a?c", fits: ["abc", "a?c"], fitsNot: ["ac", "abbc"]),
        Pattern(pattern: "[a-c]x", fits: ["ax", "cx"], fitsNot: ["dx", "x"]), Pattern(pattern: "[!a]", fits: ["b"], fitsNot: ["a", ""]),
        Pattern(pattern: "a\\*", fits: ["a*"], fitsNot: ["ab"]), Pattern(pattern: "a*b*c", fits: ["abc", "axxbxxc"], fitsNot: ["acb"]),
        Pattern(pattern: "[", fits: ["["], fitsNot: ["a"]),
    ]

    @Test(arguments: patterns)
    func `a pattern is that of a shell`(wanted: Pattern) {
        for name in wanted.fits { #expect(RemotePath.matches(Array(name.utf8), Array(wanted.pattern.utf8)), "\(name)") }
        for name in wanted.fitsNot { #expect(!RemotePath.matches(Array(name.utf8), Array(wanted.pattern.utf8)), "\(name)") }
    }

    @Test func `no name of a hostile node takes long`() {
        let pattern = Array(String(repeating: "*a", count: 100).utf8) + [UInt8(ascii: "b")]
        #expect(!RemotePath.matches([UInt8](repeating: UInt8(ascii: "a"), count: 100_000), pattern))
    }

    @Test(arguments: ["", ".", "..", "a/b", "/", "a\0b"])
    func `is no file's name`(name: String) {
        #expect(!SFTPSession.isFileName(Array(name.utf8)))
    }

    @Test func `words are held together by quotes and backslashes`() throws {
        #expect(try SFTPShell.words(#"get "a b" c\ d 'e\'f ''"#) == ["get", "a b", "c d", #"e\f"#, ""])
        #expect(throws: TeleportError.self) { try SFTPShell.words("get 'a") }
        #expect(throws: TeleportError.self) { try SFTPShell.words("get a\\") }
    }

    @Test func `progress is as wide as the terminal`() {
        let line = CopyProgress.line("noise", done: 5 << 20, size: 10 << 20, bytesPerSecond: 1 << 20, columns: 60)
        #expect(line == "noise                       50%   5.0MiB   1.0MiB/s    0:05", "\(line)")
        let long = CopyProgress.line(String(repeating: "x", count: 100), done: 0, size: nil, bytesPerSecond: 0, columns: 60)
        #expect(long.count == line.count && long.hasSuffix("--:--"), "\(long)")
        #expect(!CopyProgress.line("empty", done: 0, size: 0, bytesPerSecond: 0, columns: 5).isEmpty)
    }
}
