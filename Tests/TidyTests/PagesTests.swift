import FoundationEssentials
import Testing

/// What is said about the code in prose, held against the tree.
@Suite("Pages")
struct PagesTests {
    private static func text(_ path: String) throws -> String {
        try String(contentsOfFile: SourceFile.root + path, encoding: .utf8)
    }

    @Test(arguments: allowedImports.keys.sorted())
    func `every target has a page, and what the page names is there`(target: String) throws {
        let folder = "Sources/\(target)"
        let page = try #require(try? Self.text("\(folder)/\(target).docc/\(target).md"), "\(target) has no \(target).docc/\(target).md")
        #expect(page.hasPrefix("# ``\(target)``\n"))
        #expect(page.split(separator: "\n", omittingEmptySubsequences: false).count <= 40, "a page is read in one go")
        let paths = try SourceFile.paths(in: folder)
        for match in page.matches(of: /`([\w+\/]+(?:\.swift|\/))`/) {
            let end = match.1.hasSuffix("/") ? "/\(match.1.dropLast())" : "/\(match.1)"
            #expect(paths.contains { $0.hasSuffix(end) }, "there is no \(match.1) in \(target)")
        }
        let code = SourceFile.all.filter { $0.isSource && $0.target == target }.map(\.text).joined()
        for match in page.matches(of: /``(\w+)(?:\/(\w+))?/) {
            for name in [match.1, match.2].compactMap({ $0 }) where name != target {
                #expect(code.contains(name), "there is no \(name) in \(target)")
            }
        }
    }

    @Test func `what the README names is there`() throws {
        let readme = try Self.text("README.md")
        for match in readme.matches(of: /\b((?:Sources|Tests|examples|topologies|scripts)\/[\w.+\/-]*\w)/) {
            #expect(FileManager.default.fileExists(atPath: SourceFile.root + match.1), "there is no \(match.1)")
        }
        let makefile = try Self.text("Makefile")
        for match in readme.matches(of: /(?:`|    )make ([a-z]+)/) {
            #expect(makefile.contains("\n\(match.1):"), "the Makefile has no target \(match.1)")
        }
    }

    @Test func `the README has every target of make help`() throws {
        let readme = try Self.text("README.md")
        for match in try Self.text("Makefile").matches(of: /\n([a-z]+):[^\n]*##[ ]/) {
            #expect(readme.contains("make \(match.1)"), "the README does not say what make \(match.1) does")
        }
    }

    /// After that, the RFC is about its names, its security and its authors.
    private static let sectionMax = 12

    @Test func `the README leads from every section of RFC 4253 to files of which one cites the RFC`() throws {
        let rows = try Self.text("README.md").matches(of: /\n\| §([\d.]+)[^|]*\|[^|]*\|([^|]*)\|/)
        #expect(Set(rows.compactMap { Int($0.1.prefix { $0 != "." }) }).isSuperset(of: 4...Self.sectionMax))
        for row in rows {
            let files = row.2.matches(of: /`(Sources\/[\w+\/]+\.swift)`/).map { String($0.1) }
            let cites = try files.contains { try Self.text($0).contains("RFC 4253") }
            #expect(cites, "§\(row.1) leads to no file that cites RFC 4253")
        }
    }
}
