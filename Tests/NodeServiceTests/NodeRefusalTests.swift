import Base
import ClusterModel
import EventLoop
import MetricsReader
import SSHNet
import SSHWire
import Testing

@Suite("What a node refuses", .timeLimit(.minutes(2)))
struct NodeRefusalTests {
    struct Refusal: Sendable, CustomTestStringConvertible {
        let name: String
        let credential: TestNode.Credential
        var login: String?
        /// What the log says.
        let reason: String
        var testDescription: String { name }
    }

    static let stranger = PrivateKey.generate(randomness: SeededRandomness(seed: 9))

    static let refusals = [
        Refusal(name: "a certificate that expired a second ago", credential: .init(validFor: .seconds(-1)), reason: "it has expired"),
        Refusal(name: "an authority that nobody knows", credential: .init(authority: stranger), reason: "is not trusted"),
        Refusal(name: "a login that the certificate does not list", credential: .init(principals: ["somebody"]), reason: "does not name"),
        Refusal(name: "a certificate without a role", credential: .init(roles: "[]"), reason: "no roles"),
        Refusal(name: "a role that does not exist", credential: .init(roles: #"["wheel"]"#), reason: "does not exist"),
        Refusal(name: "roles that are no list", credential: .init(roles: #"{"access":1}"#), reason: "not a list"),
        Refusal(
            name: "a certificate that names another cluster", credential: .init(authorityExtension: "west"), reason: "names cluster"),
        Refusal(
            name: "an unknown critical option", credential: .init(critical: ["verify-required": ""]), reason: "is unknown"),
        Refusal(
            name: "another address than the certificate is for", credential: .init(critical: ["source-address": "192.0.2.0/24"]),
            reason: "may not be used from this address"),
        Refusal(
            name: "the credential of a site's agent", credential: .init(critical: [CriticalOption.site: "west"]), reason: "is unknown"),
        Refusal(
            name: "a login without an account here", credential: .init(principals: ["no-such-account"]), login: "no-such-account",
            reason: "no account of that name"),
    ]

    @Test(arguments: refusals)
    func `lets nobody in with`(refusal: Refusal) async throws {
        let node = try await TestNode()
        let outcome = try await node.ssh("true", credential: refusal.credential, login: refusal.login)
        #expect(outcome.exit == .status(255))
        #expect(outcome.errors.contains("Permission denied"), "\(outcome.errors)")
        let lines = node.log.withLock { $0.filter { $0.contains("login refused") } }
        #expect(lines.contains { $0.contains(refusal.reason) }, "\(lines)")
        #expect(!outcome.errors.contains(refusal.reason), "the reason is for the log")
        #expect(try await node.figures().sum("teleport_ssh_keys_refused_total", ["listener": "node"]) >= 1)
    }

    @Test func `a bare key is no certificate`() async throws {
        let node = try await TestNode()
        let key = try node.write()
        try FileIO.remove("\(key)-cert.pub")
        let outcome = try await node.run("/usr/bin/ssh", node.arguments(key: key) + ["true"])
        #expect(outcome.exit == .status(255))
        #expect(node.log.withLock { $0.contains { $0.contains("a bare key is no certificate") } })
    }

    @Test func `a role for other nodes gives nothing here`() async throws {
        let role = Role(
            name: "access", allow: RoleConditions(logins: [RoleConditions.ownLogins], nodeLabels: LabelSelector(["env": ["prod"]])))
        let node = try await TestNode(labels: ["env": "test"], roles: [role])
        let outcome = try await node.ssh("true")
        #expect(outcome.exit == .status(255))
        #expect(node.log.withLock { $0.contains { $0.contains("no role allows nodes with these labels") } })
    }

    @Test func `a certificate without permit-pty gets no terminal, and one without port forwarding none of that`() async throws {
        let node = try await TestNode()
        let terminal = try await node.ssh("tty", options: ["-tt"], credential: .init(flags: []))
        #expect(terminal.errors.contains("PTY allocation request failed"), "\(terminal.errors)")
        let forward = try await node.ssh(options: ["-W", "127.0.0.1:\(node.port)", "-o", "LogLevel=INFO"], credential: .init(flags: []))
        #expect(forward.exit == .status(255))
        #expect(forward.errors.contains("permits no port forwarding"), "\(forward.errors)")
        let remote = try await node.ssh(
            "true", options: ["-R", "0:127.0.0.1:\(node.port)", "-o", "LogLevel=INFO"], credential: .init(flags: []))
        #expect(remote.errors.contains("remote port forwarding failed"), "\(remote.errors)")
        let figures = try await node.figures()
        #expect(figures.value("teleport_node_refusals_total", ["of": "channel"]) == 1)
        #expect(figures.value("teleport_node_refusals_total", ["of": "global_request"]) == 1)
        #expect(figures.value("teleport_node_sessions_opened_total") == 2)
    }

    @Test func `a subsystem that is not served says so`() async throws {
        let node = try await TestNode()
        let outcome = try await node.ssh("netconf", options: ["-s"])
        #expect(outcome.exit != .status(0))
        #expect(outcome.errors.contains("subsystem request failed"), "\(outcome.errors)")
        #expect(node.log.withLock { $0.contains { $0.contains("subsystem netconf is not available") } })
    }

    @Test func `a stranger opens more connections than the configuration lets one address have`() async throws {
        let node = try await TestNode(limits: ListenerLimits(total: 100, perAddress: 3, unauthenticated: 50))
        try await node.connectSilently(8, untilEnded: 5)
    }

    @Test func `a stranger says nothing until the configured deadline`() async throws {
        let node = try await TestNode(authenticationDeadline: .milliseconds(50))
        try await node.connectSilently(3, untilEnded: 3)
    }

    @Test func `names and commands of strangers stay within one line of the log`() async throws {
        let node = try await TestNode()
        _ = try await node.ssh("true", login: "ev\u{1b}[2Jil\nFAKE login")
        _ = try await node.ssh("echo a\nb\u{1b}[31m")
        for line in node.log.withLock({ $0 }) {
            #expect(line.last == "\n" && !line.dropLast().unicodeScalars.contains { $0.value < 0x20 }, "\(line)")
        }
    }
}
