package import Base
package import EventLoop

/// How many connections one address has at a time.
package struct ListenerLimits: Sendable, Equatable {
    package var total: Int
    package var perAddress: Int
    /// Without a user yet: what strangers can hold together.
    package var unauthenticated: Int
    /// What one address can hold of that, so that a single stranger leaves room for the others.
    var unauthenticatedPerAddress: Int { max(1, unauthenticated / 2) }

    package init(total: Int = 10_000, perAddress: Int = 1_000, unauthenticated: Int = 200) {
        self.total = total
        self.perAddress = perAddress
        self.unauthenticated = unauthenticated
    }
}

/// One address on which an ``SSHListener`` of each loop accepts, and the limits that they keep together.
///
/// Asked when a connection comes, when its user has logged in and when it has gone; never for its bytes.
package final class SharedListener: Sendable {
    let sockets: ListeningSockets
    private let limits: ListenerLimits
    private let state = Lock(State())

    enum Admission: Equatable {
        case admitted
        /// The address of the peer holds as much as one may.
        case refused
        /// There is no room for anybody; the listeners are told when there is.
        case full
    }

    private struct State {
        var connections = 0
        var unauthenticated = 0
        var byAddress: [IPAddress: Held] = [:]
        var listeners: [LoopBound<Weak<SSHListener>>] = []
        var waiting: [LoopBound<() -> Void>] = []

        func isFull(_ limits: ListenerLimits) -> Bool { connections >= limits.total || unauthenticated >= limits.unauthenticated }

        mutating func forgetStranger(_ ip: IPAddress) {
            unauthenticated -= 1
            byAddress[ip]?.unauthenticated -= 1
        }
    }

    /// What one address holds.
    private struct Held {
        var connections = 0
        var unauthenticated = 0
    }

    /// - Parameter listeners: how many will accept here.
    package init(address: SocketAddress, limits: ListenerLimits = ListenerLimits(), listeners: Int = 1) throws(TeleportError) {
        sockets = try ListeningSockets(on: address, count: listeners)
        self.limits = limits
    }

    /// With the port that the kernel chose where 0 was asked for.
    package var address: SocketAddress { sockets.address }

    package var connectionCount: Int { state.withLock { $0.connections } }

    /// Runs `body` on `loop` once nobody who has logged in is left.
    package func whenIdle(on loop: Loop, _ body: @escaping () -> Void) {
        let bound = LoopBound(body, on: loop)
        change { $0.waiting.append(bound) }
    }

    // MARK: For the listeners

    var isFull: Bool { state.withLock { $0.isFull(limits) } }

    func join(_ listener: LoopBound<Weak<SSHListener>>) {
        state.withLock { $0.listeners.append(listener) }
    }

    func admit(_ ip: IPAddress) -> Admission {
        state.withLock { state in
            if state.isFull(limits) { return .full }
            let held = state.byAddress[ip] ?? Held()
            guard held.connections < limits.perAddress, held.unauthenticated < limits.unauthenticatedPerAddress else { return .refused }
            state.byAddress[ip] = Held(connections: held.connections + 1, unauthenticated: held.unauthenticated + 1)
            state.connections += 1
            state.unauthenticated += 1
            return .admitted
        }
    }

    func loggedIn(_ ip: IPAddress) {
        change { $0.forgetStranger(ip) }
    }

    /// - Parameter isStranger: whether the user had not logged in.
    func left(_ ip: IPAddress, isStranger: Bool) {
        change { state in
            if isStranger { state.forgetStranger(ip) }
            state.connections -= 1
            state.byAddress[ip]?.connections -= 1
            if state.byAddress[ip]?.connections == 0 { state.byAddress[ip] = nil }
        }
    }

    /// Tells the listeners where there is room again, and those who wait where nobody is left.
    private func change(_ body: (inout State) -> Void) {
        let (listeners, waiting) = state.withLock { state in
            let wasFull = state.isFull(limits)
            body(&state)
            let hasRoom = wasFull && !state.isFull(limits)
            var idle: [LoopBound<() -> Void>] = []
            if state.connections == state.unauthenticated { swap(&idle, &state.waiting) }
            return (hasRoom ? state.listeners : [], idle)
        }
        for listener in listeners { listener.eventLoop.post { listener.value(on: $0)?.object?.adjust() } }
        for bound in waiting { bound.eventLoop.post { bound.value(on: $0)?() } }
    }
}
