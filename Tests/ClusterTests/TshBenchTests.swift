import Base
import ClusterHarness
import ClusterModel
import Config
import EventLoop
import Testing

@Suite("tsh bench through a tunnel", .serialized, .timeLimit(.minutes(5)))
struct TshBenchTests {
    private struct Summary: Decodable {
        let requests: Int
        let failures: Int
        let seconds: Double
        let per_second: Double
        let milliseconds: [String: Double]

        init(_ outcome: Outcome) throws {
            self = try JSONText.decode(Summary.self, from: outcome.output)
        }
    }

    @Test func `each request is a session of its own`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let file = "\(person.folder)/sessions"
        let outcome = try await person.tsh(
            "bench", "--duration=1s", "--concurrency=4", "--format=json", "\(harness.login)@db1@east", "echo $SSH_SESSION_ID >> \(file)")
        #expect(outcome.exit == .status(0), "\(outcome)")
        let summary = try Summary(outcome)
        let sessions = String(decoding: try FileIO.read(file, max: 1 << 20), as: UTF8.self).split(whereSeparator: \.isNewline)
        #expect(summary.failures == 0 && summary.requests > 0 && sessions.count == summary.requests, "\(outcome)")
        let order = ["p25", "p50", "p75", "p90", "p95", "p99", "max"].compactMap { summary.milliseconds[$0] }
        #expect(order.count == 7 && order == order.sorted() && order[0] > 0, "\(outcome)")
        #expect(summary.seconds >= 1 && abs(summary.per_second - Double(summary.requests) / summary.seconds) < 0.1 * summary.per_second)
    }

    @Test(arguments: [true, false])
    func `sessions have connections of their own to the proxy, or one that is kept for all`(isKept: Bool) async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let line = try await LongLine(to: person.proxy.ssh, .zero, on: harness.eventLoop)
        let outcome = try await person.tsh(
            through: line,
            ["bench", "--duration=1s", "--concurrency=2", "--format=json"] + (isKept ? ["--kept"] : [])
                + ["\(harness.login)@db1@east", "true"])
        let summary = try Summary(outcome)
        #expect(outcome.exit == .status(0) && summary.failures == 0 && summary.requests >= 2, "\(outcome)")
        let connections = await line.connections()
        // The first one finds out what the target means.
        #expect(connections == (isKept ? 1 : 1 + summary.requests), "\(outcome)")
    }

    @Test func `a rate is not exceeded`() async throws {
        let harness = try await ClusterHarness.shared()
        let outcome = try await harness.person().tsh(
            "bench", "--duration=2s", "--rate=4", "--format=json", "\(harness.login)@db1@east", "true")
        let summary = try Summary(outcome)
        #expect(outcome.exit == .status(0) && (1...8).contains(summary.requests), "\(outcome)")
    }

    @Test func `channels of one connection are counted by the node's first byte`() async throws {
        let outcome = try await ClusterHarness.shared().person().tsh(
            "bench", "--duration=1s", "--channels", "--concurrency=8", "--format=json", "db1@east")
        let summary = try Summary(outcome)
        #expect(outcome.exit == .status(0) && summary.failures == 0 && summary.requests > 8, "\(outcome)")
    }

    @Test func `people get a table`() async throws {
        let harness = try await ClusterHarness.shared()
        let outcome = try await harness.person().tsh("bench", "--duration=1s", "\(harness.login)@web1", "true")
        #expect(outcome.exit == .status(0) && outcome.text.contains("* Requests failed: 0\n"), "\(outcome)")
        #expect(outcome.lines.contains { $0.hasPrefix("p99 ") && $0.hasSuffix(" ms") }, "\(outcome)")
    }

    @Test func `what fails is counted, and the first reason is told`() async throws {
        let harness = try await ClusterHarness.shared()
        let outcome = try await harness.person().tsh("bench", "--duration=1s", "--format=json", "\(harness.login)@db1@east", "exit 3")
        let summary = try Summary(outcome)
        #expect(outcome.exit == .status(1) && summary.failures == summary.requests && summary.requests > 0, "\(outcome)")
        #expect(outcome.errors == "ERROR: the command ended with status 3\n", "\(outcome)")
    }

    @Test func `an interrupt ends it with what there is`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        // The third command interrupts the one who has it run, and does not end by itself.
        let remote = """
            echo >> \(person.folder)/runs; [ $(wc -l < \(person.folder)/runs) -lt 3 ] || { kill -INT $(cat \(person.folder)/pid); sleep 100; }
            """
        let script = "echo $$ > \(person.folder)/pid; exec \"$@\""
        let arguments =
            ["-c", script, "sh", harness.programs.tsh] + person.tshArguments
            + ["bench", "--duration=1h", "--concurrency=1", "--format=json", "\(harness.login)@db1@east", remote]
        let outcome = try await harness.runner.run("/bin/sh", arguments)
        #expect(outcome.exit == .status(0), "\(outcome)")
        #expect(try Summary(outcome).requests == 2, "\(outcome)")
    }

    @Test(arguments: [
        ["db1@east"], ["--channels", "db1@east", "true"], ["--channels", "--kept", "db1@east"], ["--concurrency=0", "db1@east", "true"],
        ["--rate=0", "db1@east", "true"],
        ["--duration=0s", "db1@east", "true"],
    ])
    func `what makes no sense is wrong usage`(arguments: [String]) async throws {
        let harness = try await ClusterHarness.shared()
        let outcome = try await harness.runner.run(harness.programs.tsh, try await harness.person().tshArguments + ["bench"] + arguments)
        #expect(outcome.exit == .status(2) && outcome.errors.hasPrefix("ERROR: "), "\(outcome)")
    }
}
