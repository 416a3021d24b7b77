import Base
import ClusterHarness
import Config
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

    func get(_ host: String, _ path: String) async throws -> HTTPClientResponse {
        let parts = host.split(separator: "/")
        let address = try #require(try cluster(String(parts[0])).hosts.first { $0.name == parts[1] }?.diag)
        return try await HTTPClient(on: eventLoop, tls: HTTPClientTLS(server: .none)).send(
            HTTPClientRequest(.get, "http://\(address)\(path)"))
    }

    func figures(of host: String) async throws -> MetricsReading {
        let answer = try await get(host, "/metrics")
        #expect(answer.status == 200 && answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8", "\(answer)")
        return try MetricsReading(answer.text)
    }
}

extension HTTPClientResponse {
    var text: String { String(decoding: body, as: UTF8.self) }
}
