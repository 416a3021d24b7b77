import AuthAPI
import Base
import ClusterHarness
import ClusterModel
import Config
import Diagnostics
import EventLoop
import HTTPClient
import MetricsReader
import Testing

@Suite("Watching a cluster", .serialized, .timeLimit(.minutes(5)))
struct WatchingTests {
    /// Every host of the two sites is watched; processes die here.
    private static let watched = Result {
        try ClusterHarness(
            topology: try ClusterHarness.text(of: "two-sites").replacing("        roles:", with: "        diagnostics: yes\n        roles:")
        )
    }

    private static func harness() async throws -> ClusterHarness {
        let harness = try watched.get()
        try await harness.ready()
        return harness
    }

    @Test func `every host says that it is well, and gives its figures`() async throws {
        let harness = try await Self.harness()
        for host in try harness.watchedHosts() {
            let health = try await harness.get(host, "/healthz")
            #expect(health.status == 200 && health.text == #"{"status":"ok"}"#, "\(host)")
            let figures = try await harness.figures(of: host)
            #expect(figures.value("teleport_loop_delay_seconds", ["loop": "main"]) != nil, "\(host)")
            #expect(figures.sum("process_open_fds") > 3, "\(host)")
            #expect(try await harness.get(host, "/debug").status == 404, "\(host)")
        }
    }

    @Test func `every host is ready when its parts can do their work, and says which it has`() async throws {
        let harness = try await Self.harness()
        for host in try harness.watchedHosts() {
            try await harness.waitUntilReady(host)
            let report = try await harness.readiness(of: host)
            let parts: Set<String> =
                switch host {
                case "hub/auth", "east/auth": ["process", "auth"]
                case "hub/proxy": ["process", "proxy"]
                case "east/proxy": ["process", "proxy", "tunnels"]
                default: ["process", "node"]
                }
            #expect(report.status == .ok && Set(report.components.keys) == parts, "\(host): \(report)")
        }
    }

    @Test func `a leaf's proxy is not ready while the hub's proxy is away, and is again when that is back`() async throws {
        let harness = try await Self.harness()
        try await harness.waitUntilReady("east/proxy")
        try await harness.takeDown("hub/proxy")
        try await harness.waitForStatus(503, of: "east/proxy")
        let report = try await harness.readiness(of: "east/proxy")
        #expect(report.status == .degraded && report.components["proxy"]?.status == .ok, "\(report)")
        #expect(report.components["tunnels"]?.reasons == ["no tunnel to any proxy of cluster hub; it is dialled again"], "\(report)")
        try harness.bringBack("hub/proxy")
        try await harness.waitUntilReady("east/proxy")
        try await harness.waitUntilReady("hub/proxy")
    }

