import Base
import ClusterHarness
import Config
import Crypto
import EventLoop
import Testing

@Suite("Stock OpenSSH through the proxy", .serialized, .timeLimit(.minutes(5)))
struct OpenSSHPathTests {
    @Test(arguments: Person.Route.allCases)
    func `a command runs on a node of another site`(route: Person.Route) async throws {
        let harness = try await ClusterHarness.shared()
        let outcome = try await harness.person().ssh(route, "db1", "id -un; echo $SSH_TELEPORT_CLUSTER_NAME; echo oops >&2; exit 3")
        #expect(outcome.exit == .status(3), "\(outcome)")
        #expect(outcome.lines == [harness.login, "east"], "\(outcome)")
        #expect(outcome.errors.hasSuffix("oops\n"), "\(outcome)")
    }

    @Test func `any port of the node is asked for with 0`() async throws {
        let person = try await ClusterHarness.shared().person()
        let proxy = "ProxyCommand=/usr/bin/ssh -F \(person.sshConfigPath) -p 3023 %r@\(person.proxyHost) -s proxy:%h:0@east"
        let outcome = try await person.harness.runner.run(
            "/usr/bin/ssh", ["-F", person.sshConfigPath, "-o", proxy, "db2", "echo $SSH_TELEPORT_HOST_UUID"])
        #expect(outcome.exit == .status(0) && outcome.text.count == 37, "\(outcome)")
    }

    @Test func `a node of the proxy's own site needs no site`() async throws {
        let person = try await ClusterHarness.shared().person()
        let proxy = "ProxyCommand=/usr/bin/ssh -F \(person.sshConfigPath) -p 3023 %r@\(person.proxyHost) -s proxy:%h:%p"
        let outcome = try await person.harness.runner.run(
            "/usr/bin/ssh", ["-F", person.sshConfigPath, "-o", proxy, "-p", "3022", "web1", "echo $SSH_TELEPORT_CLUSTER_NAME"])
        #expect(outcome.exit == .status(0) && outcome.text == "hub\n", "\(outcome)")
    }

    @Test func `a node is reached without a proxy too`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let node = try #require(try harness.cluster("hub").nodes.first)
        let host = String(node.addr.prefix { $0 != ":" })
        let outcome = try await harness.runner.run(
            "/usr/bin/ssh", ["-F", person.sshConfigPath, "-p", "3022", "-o", "HostKeyAlias=\(node.name)", host, "exit 3"])
        #expect(outcome.exit == .status(3), "\(outcome)")
    }

    @Test func `proxysites prints the sites as JSON`() async throws {
        let person = try await ClusterHarness.shared().person()
        let outcome = try await person.harness.runner.run(
            "/usr/bin/ssh", ["-F", person.sshConfigPath, "-p", "3023", person.proxyHost, "-s", "proxysites"])
        #expect(outcome.exit == .status(0) && outcome.text.hasPrefix("[") && outcome.text.contains(#""east""#), "\(outcome)")
    }

    static let failures: [(node: String, says: String)] = [("nosuch", "nosuch"), ("127.0.0.1", "127.0.0.1")]

    @Test(arguments: Person.Route.allCases, failures)
    func `what is no node of the site is refused`(route: Person.Route, failure: (node: String, says: String)) async throws {
        let person = try await ClusterHarness.shared().person()
        let outcome = try await person.ssh(route, failure.node, "true")
        #expect(outcome.exit == .status(255), "\(outcome)")
        #expect(outcome.errors.contains(failure.says), "\(outcome)")
    }

    @Test(arguments: Person.Route.allCases)
    func `a login that the certificate does not name is refused`(route: Person.Route) async throws {
        let person = try await ClusterHarness.shared().person(logins: "somebody-else")
        let outcome = try await person.ssh(route, "db1", "true")
        #expect(outcome.exit == .status(255) && outcome.output.isEmpty, "\(outcome)")
    }

    @Test func `a host key that no authority signed is not accepted`() async throws {
        let person = try await ClusterHarness.shared().person()
        try FileIO.write(Array("\n".utf8), to: "\(person.folder)/known_hosts")
        let outcome = try await person.ssh(.jump, "db1", "true")
        #expect(outcome.exit == .status(255) && outcome.errors.contains("Host key verification failed"), "\(outcome)")
    }

    @Test(arguments: Person.Route.allCases, [[], ["-o", "RekeyLimit=1M"]])
    func `100 MB through cat come back unchanged`(route: Person.Route, options: [String]) async throws {
        let harness = try await ClusterHarness.shared()
        let arguments = try await harness.person().sshArguments(route, node: "db1", options: options)
        try await checkBulk((["/usr/bin/ssh"] + arguments.map { "'\($0)'" } + ["cat"]).joined(separator: " "), harness)
    }

    @Test(arguments: Person.Route.allCases)
    func `twenty sessions at once get each their own output`(route: Person.Route) async throws {
        let person = try await ClusterHarness.shared().person()
        let outputs = try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<20 {
                group.addTask { try await person.ssh(route, "db\(number % 2 + 1)", "cat; echo \(number)", input: [0x61]).text }
            }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(outputs == Set((0..<20).map { "a\($0)\n" }))
    }

    @Test(arguments: Person.Route.allCases)
    func `a terminal is as large as the window, before and after it changes`(route: Person.Route) async throws {
        let harness = try await ClusterHarness.shared()
        let arguments = try await harness.person().sshArguments(route, node: "db1", options: ["-tt"])
        try await checkResize("/usr/bin/ssh", arguments + [resizeCommand], harness)
    }
}
