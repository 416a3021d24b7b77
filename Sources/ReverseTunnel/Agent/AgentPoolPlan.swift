package import Base

/// A tunnel server that an agent should be connected to.
package struct TunnelEndpoint: Hashable, Sendable {
    /// The root cluster whose proxy answers there.
    package let cluster: String
    /// `HOST:PORT` of its tunnel server.
    package let address: String

    package init(cluster: String, address: String) {
        self.cluster = cluster
        self.address = address
    }
}

/// What is there of one endpoint.
package enum AgentState: Equatable, Sendable {
    case connecting
    case connected
    /// The last attempt ended; the next may begin at `retryAt`.
    case waiting(retryAt: Instant)
}

/// How it stands with the tunnels to one cluster; one that is up is enough.
package enum TunnelStanding: Equatable, Sendable {
    /// Nothing has failed yet.
    case connecting
    case connected
    case failing
}

package enum AgentPoolAction: Equatable, Sendable {
    case dial(TunnelEndpoint)
    case stop(TunnelEndpoint)
}

/// Which tunnels to dial and which to end: a pure function of what is wanted, what is there and the time.
///
/// Run by a timer and by every change; running it twice does no more than running it once.
package enum AgentPoolPlan {
    /// An agent never dials more proxies than this, whatever a root cluster announces.
    package static let endpointsMax = 256

    /// - Returns: one for each cluster that is dialled.
    package static func standings(present: [TunnelEndpoint: AgentState]) -> [String: TunnelStanding] {
        var standings: [String: TunnelStanding] = [:]
        for (endpoint, state) in present {
            switch (state, standings[endpoint.cluster]) {
            case (.connected, _): standings[endpoint.cluster] = .connected
            case (_, .connected?): break
            case (.waiting, _): standings[endpoint.cluster] = .failing
            case (.connecting, _): standings[endpoint.cluster] = standings[endpoint.cluster] ?? .connecting
            }
        }
        return standings
    }

    package static func plan(
        wanted: [TunnelEndpoint], present: [TunnelEndpoint: AgentState], now: Instant
    ) -> [AgentPoolAction] {
        var actions: [AgentPoolAction] = []
        let kept = Set(wanted.prefix(endpointsMax))
        for endpoint in present.keys.filter({ !kept.contains($0) }).sorted(by: inOrder) {
            actions.append(.stop(endpoint))
        }
        for endpoint in kept.sorted(by: inOrder) {
            switch present[endpoint] {
            case nil: actions.append(.dial(endpoint))
            case .waiting(let retryAt) where retryAt <= now: actions.append(.dial(endpoint))
            case .waiting, .connecting, .connected: break
            }
        }
        return actions
    }

    /// When the plan has to be made again although nothing changed, or nil.
    package static func nextDue(present: [TunnelEndpoint: AgentState]) -> Instant? {
        present.values.compactMap { state in
            switch state {
            case .waiting(let retryAt): retryAt
            case .connecting, .connected: nil
            }
        }.min()
    }

    private static func inOrder(_ left: TunnelEndpoint, _ right: TunnelEndpoint) -> Bool {
        (left.cluster, left.address) < (right.cluster, right.address)
    }
}
