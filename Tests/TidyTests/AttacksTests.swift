import FoundationEssentials
import Testing

/// The table of what is refused, held against the tests that it names.
@Suite("Attacks")
struct AttacksTests {
    @Test func `every test that the table names is there`() throws {
        let table = try String(contentsOfFile: SourceFile.root + "Tests/ATTACKS.md", encoding: .utf8)
        let rows = table.split(separator: "\n").filter { $0.hasPrefix("| ") && !$0.hasPrefix("| ---") && !$0.hasPrefix("| case") }
        #expect(rows.count > 50)
        for row in rows {
            let named = row.matches(of: /`(\w+)` `([^`]+)`/)
            #expect(!named.isEmpty || row.hasSuffix("| does not exist yet |"), "\(row)")
            for match in named {
                let files = SourceFile.all.filter { $0.path.hasPrefix("Tests/") && $0.path.hasSuffix("/\(match.1).swift") }
                #expect(files.contains { $0.text.contains("func `\(match.2)`") }, "there is no \(match.2) in \(match.1)")
            }
        }
    }
}
