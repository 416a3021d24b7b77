/// Whether the parts of a process can do their work, and what keeps them from it: a machine of conditions that are met or not.
///
///     starting ──all met──▶ ok ──one fails──▶ degraded ──one is met again──▶ recovering ──all met──▶ ok
///
/// A component that was never ok is starting, whatever fails. Nothing here has a clock: each change is told when it happens.
package struct Readiness: Sendable {
    /// A part of the process, as operators know it.
    package enum Component: String, CaseIterable, Sendable {
        case process, auth, proxy, node
        /// The tunnels that this host keeps to its root clusters.
        case tunnels
    }

    /// In the order in which the worst is found.
    package enum Status: String, Codable, Comparable, Sendable {
        case ok, starting, recovering, degraded

        private var severity: Int {
            switch self {
            case .ok: 0
            case .starting: 1
            case .recovering: 2
            case .degraded: 3
            }
        }

        package static func < (left: Status, right: Status) -> Bool { left.severity < right.severity }
    }

    /// What `/readyz` says.
    package struct Report: Codable, Equatable, Sendable {
        package struct Part: Codable, Equatable, Sendable {
            package var status: Status
            /// In words for whoever runs this; empty where all is well.
            package var reasons: [String]

            package init(status: Status, reasons: [String]) {
                self.status = status
                self.reasons = reasons
            }
        }

        package var status: Status
        package var components: [String: Part]

        package init(status: Status, components: [String: Part]) {
            self.status = status
            self.components = components
        }
    }

    private struct Condition {
        let name: String
        /// Why it is not met; nil where it is.
        var reason: String?
        var hasFailed = false
    }

    private struct State {
        var conditions: [Condition] = []
        var hasBeenOK = false
        /// Whether something has been met since the last failure.
        var isMending = false

        var status: Status {
            if conditions.allSatisfy({ $0.reason == nil }) { return .ok }
            if !hasBeenOK { return .starting }
            return isMending || !conditions.contains(where: \.hasFailed) ? .recovering : .degraded
        }
    }

    private var components: [Component: State] = [:]

    package init() {}

    /// One more condition, which has yet to be met; nothing where it is known.
    package mutating func expect(_ name: String, of component: Component, _ reason: String) {
        change(component) { state in
            if !state.conditions.contains(where: { $0.name == name }) { state.conditions.append(Condition(name: name, reason: reason)) }
        }
    }

    package mutating func meet(_ name: String, of component: Component) {
        change(component) { state in
            guard let index = state.conditions.firstIndex(where: { $0.name == name }) else {
                state.conditions.append(Condition(name: name, reason: nil))
                return
            }
            if state.conditions[index].reason != nil { state.isMending = true }
            state.conditions[index] = Condition(name: name, reason: nil)
        }
    }

    package mutating func fail(_ name: String, of component: Component, _ reason: String) {
        change(component) { state in
            let failed = Condition(name: name, reason: reason, hasFailed: true)
            state.isMending = false
            if let index = state.conditions.firstIndex(where: { $0.name == name }) {
                state.conditions[index] = failed
            } else {
                state.conditions.append(failed)
            }
        }
    }

    /// Nobody asks for it any more.
    package mutating func drop(_ name: String, of component: Component) {
        change(component) { state in state.conditions.removeAll { $0.name == name } }
        if components[component]?.conditions.isEmpty == true { components[component] = nil }
    }

    /// The conditions of a component, by name.
    package func conditions(of component: Component) -> [String] { components[component]?.conditions.map(\.name) ?? [] }

    package var report: Report {
        let parts = components.map { component, state in
            (component.rawValue, Report.Part(status: state.status, reasons: state.conditions.compactMap(\.reason)))
        }
        return Report(
            status: parts.map(\.1.status).max() ?? .starting, components: Dictionary(parts) { first, _ in first })
    }

    private mutating func change(_ component: Component, _ body: (inout State) -> Void) {
        body(&components[component, default: State()])
        if components[component]?.status == .ok {
            components[component]?.hasBeenOK = true
            components[component]?.isMending = false
        }
    }
}

extension Readiness.Status {
    /// 400 for what mends by itself, 503 for what does not do its work.
    var httpStatus: Int {
        switch self {
        case .ok: 200
        case .starting, .recovering: 400
        case .degraded: 503
        }
    }
}
