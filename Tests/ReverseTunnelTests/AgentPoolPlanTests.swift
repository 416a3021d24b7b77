import Base
import ReverseTunnel
import Testing

@Suite("The agent pool's plan")
struct AgentPoolPlanTests {
    static let hub1 = TunnelEndpoint(cluster: "hub", address: "10.0.0.1:3024")
    static let hub2 = TunnelEndpoint(cluster: "hub", address: "10.0.0.2:3024")
    let now = Instant(nanoseconds: 1_000)

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let wanted: [TunnelEndpoint]
        let present: [TunnelEndpoint: AgentState]
        let actions: [AgentPoolAction]
    }

    static let cases = [
        Case(
            testDescription: "what is wanted and absent is dialled", wanted: [hub1, hub2], present: [:],
            actions: [.dial(hub1), .dial(hub2)]),
        Case(
            testDescription: "what is there is left alone", wanted: [hub1, hub2], present: [hub1: .connected, hub2: .connecting],
            actions: []),
        Case(
            testDescription: "what is no longer wanted ends", wanted: [hub2], present: [hub1: .connected, hub2: .connected],
            actions: [.stop(hub1)]),
        Case(
            testDescription: "a retry waits for its time", wanted: [hub1, hub2],
            present: [hub1: .waiting(retryAt: Instant(nanoseconds: 1_001)), hub2: .waiting(retryAt: Instant(nanoseconds: 1_000))],
            actions: [.dial(hub2)]),
        Case(
            testDescription: "a retry of what is no longer wanted is forgotten", wanted: [],
            present: [hub1: .waiting(retryAt: Instant(nanoseconds: 5))], actions: [.stop(hub1)]),
    ]

    @Test(arguments: cases)
    func `the plan`(line: Case) {
        #expect(AgentPoolPlan.plan(wanted: line.wanted, present: line.present, now: now) == line.actions)
    }

    static let standings: [(present: [TunnelEndpoint: AgentState], standing: TunnelStanding?)] = [
        ([:], nil),
        ([hub1: .connecting, hub2: .connecting], .connecting),
        ([hub1: .connecting, hub2: .waiting(retryAt: Instant(nanoseconds: 5))], .failing),
        ([hub1: .waiting(retryAt: Instant(nanoseconds: 5)), hub2: .waiting(retryAt: Instant(nanoseconds: 6))], .failing),
        ([hub1: .waiting(retryAt: Instant(nanoseconds: 5)), hub2: .connected], .connected),
        ([hub1: .connected, hub2: .connecting], .connected),
    ]

    @Test(arguments: standings)
    func `a cluster is reached while one tunnel is up, and fails once an attempt has`(
        line: (present: [TunnelEndpoint: AgentState], standing: TunnelStanding?)
    ) {
        let other = TunnelEndpoint(cluster: "other", address: "10.0.0.3:3024")
        let standings = AgentPoolPlan.standings(present: line.present.merging([other: .connecting]) { first, _ in first })
        #expect(standings["hub"] == line.standing)
        #expect(standings["other"] == .connecting)
    }

    @Test func `a root cluster that announces thousands of proxies is dialled at 256 of them`() {
        let wanted = (0..<5000).map { TunnelEndpoint(cluster: "hub", address: "h\($0):3024") }
        #expect(AgentPoolPlan.plan(wanted: wanted, present: [:], now: now).count == AgentPoolPlan.endpointsMax)
    }

    @Test func `the next look is when the first retry is due`() {
        let present: [TunnelEndpoint: AgentState] = [
            Self.hub1: .waiting(retryAt: Instant(nanoseconds: 9)), Self.hub2: .waiting(retryAt: Instant(nanoseconds: 7)),
        ]
        #expect(AgentPoolPlan.nextDue(present: present) == Instant(nanoseconds: 7))
        #expect(AgentPoolPlan.nextDue(present: [Self.hub1: .connected]) == nil)
    }

    /// When agents whose tunnels ended at once get through to a proxy that takes connections again after `away`.
    private static func arrivals(_ agents: Int, away: Duration) -> [Duration] {
        let randomness = SeededRandomness(seed: 1)
        return (0..<agents).map { _ in
            var backoff = AgentPool.backoff
            var time = Duration.zero
            repeat { time += backoff.next(randomness) } while time < away
            return time - away
        }
    }

    @Test(arguments: [Duration.zero, .milliseconds(500), .seconds(3), .seconds(60)])
    func `a hundred thousand agents come back within seconds, and never many in the same moment`(away: Duration) {
        let arrivals = Self.arrivals(100_000, away: away)
        let buckets = Dictionary(grouping: arrivals, by: { Int($0 / .milliseconds(100)) }).mapValues(\.count)
        #expect(arrivals.allSatisfy { $0 <= AgentPool.backoff.longest })
        #expect((buckets.values.max() ?? 0) <= 25_000, "\(buckets.sorted { $0.key < $1.key })")
    }
}
