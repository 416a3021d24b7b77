/// A tunnel came or went: all that the loops tell each other, whatever number of sites there is.
package struct SiteChange: Sendable {
    package enum Event: Sendable {
        case came(TunnelPlace)
        /// The number of the tunnel.
        case left(UInt64)
    }

    package let cluster: String
    package let event: Event

    package init(cluster: String, event: Event) {
        self.cluster = cluster
        self.event = event
    }
}

/// Which tunnels lead to which site.
///
/// The directory has one, and the registry of every loop its own. It cannot be copied, so that no change ever costs a copy of it. Changes of several
/// loops may come in another order than they were made: in whatever order, the same changes make the same map. Only that a tunnel comes before it
/// leaves is asked for, and the loop that it is on says both.
package struct SiteMap: ~Copyable {
    /// The oldest first.
    private var places: [String: [TunnelPlace]] = [:]
    private(set) package var tunnelCount = 0

    package init() {}

    var siteCount: Int { places.count }

    /// Names of the sites that can be reached, in order.
    package var connected: [String] { places.keys.sorted() }

    package func isConnected(_ cluster: String) -> Bool { places[cluster] != nil }

    package func tunnels(to cluster: String) -> [TunnelPlace] { places[cluster] ?? [] }

    /// Every tunnel there is, as the changes that a map without any needs.
    var changes: [SiteChange] {
        places.flatMap { cluster, places in places.map { SiteChange(cluster: cluster, event: .came($0)) } }
    }

    package mutating func apply(_ change: SiteChange) {
        // Taken out, so that the list has one holder and changes where it is.
        var present = places.removeValue(forKey: change.cluster) ?? []
        tunnelCount -= present.count
        switch change.event {
        case .came(let place): Self.insert(place, &present)
        case .left(let number): present.removeAll { $0.number == number }
        }
        tunnelCount += present.count
        if !present.isEmpty { places[change.cluster] = present }
    }

    /// An agent has one tunnel: its newest.
    private static func insert(_ place: TunnelPlace, _ present: inout [TunnelPlace]) {
        guard !present.contains(where: { $0.agent == place.agent && $0.number > place.number }) else { return }
        present.removeAll { $0.agent == place.agent }
        present.insert(place, at: present.firstIndex { $0.number > place.number } ?? present.endIndex)
    }
}
