import Base
import EventLoop
import ReverseTunnel
import Testing

@Suite("The directory of sites")
struct SiteDirectoryTests {
    private let registry = LoopBound<Weak<SiteRegistry>>(EventLoop(name: "nowhere"))

    private func place(_ number: UInt64, _ agent: String) -> TunnelPlace { TunnelPlace(number: number, agent: agent, registry: registry) }

    private func came(_ number: UInt64, _ agent: String, to cluster: String = "east") -> SiteChange {
        SiteChange(cluster: cluster, event: .came(place(number, agent)))
    }

    private func left(_ number: UInt64, of cluster: String = "east") -> SiteChange { SiteChange(cluster: cluster, event: .left(number)) }

    /// The numbers of the tunnels to `east`.
    private func after(_ changes: [SiteChange]) -> [UInt64] {
        var map = SiteMap()
        for change in changes { map.apply(change) }
        let numbers = map.tunnels(to: "east").map(\.number)
        #expect(map.tunnelCount == numbers.count && map.isConnected("east") == !numbers.isEmpty)
        return numbers
    }

    @Test func `the newest tunnel is the last, whatever order the changes come in`() {
        #expect(after([came(1, "a"), came(2, "b")]) == [1, 2])
        #expect(after([came(2, "b"), came(1, "a")]) == [1, 2])
        #expect(after([came(1, "a"), came(2, "b"), left(1)]) == [2])
        #expect(after([came(1, "a"), left(1)]).isEmpty)
    }

    @Test func `an agent's newest tunnel takes the place of its older one, whichever is heard of first`() {
        #expect(after([came(1, "a"), came(2, "a")]) == [2])
        #expect(after([came(2, "a"), came(1, "a")]) == [2])
        #expect(after([came(2, "a"), came(1, "a"), left(1)]) == [2])
        #expect(after([came(1, "a"), came(2, "a"), left(1), left(2)]).isEmpty)
    }

    @Test func `a loop that joins late is told what is there`() throws {
        let directory = SiteDirectory()
        _ = try directory.add("east", agent: "a", in: registry)
        _ = try directory.add("west", agent: "b", in: registry)
        var map = SiteMap()
        for change in directory.follow({ _ in }) { map.apply(change) }
        #expect(map.connected == ["east", "west"])
    }

    /// What two loops were told.
    private final class Told: Sendable {
        private let count = Lock(0)
        func add() { count.withLock { $0 += 1 } }
        func take() -> Int {
            count.withLock { count in
                defer { count = 0 }
                return count
            }
        }
    }

    @Test(arguments: [10, 1_000, 10_000, 100_000])
    func `a site's coming and going is one change each to every loop, however many sites there are`(sites: Int) throws {
        let directory = SiteDirectory()
        let told = Told()
        for _ in 0..<2 { _ = directory.follow { _ in told.add() } }
        for number in 0..<sites { _ = try directory.add("site\(number)", agent: "a\(number)", in: registry) }
        #expect(told.take() == 2 * sites)
        let (place, replaced) = try directory.add("newcomer", agent: "a", in: registry)
        #expect(told.take() == 2 && replaced.isEmpty && directory.isConnected("newcomer"))
        directory.remove(place.number, of: "newcomer")
        #expect(told.take() == 2 && !directory.isConnected("newcomer") && directory.isConnected("site\(sites - 1)"))
    }

    @Test func `a site has no more tunnels than one may have, and a returning agent is not one more`() throws {
        let directory = SiteDirectory()
        for number in 0..<SiteDirectory.tunnelsPerSiteMax { _ = try directory.add("east", agent: "a\(number)", in: registry) }
        #expect(throws: TeleportError.self) { try directory.add("east", agent: "one more", in: registry) }
        #expect(try directory.add("east", agent: "a0", in: registry).replaced.map(\.number) == [1])
    }
}
