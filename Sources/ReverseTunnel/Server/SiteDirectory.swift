internal import Base
internal import EventLoop

/// Which tunnels lead to which site, at one moment.
struct SiteMap: Sendable {
    /// Grows with every change.
    fileprivate(set) var version: UInt64 = 0
    /// The oldest first.
    fileprivate(set) var sites: [String: [TunnelPlace]] = [:]
}

/// The sites whose agents are connected to this proxy, on whatever loop.
///
/// The registries of all loops write here when an agent comes or goes; each change is posted to every one of them as a ``SiteMap``, which they read
/// without a lock.
package final class SiteDirectory: Sendable {
    /// A site runs a handful of agents; more are a fault or an attack.
    package static let tunnelsPerSiteMax = 64

    private let state = Lock(State())

    private struct State {
        var map = SiteMap()
        var lastNumber: UInt64 = 0
        var registries: [LoopBound<Weak<SiteRegistry>>] = []
        var onChange: (@Sendable () -> Void)?
    }

    package init() {}

    /// Names of the sites that can be reached, in order.
    package var connected: [String] { state.withLock { $0.map.sites.keys.sorted() } }

    /// - Parameter body: is told, on any loop, whenever what is connected has changed.
    package func onChange(_ body: (@Sendable () -> Void)?) {
        state.withLock { $0.onChange = body }
    }

    // MARK: For the registries

    func join(_ registry: LoopBound<Weak<SiteRegistry>>) -> SiteMap {
        state.withLock { state in
            state.registries.append(registry)
            return state.map
        }
    }

    /// - Returns: the new tunnel's place, those that it takes the place of, and the map from now on.
    func add(
        _ cluster: String, agent: String, in registry: LoopBound<Weak<SiteRegistry>>
    ) throws(TeleportError) -> (place: TunnelPlace, replaced: [TunnelPlace], map: SiteMap) {
        try change { (state) throws(TeleportError) in
            var places = state.map.sites[cluster] ?? []
            let replaced = places.filter { $0.agent == agent }
            places.removeAll { $0.agent == agent }
            guard places.count < Self.tunnelsPerSiteMax else {
                throw .limitExceeded("site \(cluster) has \(places.count) tunnels already")
            }
            state.lastNumber += 1
            let place = TunnelPlace(number: state.lastNumber, agent: agent, registry: registry)
            state.map.sites[cluster] = places + [place]
            return (place, replaced, state.map)
        }
    }

    func remove(_ number: UInt64, of cluster: String) -> SiteMap {
        change { state in
            let rest = (state.map.sites[cluster] ?? []).filter { $0.number != number }
            state.map.sites[cluster] = rest.isEmpty ? nil : rest
            return state.map
        }
    }

    private func change<Result: Sendable, Failure: Error>(_ body: (inout State) throws(Failure) -> Result) throws(Failure) -> Result {
        let (result, map, registries, onChange) = try state.withLock { (state) throws(Failure) in
            state.map.version += 1
            let result = try body(&state)
            return (result, state.map, state.registries, state.onChange)
        }
        for registry in registries {
            registry.eventLoop.post { loop in registry.value(on: loop)?.object?.take(map) }
        }
        onChange?()
        return result
    }
}
