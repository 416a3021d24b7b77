import Base
import ClusterHarness
import Crypto
import EventLoop
import Testing

@Suite("tsh through a tunnel", .serialized, .timeLimit(.minutes(5)))
struct TshTests {
    @Test func `clusters and their nodes are listed`() async throws {
        let person = try await ClusterHarness.shared().person()
        let clusters = try await person.tsh("clusters")
        #expect(clusters.exit == .status(0), "\(clusters)")
        #expect(clusters.text.contains("hub") && clusters.text.contains("east"), "\(clusters)")
        let nodes = try await person.tsh("ls", "--cluster=east")
        #expect(nodes.exit == .status(0), "\(nodes)")
        #expect(nodes.text.contains("db1") && nodes.text.contains("db2") && !nodes.text.contains("web1"), "\(nodes)")
        let labelled = try await person.tsh("ls", "--cluster=east", "--format=json", "env=staging")
        #expect(labelled.text.contains("db2") && !labelled.text.contains("db1"), "\(labelled)")
        let own = try await person.tsh("ls")
        #expect(own.text.contains("web1") && !own.text.contains("db1"), "\(own)")
    }

    @Test(arguments: ["db1@east", "db2@east", "web1", "web1@hub"])
    func `a command runs on the node that was named`(target: String) async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let outcome = try await person.tsh("ssh", "\(harness.login)@\(target)", "id -un; echo $SSH_TELEPORT_CLUSTER_NAME; echo oops >&2")
        #expect(outcome.exit == .status(0), "\(outcome)")
        #expect(outcome.lines == [harness.login, target.hasSuffix("east") ? "east" : "hub"], "\(outcome)")
        #expect(outcome.errors.hasSuffix("oops\n"), "\(outcome)")
    }

    static let endings: [(command: String, status: Int32)] = [("true", 0), ("exit 3", 3), ("exit 254", 254), ("kill -TERM $$", 255)]

    @Test(arguments: endings)
    func `the exit status is the command's own`(command: String, status: Int32) async throws {
        let harness = try await ClusterHarness.shared()
        let outcome = try await harness.person().tsh("ssh", "-l", harness.login, "db1@east", command)
        #expect(outcome.exit == .status(status), "\(outcome)")
    }

    static let failures: [(target: String, says: String)] = [
        ("nosuch@east", "nosuch"), ("db1@nosuch", "nosuch"), ("nosuch", "nosuch"), ("nobody-at-all@db1@east", "nobody-at-all"),
    ]

    @Test(arguments: failures)
    func `what cannot be reached is 255 and one line that names it`(target: String, says: String) async throws {
        let outcome = try await ClusterHarness.shared().person().tsh("ssh", target, "true")
        #expect(outcome.exit == .status(255), "\(outcome)")
        #expect(
            outcome.errors.hasPrefix("ERROR: ") && outcome.errors.contains(says) && outcome.errors.count(where: \.isNewline) == 1,
            "\(outcome)")
        #expect(outcome.output.isEmpty)
    }

    @Test func `100 MB through cat come back unchanged`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let command = ([harness.programs.tsh] + person.tshArguments + ["ssh", "\(harness.login)@db1@east", "cat"]).joined(separator: " ")
        try await checkBulk(command, harness)
    }

    @Test func `twenty sessions at once get each their own output`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let outputs = try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<20 {
                group.addTask {
                    try await person.tsh("ssh", "\(harness.login)@db\(number % 2 + 1)@east", "cat; echo \(number)", input: [0x61]).text
                }
            }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(outputs == Set((0..<20).map { "a\($0)\n" }))
    }

    @Test func `a terminal is as large as the window, before and after it changes`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        try await checkResize(
            harness.programs.tsh, person.tshArguments + ["ssh", "-t", "\(harness.login)@db1@east", resizeCommand], harness)
    }

    @Test func `a shell takes what is typed, and ends with the status that it is told`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let terminal = try await TerminalProgram(
            harness.programs.tsh, person.tshArguments + ["ssh", "\(harness.login)@db1@east"], environment: harness.runner.environment,
            columns: 80,
            rows: 24, on: harness.eventLoop)
        terminal.type("echo $((40 + 2))-$TERM\n")
        try await terminal.expect("42-vt100")
        terminal.type("exit 7\n")
        let (exit, shown) = try await terminal.end()
        #expect(exit == .status(7), "\(shown)")
    }
}

/// Says the size of its terminal, and once more when it has changed.
let resizeCommand = "trap 'stty size; kill $!; exit 5' WINCH; sleep 60 & stty size; echo armed; wait"

/// Runs ``resizeCommand`` by a client on a terminal, and resizes that.
func checkResize(_ executable: String, _ arguments: [String], _ harness: ClusterHarness) async throws {
    let terminal = try await TerminalProgram(
        executable, arguments, environment: harness.runner.environment, columns: 101, rows: 33, on: harness.eventLoop)
    try await terminal.expect("33 101")
    try await terminal.expect("armed")
    try await terminal.resize(columns: 120, rows: 50)
    try await terminal.expect("50 120")
    let (exit, shown) = try await terminal.end()
    #expect(exit == .status(5), "\(shown)")
}

/// Sends 100 MB of noise through `command`, a `cat` at the far end, and compares hashes.
///
/// Programs that were built for debugging move a megabyte a second: they get 4 MB.
func checkBulk(_ command: String, _ harness: ClusterHarness) async throws {
    let file = "\(harness.directory)/noise-\(SystemRandomness().uuid())"
    let script = """
        head -c \(BuiltPrograms.areOptimized ? 100 << 20 : 4 << 20) /dev/urandom > \(file)
        sha256sum < \(file)
        \(command) < \(file) | sha256sum
        echo ${PIPESTATUS[0]}
        rm \(file)
        """
    let outcome = try await harness.runner.run("/bin/bash", ["-c", script], timeout: .seconds(180))
    #expect(outcome.lines.count == 3 && outcome.lines[0] == outcome.lines[1] && outcome.lines[2] == "0", "\(outcome)")
}
