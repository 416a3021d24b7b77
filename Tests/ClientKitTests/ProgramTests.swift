import ArgumentParser
import Programs
import Testing

private struct Root: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "root", subcommands: [Group.self, Leaf.self])

    struct Group: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "users", subcommands: [Leaf.self])
    }

    struct Leaf: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "ls")
    }
}

@Suite("Options that every command has")
struct GlobalOptionsTests {
    static let globals = GlobalOptions(valued: ["-c", "--config"], flags: ["-d"])

    struct Case: Sendable, CustomTestStringConvertible {
        let given: [String]
        let parsed: [String]

        init(_ given: [String], _ parsed: [String]) {
            self.given = given
            self.parsed = parsed
        }

        var testDescription: String { given.joined(separator: " ") }
    }

    static let cases = [
        Case(["ls"], ["ls"]),
        Case(["-c", "f", "ls", "x"], ["ls", "-c", "f", "x"]),
        Case(["-d", "--config=f", "users", "ls", "x"], ["users", "ls", "-d", "--config=f", "x"]),
        Case(["ls", "-c", "f"], ["ls", "-c", "f"]),
        Case(["-c"], ["-c"]),
        Case(["--other", "-c", "f", "ls"], ["--other", "-c", "f", "ls"]),
        Case(["-d", "nonsense"], ["-d", "nonsense"]),
        Case([], []),
    ]

    @Test(arguments: cases)
    func `may stand before the command`(wanted: Case) {
        #expect(Self.globals.moved(behindCommandIn: wanted.given, of: Root.self) == wanted.parsed)
    }
}

@Suite struct TableTests {
    @Test func `columns are aligned and nothing hangs over`() {
        let table = Table(["Node", "Labels"], rows: [["a", "env=prod"], ["longer", ""]])
        #expect(table.text == "Node    Labels\n------  --------\na       env=prod\nlonger\n")
    }

    @Test func `a stranger's name moves no cursor`() {
        #expect(!Table(["Node"], rows: [["\u{1b}[2J\u{9b}31m\r\n"]]).text.contains("\u{1b}"))
    }
}
