import ArgumentParser
import Base
import ClientKit
import ClusterModel
import Crypto
import EventLoop
import Programs

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures how long sessions take through the real path, and how many there can be.",
        usage: "tsh bench [OPTIONS] [LOGIN@]NODE[@SITE] COMMAND…\n       tsh bench [OPTIONS] --channels NODE[@SITE]",
        discussion: """
            Each request is what `tsh ssh` does from its connection to the proxy to the end of the command, whose output is thrown away; \
            a status other than 0 counts as failed. With --kept all of them share one connection to the proxy, as with ControlPersist. With \
            --channels it is a channel to the node's port through one connection to the proxy, until the first byte of the node's SSH server.

            With --rate a request's time counts from when it was due. Without it the next one begins when one has ended. ^C ends it early. \
            The exit status is 0 if any request succeeded.

            Example: tsh bench --rate=50 --duration=30s root@db1@east true
            Example: tsh bench --concurrency=32 --format=json root@db1@east true
            Example: tsh bench --channels --concurrency=1 db1@east
            """)
    @OptionGroup var client: ClientOptions
    @Option(help: "Requests that are begun in a second.") var rate: Int?
    @Option(help: "How long requests are begun, such as 30s or 5m.", transform: Self.duration) var duration: Duration = .seconds(10)
    @Option(name: [.long, .customLong("threads")], help: "How many requests may be under way at once.") var concurrency = 10
    @Flag(help: "Run all sessions over one connection to the proxy.") var kept = false
    @Flag(help: "Open channels of one connection instead of sessions.") var channels = false
    @Option(name: [.customShort("l"), .long], help: "The login on the node.") var login: String?
    @Option(name: [.customShort("p", allowingJoined: true), .long], help: "The node's port; by default whichever it has.") var port: UInt16?
    @Option(help: "text or json.") var format = OutputFormat.text
    @Argument(parsing: .captureForPassthrough, help: ArgumentHelp("Where, and what.", valueName: "words")) var words: [String] = []

    private static func duration(_ text: String) throws -> Duration {
        do throws(TeleportError) {
            let duration = try DurationText.parse(text)
            guard duration > .zero else { throw .badParameter("--duration is longer than nothing") }
            return duration
        } catch {
            throw ValidationError(error.message)
        }
    }

    func validate() throws {
        if words.first == "--help" || words.first == "-h" { throw CleanExit.helpRequest(self) }
        do throws(TeleportError) {
            _ = try plan()
        } catch {
            throw ValidationError(error.message)
        }
    }

    private func plan() throws(TeleportError) -> LoadPlan {
        let (target, command) = try CommandTarget.split(words)
        guard (1...LoadPlan.atOnceMax).contains(concurrency) else {
            throw .badParameter("--concurrency is a number from 1 to \(LoadPlan.atOnceMax)")
        }
        guard (1...LoadPlan.rateMax).contains(rate ?? 1) else { throw .badParameter("--rate is a number from 1 to \(LoadPlan.rateMax)") }
        let request: LoadPlan.Request
        if channels && kept { throw .badParameter("--kept is for sessions: channels are of one connection in any case") }
        switch (command, channels) {
        case (let command?, false): request = .command(command, sharesProxy: kept)
        case (nil, true): request = .channel
        case (_?, true): throw .badParameter("--channels runs no command")
        case (nil, false): throw .badParameter("say which command is to run, such as true")
        }
        return LoadPlan(
            target, request, port: port ?? 0, login: login ?? ProcessEnvironment.value("TELEPORT_LOGIN").flatMap { $0.isEmpty ? nil : $0 },
            localUser: try LocalUser.name(), rate: rate, atOnce: concurrency, duration: duration)
    }

    func run() throws {
        let plan = try plan()
        let login = try client.login()
        let (format, debug) = (format, client.debug)
        try Program.onLoop { loop in
            let inside = loop.inside
            let report = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<LoadReport, any Error>) in
                let run = LoadRun(plan, as: login, randomness: SystemRandomness(), on: inside) {
                    continuation.resume(with: $0.mapError { $0 as any Error })
                }
                do throws(TeleportError) {
                    _ = try SignalWatcher(.interrupt, on: inside) { run.stop() }
                } catch {
                    return continuation.resume(throwing: error)
                }
                run.start()
            }
            if let failure = report.firstFailure { Program.report(failure, debug: debug) }
            try LoadSummary(report).show(format)
            if report.profile.count == 0 { throw ExitCode(1) }
        }
    }
}

/// A report as it is printed.
private struct LoadSummary: Encodable {
    let requests: Int
    let failures: Int
    let seconds: Double
    let perSecond: Double
    let milliseconds: [String: Double]

    private enum CodingKeys: String, CodingKey {
        case requests, failures, seconds, milliseconds
        case perSecond = "per_second"
    }

    private static let percents = [25, 50, 75, 90, 95, 99]

    init(_ report: LoadReport) {
        requests = report.requests
        failures = report.failures
        seconds = Self.rounded(Double(report.elapsed.clampedNanoseconds) / 1e9)
        perSecond = Self.rounded(report.perSecond)
        milliseconds = Dictionary(
            uniqueKeysWithValues: Self.percents.map { ("p\($0)", Self.milliseconds(report.profile.percentile($0))) }
                + [("max", Self.milliseconds(report.profile.longest))])
    }

    func show(_ format: OutputFormat) throws(TeleportError) {
        if format == .text {
            print("* Requests originated: \(requests)\n* Requests failed: \(failures)\n* Requests per second: \(perSecond)\n")
        }
        try format.show(self) {
            Table(
                ["Percentile", "Response Duration"],
                rows: (Self.percents.map { "p\($0)" } + ["max"]).map { [$0, "\(milliseconds[$0] ?? 0) ms"] })
        }
    }

    private static func milliseconds(_ duration: Duration) -> Double {
        rounded(Double(duration.clampedNanoseconds) / 1e6)
    }

    /// Nobody reads more digits than three.
    private static func rounded(_ value: Double) -> Double {
        (value * 1000).rounded() / 1000
    }
}
