import Base
import ClientKit
import ClusterModel
import Testing

@Suite("Targets of tsh ssh")
struct CommandTargetTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let text: String
        let login: String?
        let node: String
        let site: String?

        init(_ text: String, _ login: String?, _ node: String, _ site: String?) {
            self.text = text
            self.login = login
            self.node = node
            self.site = site
        }

        var testDescription: String { text }
    }

    static let nodes = [
        Case("db1", nil, "db1", nil),
        Case("db1@east", nil, "db1", "east"),
        Case("root@db1", "root", "db1", nil),
        Case("root@db1@east", "root", "db1", "east"),
        Case("root@east@east", "root", "east", "east"),
        Case("east@east", nil, "east", "east"),
        Case("10.0.0.1@east", nil, "10.0.0.1", "east"),
        Case("db1.east", nil, "db1", "east"),
        Case("root@db1.east", "root", "db1", "east"),
        Case("db1.example.com", nil, "db1.example.com", nil),
        Case("db1.example.com.east", nil, "db1.example.com", "east"),
        Case("db1.east@east", nil, "db1.east", "east"),
        Case(".east", nil, ".east", nil),
        Case("10.0.0.1", nil, "10.0.0.1", nil),
    ]

    @Test(arguments: nodes)
    func `a right side that is a site's name is the site, else the node`(wanted: Case) throws {
        let target = try CommandTarget(parsing: wanted.text).resolved { $0 == "east" }
        #expect(target.place == .node(wanted.node))
        #expect(target.login == wanted.login)
        #expect(target.site == wanted.site)
    }

    struct Doubt: Sendable, CustomTestStringConvertible {
        let text: String
        let isDecided: Bool

        var testDescription: String { text }
    }

    static let doubts = [
        Doubt(text: "root@db1", isDecided: false), Doubt(text: "db1@east", isDecided: true), Doubt(text: "db1", isDecided: true),
        Doubt(text: "db1.west", isDecided: false), Doubt(text: "db1.east", isDecided: true), Doubt(text: "root@db1.east", isDecided: false),
        Doubt(text: "10.0.0.1", isDecided: true), Doubt(text: "root@db1.west@east", isDecided: true),
        Doubt(text: "env=prod@west", isDecided: true),
    ]

    @Test(arguments: doubts)
    func `the other sites are asked for only where they could change what is meant`(doubt: Doubt) throws {
        #expect(try CommandTarget(parsing: doubt.text).isDecided { $0 == "east" } == doubt.isDecided)
    }

    @Test func `labels name nodes, with a site and a login`() throws {
        let prod = LabelSelector(["env": ["prod"], "role": ["db"]])
        let plain = try CommandTarget(parsing: "env=prod,role=db")
        #expect(plain.place == .labels(prod) && plain.site == nil && plain.login == nil)
        let sited = try CommandTarget(parsing: "env=prod,role=db@east")
        #expect(sited.place == .labels(prod) && sited.site == "east")
        let whole = try CommandTarget(parsing: "root@env=prod,role=db@east")
        #expect(whole.place == .labels(prod) && whole.site == "east" && whole.login == "root")
    }

    @Test(arguments: ["", "@", "root@", "@db1", "a@b@c@d", "a@@b", "=x", "env=prod,x", "a@b@env=prod", "env=prod@east@x"])
    func `is refused`(text: String) {
        #expect(throws: TeleportError.self) { try CommandTarget(parsing: text) }
    }

    struct Line: Sendable, CustomTestStringConvertible {
        let words: [String]
        let target: String
        let command: String?

        var testDescription: String { words.joined(separator: " ") }
    }

    static let lines = [
        Line(words: ["db1"], target: "db1", command: nil),
        Line(words: ["db1", "ls", "-l", "--help"], target: "db1", command: "ls -l --help"),
        Line(words: ["--", "db1", "ls"], target: "db1", command: "ls"),
        Line(words: ["db1", "--", "ls", "--"], target: "db1", command: "ls --"),
        Line(words: ["db1", "echo", "a  b", ""], target: "db1", command: "echo a  b "),
        Line(words: ["db1", "-t"], target: "db1", command: "-t"),
    ]

    @Test(arguments: lines)
    func `what follows the node is the command, as it is`(line: Line) throws {
        let (target, command) = try CommandTarget.split(line.words)
        #expect(target == (try CommandTarget(parsing: line.target)))
        #expect(command == line.command)
    }

    @Test(arguments: [[], ["--"], ["-x", "db1"], ["--bogus"]])
    func `no node, or an option that is none, is wrong usage`(words: [String]) {
        #expect(throws: TeleportError.self) { _ = try CommandTarget.split(words) }
    }
}