    @Test func `a node and a proxy are not ready while their auth server is away, and are again when it is back`() async throws {
        let harness = try await Self.harness()
        for host in ["east/db1", "east/proxy"] { try await harness.waitUntilReady(host) }
        try await harness.takeDown("east/auth")
        for host in ["east/db1", "east/proxy"] { try await harness.waitForStatus(503, of: host) }
        let report = try await harness.readiness(of: "east/db1")
        #expect(
            report.components["node"]?.reasons.first == "the auth server does not answer; what it said last is still in force", "\(report)")
        #expect(try await harness.get("east/db1", "/healthz").status == 200)
        // A host that starts meanwhile works from what it knew, and does not say that it is ready.
        try await harness.kill("east/db1")
        try await harness.waitForStatus(400, of: "east/db1")
        try harness.bringBack("east/auth")
        for host in ["east/auth", "east/db1", "east/proxy"] { try await harness.waitUntilReady(host) }
    }

    @Test func `sessions move the figures of the proxy, the leaf's agent and the node`() async throws {
        let harness = try await Self.harness()
        for host in ["hub/proxy", "east/proxy", "east/db1"] { try await harness.waitUntilReady(host) }
        let person = try await harness.person()
        let (hub, node) = (try await harness.figures(of: "hub/proxy"), try await harness.figures(of: "east/db1"))
        let before = (hub, node)
        for name in ["sites_known", "sites_connected", "tunnels"] { #expect(hub.value("teleport_proxy_\(name)") == 1, "\(name)") }
        #expect(try await harness.figures(of: "east/proxy").value("teleport_agent_tunnels", ["state": "connected"]) == 1)

        let session = try await EchoSession(person, "db1@east")
        try await session.check("still here")
        #expect(try await harness.figures(of: "east/db1").value("teleport_node_sessions") == 1)
        #expect(try await harness.figures(of: "east/proxy").value("teleport_agent_connections") == 1)
        try await person.tsh("ssh", "\(harness.login)@db1@east", "head -c 3000000 /dev/zero").succeeded()

        let after = (try await harness.figures(of: "hub/proxy"), try await harness.figures(of: "east/db1"))
        func rise(_ name: String, _ labels: [String: String], _ figures: KeyPath<(MetricsReading, MetricsReading), MetricsReading>)
            -> Double
        {
            after[keyPath: figures].sum(name, labels) - before[keyPath: figures].sum(name, labels)
        }
        #expect(rise("teleport_proxy_relayed_bytes_total", ["direction": "to_user"], \.0) >= 3_000_000)
        #expect(rise("teleport_proxy_relayed_bytes_total", ["direction": "from_user"], \.0) > 1000)
        #expect(rise("teleport_ssh_sent_bytes_total", ["listener": "ssh"], \.0) >= 3_000_000)
        #expect(rise("teleport_ssh_received_bytes_total", ["listener": "tunnel"], \.0) >= 3_000_000)
        #expect(rise("teleport_proxy_routes_opened_total", [:], \.0) == 2)
        #expect(rise("teleport_ssh_handshakes_total", ["listener": "ssh", "result": "ok"], \.0) == 2)
        #expect(rise("teleport_ssh_handshake_seconds_count", ["listener": "ssh"], \.0) == 2)
        #expect(rise("teleport_ssh_channels_opened_total", ["listener": "tunnel"], \.0) == 2)
        #expect(rise("teleport_ssh_handshakes_total", ["listener": "node", "result": "ok"], \.1) == 2)
        #expect(rise("teleport_node_sessions_opened_total", [:], \.1) == 2)
        // Each loop has its part of the sum, and labels are of our own choosing alone.
        let text = try await harness.get("hub/proxy", "/metrics").text
        for name in ["east", "db1", "ci", harness.login] { #expect(!text.contains("\"\(name)\""), "\(name)") }
    }

    @Test func `refusals move the figures of whoever refuses, by their reason`() async throws {
        let harness = try await Self.harness()
        for host in ["hub/proxy", "hub/auth", "hub/web1"] { try await harness.waitUntilReady(host) }
        let person = try await harness.person()
        try await harness.runner.run("/usr/bin/ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", "\(person.folder)/bare"]).succeeded()
        func refused(_ host: String, _ name: String, _ labels: [String: String], _ act: () async throws -> Void) async throws {
            let before = try await harness.figures(of: host).sum(name, labels)
            try await act()
            // What counts may come after what the refused was told.
            _ = try await harness.figures(of: host) { $0.sum(name, labels) > before }
        }
        let bare =
            ["-F", "/dev/null", "-i", "\(person.folder)/bare", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"]
            + ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-p", "3023"]
        try await refused("hub/proxy", "teleport_ssh_keys_refused_total", ["listener": "ssh", "reason": "no_certificate"]) {
            try await refused("hub/proxy", "teleport_ssh_handshakes_total", ["listener": "ssh", "result": "refused"]) {
                let outcome = try await harness.runner.run("/usr/bin/ssh", bare + ["ci@\(person.proxyHost)", "-s", "proxysites"])
                #expect(outcome.exit == .status(255), "\(outcome)")
            }
        }
        try await refused("hub/proxy", "teleport_proxy_routes_failed_total", ["kind": "NotFound"]) {
            let outcome = try await person.tsh("ssh", "\(harness.login)@nowhere", "true")
            #expect(outcome.exit != .status(0), "\(outcome)")
        }
        try await refused("hub/web1", "teleport_ssh_keys_refused_total", ["listener": "node", "reason": "principal"]) {
            let outcome = try await person.tsh("ssh", "nobody@web1", "true")
            #expect(outcome.exit != .status(0), "\(outcome)")
        }
        #expect(try await harness.figures(of: "hub/auth").sum("teleport_auth_requests_served_total") > 0)
        try await refused("hub/auth", "teleport_auth_requests_failed_total", ["kind": "AccessDenied"]) {
            let outcome = try await harness.runner.run(
                "/usr/bin/curl", ["-sk", "--data", "{}", "https://\(try harness.cluster("hub").auth)\(Endpoints.status.path)"])
            #expect(outcome.text.contains("AccessDenied"), "\(outcome)")
        }
    }

    @Test func `an address that is taken is an error that says for what it was wanted`() async throws {
        let harness = try await Self.harness()
        let silent = try await SilentListener(address: harness.freeAddress(11), port: 3000, on: harness.eventLoop)
        let outcome = try await harness.runner.run(
            harness.programs.teleport,
            [
                "start", "--roles=auth", "--listen-ip=\(harness.freeAddress(11))", "--diag-addr=\(silent.address)",
                "--data-dir=\(harness.directory)/taken",
            ])
        #expect(outcome.exit == .status(1), "\(outcome)")
        #expect(outcome.errors.contains("ERROR: diagnostics cannot be served: "), "\(outcome)")
    }

    @Test func `a process with another address than loopback says what that means`() async throws {
        let harness = try await Self.harness()
        // The flag beats what the file would say; the process cannot start for want of a token, and has said it by then.
        let outcome = try await harness.runner.run(
            harness.programs.teleport,
            [
                "start", "--roles=node", "--auth-server=\(harness.freeAddress(12))", "--listen-ip=\(harness.freeAddress(12))",
                "--diag-addr=0.0.0.0:0", "--data-dir=\(harness.directory)/open",
            ])
        #expect(outcome.errors.contains("diagnostics are served to whoever reaches their address"), "\(outcome)")
        #expect(outcome.exit == .status(1), "\(outcome)")
    }
}

extension ClusterHarness {
    /// `CLUSTER/HOST` of every host that serves diagnostics.
    func watchedHosts() throws -> [String] {
        try summary().clusters.flatMap { cluster in cluster.hosts.filter { $0.diag != nil }.map { "\(cluster.name)/\($0.name)" } }
    }

    /// `HOST:PORT`.
    private func diagnostics(of host: String) throws -> String {
        let parts = host.split(separator: "/")
        return try #require(try cluster(String(parts[0])).hosts.first { $0.name == parts[1] }?.diag)
    }

    func readiness(of host: String) async throws -> Readiness.Report {
        try JSONText.decode(Readiness.Report.self, from: try await get(host, "/readyz").body)
    }

    func waitUntilReady(_ host: String) async throws { try await waitForStatus(200, of: host) }

    /// Waits until `/readyz` answers so.
    func waitForStatus(_ status: Int, of host: String) async throws {
        let script = """
            for i in {1..800}; do
              [ "$(curl -s -m 10 -o /dev/null -w '%{http_code}' "http://$1/readyz")" = "$2" ] && exit 0
              sleep 0.1
            done
            curl -s -m 10 "http://$1/readyz"
            exit 1
            """
        let outcome = try await runner.run("/bin/bash", ["-c", script, "bash", try diagnostics(of: host), "\(status)"])
        #expect(outcome.exit == .status(0), "\(host) never came to \(status): \(outcome)")
    }

    func get(_ host: String, _ path: String) async throws -> HTTPClientResponse {
        let address = try diagnostics(of: host)
        return try await HTTPClient(on: eventLoop, tls: HTTPClientTLS(server: .none)).send(
            HTTPClientRequest(.get, "http://\(address)\(path)"))
    }

    /// Asks until the figures are those that are wanted.
    func figures(of host: String, where areWanted: (MetricsReading) -> Bool = { _ in true }) async throws -> MetricsReading {
        let start = ContinuousClock.now
        while true {
            let answer = try await get(host, "/metrics")
            #expect(answer.status == 200 && answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8", "\(answer)")
            let figures = try MetricsReading(answer.text)
            if areWanted(figures) { return figures }
            if start.duration(to: .now) > .seconds(30) {
                throw TeleportError(.limitExceeded, "the figures of \(host) did not become what they should: \(answer.text)")
            }
        }
    }
}

extension HTTPClientResponse {
    var text: String { String(decoding: body, as: UTF8.self) }
}
