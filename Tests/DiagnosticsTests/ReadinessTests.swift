import Diagnostics
import Testing

@Suite("Readiness")
struct ReadinessTests {
    enum Event: Sendable {
        case expect(String)
        case meet(String)
        case fail(String)
        case drop(String)
    }

    struct Story: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// What happens to one component, and what it is then.
        let steps: [(Event, Readiness.Status)]
    }

    private static let stories = [
        Story(
            testDescription: "a start without trouble",
            steps: [(.expect("a"), .starting), (.expect("b"), .starting), (.meet("b"), .starting), (.meet("a"), .ok), (.meet("a"), .ok)]),
        Story(
            testDescription: "a start while the other side is away",
            steps: [(.expect("a"), .starting), (.fail("a"), .starting), (.fail("a"), .starting), (.meet("a"), .ok)]),
        Story(
            testDescription: "one thing fails for a moment",
            steps: [(.meet("a"), .ok), (.meet("b"), .ok), (.fail("a"), .degraded), (.meet("b"), .degraded), (.meet("a"), .ok)]),
        Story(
            testDescription: "all fails, and comes back one after the other",
            steps: [
                (.meet("a"), .ok), (.meet("b"), .ok), (.fail("a"), .degraded), (.fail("b"), .degraded), (.meet("a"), .recovering),
                (.meet("a"), .recovering), (.meet("b"), .ok),
            ]),
        Story(
            testDescription: "what recovers fails again",
            steps: [
                (.meet("a"), .ok), (.meet("b"), .ok), (.fail("a"), .degraded), (.fail("b"), .degraded), (.meet("a"), .recovering),
                (.fail("b"), .degraded), (.meet("b"), .ok), (.fail("b"), .degraded),
            ]),
        Story(
            testDescription: "something new is asked of what was well",
            steps: [(.meet("a"), .ok), (.expect("b"), .recovering), (.fail("b"), .degraded), (.meet("b"), .ok)]),
        Story(
            testDescription: "what fails is asked for no more",
            steps: [(.meet("a"), .ok), (.fail("b"), .degraded), (.expect("b"), .degraded), (.drop("b"), .ok)]),
    ]

    @Test(arguments: stories)
    func `a component goes from state to state by what happens`(story: Story) {
        var readiness = Readiness()
        for (number, (event, status)) in story.steps.enumerated() {
            switch event {
            case .expect(let name): readiness.expect(name, of: .proxy, "\(name) is not there yet")
            case .meet(let name): readiness.meet(name, of: .proxy)
            case .fail(let name): readiness.fail(name, of: .proxy, "\(name) does not work")
            case .drop(let name): readiness.drop(name, of: .proxy)
            }
            #expect(readiness.report.components["proxy"]?.status == status, "step \(number + 1), \(event)")
            #expect(readiness.report.status == status)
        }
    }

    @Test func `each condition that is not met says why, and nothing else does`() {
        var readiness = Readiness()
        readiness.meet("a", of: .node)
        readiness.expect("b", of: .node, "b is not there yet")
        readiness.fail("c", of: .node, "c does not work")
        #expect(readiness.report.components["node"]?.reasons == ["b is not there yet", "c does not work"])
        readiness.fail("c", of: .node, "c is worse")
        readiness.meet("b", of: .node)
        #expect(readiness.report.components["node"]?.reasons == ["c is worse"])
    }

    @Test func `the process is as well as the worst of its parts`() {
        var readiness = Readiness()
        #expect(readiness.report.status == .starting)
        for component in [Readiness.Component.process, .auth, .proxy, .node] { readiness.meet("all", of: component) }
        #expect(readiness.report.status == .ok)
        readiness.expect("hub", of: .tunnels, "no tunnel yet")
        #expect(readiness.report.status == .starting)
        readiness.expect("announcement", of: .node, "not announced yet")
        #expect(readiness.report.status == .recovering)
        readiness.fail("all", of: .proxy, "broken")
        #expect(readiness.report.status == .degraded)
        #expect(readiness.report.components.mapValues(\.status)["auth"] == .ok)
    }

    @Test func `a part of which nothing is asked any more is not there`() {
        var readiness = Readiness()
        readiness.meet("all", of: .process)
        readiness.fail("hub", of: .tunnels, "no tunnel")
        readiness.drop("hub", of: .tunnels)
        #expect(readiness.report == Readiness.Report(status: .ok, components: ["process": .init(status: .ok, reasons: [])]))
    }
}
