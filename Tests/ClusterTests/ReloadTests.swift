import Base
import ClusterHarness
import Config
import EventLoop
import Testing

@Suite("A configuration that changes", .serialized, .timeLimit(.minutes(3)))
struct ReloadTests {
    private static let site = Result {
        try ClusterHarness(
            topology: """
                clusters:
                  - name: hub
                    hosts:
                      - name: auth
                        address: 127.0.1.2
                        roles: [auth]
                      - name: web1
                        address: 127.0.1.3
                        roles: [node]
                        labels: {env: prod}
                """)
    }

    private static func harness() async throws -> ClusterHarness {
        let harness = try site.get()
        try await harness.ready()
        return harness
    }

    @Test func `HUP gives a node the labels and the log level that its configuration has now`() async throws {
        let harness = try await Self.harness()
        #expect(try await harness.nodes().contains("env=prod"))
        try harness.edit("hub/web1") {
            $0.replacing("env: prod", with: "env: test").replacing("  log:", with: "  log:\n    severity: debug")
        }
        try await harness.hangUp("hub/web1")
        try await harness.waitForLog(of: "hub/web1", "reloaded log level and labels; certificates are renewed by themselves")
        try await until("the node is listed with its new labels") { try await harness.nodes().contains("env=test") }
        // Whoever connects and says nothing is worth a line at that level.
        try await harness.waitUntilAnswering(try #require(try harness.cluster("hub").nodes.first).addr)
        try await harness.waitForLog(of: "hub/web1", " DEBUG ")
    }

    @Test func `a configuration that cannot be read changes nothing`() async throws {
        let harness = try await Self.harness()
        let listed = try await harness.nodes()
        let before = try harness.edit("hub/web1") { "teleport: [\n" + $0 }
        try await harness.hangUp("hub/web1")
        try await harness.waitForLog(of: "hub/web1", "the configuration cannot be read, and nothing has changed")
        #expect(try await harness.nodes() == listed)
        // It goes on, and hears of the next one.
        try harness.edit("hub/web1") { _ in before.replacing("    env:", with: "    next: one\n    env:") }
        try await harness.hangUp("hub/web1")
        try await until("the node is listed with its new labels") { try await harness.nodes().contains("next=one") }
    }

    @Test func `what needs a restart is said to need one`() async throws {
        let harness = try await Self.harness()
        let before = try harness.edit("hub/web1") { $0.replacing(":3022", with: ":3122") }
        try await harness.hangUp("hub/web1")
        try await harness.waitForLog(of: "hub/web1", "what else has changed in the configuration needs a restart")
        try harness.edit("hub/web1") { _ in before }
    }
}

extension ClusterHarness {
    fileprivate func nodes() async throws -> String {
        try await tctl("hub", "nodes", "ls").succeeded().text
    }

    /// - Returns: what the host's configuration was before.
    @discardableResult
    fileprivate func edit(_ host: String, _ change: (String) -> String) throws -> String {
        let path = "\(directory)/data/\(host)/teleport.yaml"
        let before = String(decoding: try FileIO.read(path), as: UTF8.self)
        try FileIO.write(Array(change(before).utf8), to: path)
        return before
    }
}
