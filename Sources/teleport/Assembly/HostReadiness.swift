import Diagnostics
import ReverseTunnel

/// What a service of this host needs of its auth server, as conditions of its readiness.
struct HostReadiness: Sendable {
    private let component: Readiness.Component
    private let diagnostics: Diagnostics

    private static let authServer = "auth server"
    private static let announcement = "announcement"

    init(_ component: Readiness.Component, _ diagnostics: Diagnostics) {
        self.component = component
        self.diagnostics = diagnostics
        diagnostics.change { readiness in
            readiness.expect(Self.authServer, of: component, "the auth server has not answered yet")
            readiness.expect(Self.announcement, of: component, "the \(component.rawValue) is not announced to the auth server yet")
        }
    }

    /// - Parameter isConnected: whether it answered the last question.
    func authServer(isConnected: Bool) {
        diagnostics.change { readiness in
            if isConnected { return readiness.meet(Self.authServer, of: component) }
            readiness.fail(Self.authServer, of: component, "the auth server does not answer; what it said last is still in force")
        }
    }

    func announced(_ isAnnounced: Bool) {
        diagnostics.change { readiness in
            if isAnnounced { return readiness.meet(Self.announcement, of: component) }
            readiness.fail(
                Self.announcement, of: component, "the auth server has not taken the last announcement of the \(component.rawValue)")
        }
    }
}

extension Diagnostics {
    /// One condition for each cluster that is to have a tunnel.
    func tunnels(_ standings: [String: TunnelStanding]) {
        change { readiness in
            for name in readiness.conditions(of: .tunnels) where standings[name] == nil { readiness.drop(name, of: .tunnels) }
            for (cluster, standing) in standings.sorted(by: { $0.key < $1.key }) {
                switch standing {
                case .connected: readiness.meet(cluster, of: .tunnels)
                case .connecting: readiness.expect(cluster, of: .tunnels, "no tunnel to a proxy of cluster \(cluster) yet")
                case .failing: readiness.fail(cluster, of: .tunnels, "no tunnel to any proxy of cluster \(cluster); it is dialled again")
                }
            }
        }
    }
}
