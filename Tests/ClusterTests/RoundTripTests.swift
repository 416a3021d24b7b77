import Base
import ClusterHarness
import Config
import EventLoop
import Testing

@Suite("round trips over a long line", .serialized, .timeLimit(.minutes(5)))
struct RoundTripTests {
    /// Each way through the real proxy, tunnel and node, counted on the line between client and proxy.
    @Test(arguments: ["db1@east", "web1@hub"])
    func `tsh shows a command's output after four round trips`(target: String) async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        var counted: [[Int]] = []
        // Where a process is late by more than the line is long, its words count as of a later round trip: a longer line tells.
        for roundTrip: Duration in [.seconds(1), .seconds(3), .seconds(5)] where counted.last != [4] {
            let line = try await LongLine(to: person.proxy.ssh, roundTrip, on: harness.eventLoop)
            let outcome = try await person.tsh(through: line, "ssh", "\(harness.login)@\(target)", "echo there and back")
            #expect(outcome.exit == .status(0) && outcome.text == "there and back\n", "\(outcome)")
            counted.append(await line.roundTrips())
        }
        print("\(target): round trips over longer and longer lines: \(counted)")
        #expect(counted.last == [4], "\(counted)")
    }

    @Test func `a login that fails says so as over a short line`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let line = try await LongLine(to: person.proxy.ssh, .seconds(1), on: harness.eventLoop)
        let outcome = try await person.tsh(through: line, "ssh", "nobody-at-all@db1@east", "true")
        #expect(outcome.exit == .status(255), "\(outcome)")
        #expect(outcome.errors.contains("may not log in as nobody-at-all on db1 of east"), "\(outcome)")
    }
}

/// A line to a proxy, longer than its processes take to answer.
private final class LongLine: Sendable {
    let address: String
    let port: UInt16
    private let held: LoopBound<Held>

    private final class Held {
        var link: DelayedLink?
        var counts: [Int] = []
        var waiting: CheckedContinuation<[Int], Never>?
    }

    init(to proxy: String, _ roundTrip: Duration, on eventLoop: EventLoop) async throws {
        let place = try #require(HostPort(proxy))
        let target = SocketAddress(try #require(IPAddress(place.host)), port: place.port)
        let (held, address) = try await withCheckedThrowingContinuation {
            (continuation: CheckedContinuation<(LoopBound<Held>, SocketAddress), any Error>) in
            eventLoop.post { loop in
                continuation.resume(
                    with: Result {
                        let held = Held()
                        let link = try DelayedLink(
                            from: SocketAddress(.loopback4, port: 0), to: target, roundTrip: roundTrip, on: loop.inside
                        ) { [unowned held] count in
                            held.counts.append(count)
                            held.waiting?.resume(returning: held.counts)
                            held.waiting = nil
                        }
                        held.link = link
                        return (LoopBound(held, on: loop.inside), link.address)
                    })
            }
        }
        self.held = held
        self.address = "127.0.0.1"
        port = try #require(address.port)
    }

    /// Those of each connection, once one has ended.
    func roundTrips() async -> [Int] {
        await withCheckedContinuation { continuation in
            held.eventLoop.post { [held] loop in
                guard let value = held.value(on: loop), value.counts.isEmpty else {
                    return continuation.resume(returning: held.value(on: loop)?.counts ?? [])
                }
                value.waiting = continuation
            }
        }
    }
}

extension Person {
    fileprivate func tsh(through line: LongLine, _ arguments: String...) async throws -> Outcome {
        try await harness.runner.run(
            harness.programs.tsh, ["--proxy=\(line.address):3080,\(line.port)", "-i", identity] + arguments)
    }
}
