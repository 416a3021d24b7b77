import Base
import ClusterHarness
import Config
import EventLoop
import Testing

@Suite("round trips over a long line", .serialized, .timeLimit(.minutes(5)))
struct RoundTripTests {
    /// Each way through the real proxy, tunnel and node: nothing that the client says after its fourth round trip arrives, and nothing needs it.
    @Test(arguments: ["db1@east", "web1@hub"])
    func `tsh shows a command's output after four round trips`(target: String) async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        var outcomes: [String] = []
        // Where tsh itself is late by more than the line is long, its words count as of a later round trip: a longer line tells.
        for roundTrip: Duration in [.seconds(1), .seconds(3)] {
            let line = try await LongLine(to: person.proxy.ssh, roundTrip, last: 4, on: harness.eventLoop)
            do {
                let outcome = try await person.tsh(through: line, ["ssh", "\(harness.login)@\(target)", "echo there and back"])
                if outcome.exit == .status(0), outcome.text == "there and back\n" { return }
                outcomes.append("\(outcome)")
            } catch {
                outcomes.append("\(error)")
            }
        }
        Issue.record("\(outcomes)")
    }

    @Test func `a login that fails says so as over a short line`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let line = try await LongLine(to: person.proxy.ssh, .seconds(1), on: harness.eventLoop)
        let outcome = try await person.tsh(through: line, ["ssh", "nobody-at-all@db1@east", "true"])
        #expect(outcome.exit == .status(255), "\(outcome)")
        #expect(outcome.errors.contains("may not log in as nobody-at-all on db1 of east"), "\(outcome)")
    }
}

/// A line to a proxy, longer than its client takes to answer.
final class LongLine: Sendable {
    let address: String
    let port: UInt16
    private let link: LoopBound<DelayedLink>

    init(to proxy: String, _ roundTrip: Duration, last: Int = .max, on eventLoop: EventLoop) async throws {
        let place = try #require(HostPort(proxy))
        let target = SocketAddress(try #require(IPAddress(place.host)), port: place.port)
        let (link, address) = try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<(LoopBound<DelayedLink>, SocketAddress), any Error>) in
            eventLoop.post { loop in
                continuation.resume(
                    with: Result {
                        let link = try DelayedLink(
                            from: SocketAddress(.loopback4, port: 0), to: target, roundTrip: roundTrip, last: last, on: loop.inside)
                        return (LoopBound(link, on: loop.inside), link.address)
                    })
            }
        }
        self.link = link
        self.address = "127.0.0.1"
        port = try #require(address.port)
    }

    /// What is said after so many more round trips never arrives.
    func carryOnly(_ roundTrips: Int) async {
        await perform { $0.carryOnly(roundTrips) }
    }

    /// Ends the connections of now.
    func cut() async {
        await perform { $0.cut() }
    }

    /// How many connections there have been.
    func connections() async -> Int {
        await perform { $0.connections } ?? 0
    }

    @discardableResult
    private func perform<T: Sendable>(_ body: @escaping @Sendable (DelayedLink) -> T) async -> T? {
        await withCheckedContinuation { (continuation: CheckedContinuation<T?, Never>) in
            link.eventLoop.post { [link] loop in continuation.resume(returning: link.value(on: loop).map(body)) }
        }
    }
}

extension Person {
    func tsh(through line: LongLine, _ arguments: [String]) async throws -> Outcome {
        try await harness.runner.run(
            harness.programs.tsh, ["--proxy=\(line.address):3080,\(line.port)", "-i", identity] + arguments,
            timeout: .seconds(60))
    }
}
