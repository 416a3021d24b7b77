import Base
import EventLoop
import ReverseTunnel

/// The tables of sites: none of the figures may grow with how many there are.
enum SiteBenchmarks {
    private static let counts = [10, 1_000, 10_000, 100_000]

    /// One site comes and goes, and two loops hear of both.
    static let changes = Benchmark(name: "site-changes", unit: "1/s") {
        counts.map { sites in
            let world = World(sites)
            let rate = Benchmark.rate(of: 10_000) {
                for _ in 0..<10_000 { world.comeAndGo() }
            }
            return Benchmark.Result(what: "\(sites) sites", median: rate)
        }
    }

    static let routes = Benchmark(name: "site-routes", unit: "1/s") {
        counts.map { sites in
            let world = World(sites)
            let rate = Benchmark.rate(of: 100_000) {
                for number in 0..<100_000 { world.find(number % sites) }
            }
            return Benchmark.Result(what: "\(sites) sites", median: rate)
        }
    }

    private final class Loops: Sendable {
        let maps = [Lock(SiteMap()), Lock(SiteMap())]
    }

    private struct World {
        let directory = SiteDirectory()
        let loops = Loops()
        let names: [String]
        let registry = LoopBound<Weak<SiteRegistry>>(EventLoop(name: "nowhere"))

        init(_ sites: Int) {
            names = (0..<sites).map { "site\($0)" }
            let loops = loops
            _ = directory.follow { change in
                for map in loops.maps { map.withLock { $0.apply(change) } }
            }
            for name in names { _ = try? directory.add(name, agent: "agent.\(name)", in: registry) }
        }

        func comeAndGo() {
            guard let place = try? directory.add("newcomer", agent: "agent", in: registry).place else { return }
            directory.remove(place.number, of: "newcomer")
        }

        func find(_ number: Int) {
            let found = loops.maps[0].withLock { $0.tunnels(to: names[number]).count }
            precondition(found == 1, "a site is missing")
        }
    }
}
