import Base
import EventLoop
import Programs

/// The run, step by step; each prints its figures. Fails where a tunnel stays away or a channel was lost.
final class LoadRun {
    private let plan: RunCommand
    private let fleet: Fleet
    private let user: LoadUser
    private let loop: Loop

    private static let userPort: UInt16 = 3023

    init(_ plan: RunCommand, on eventLoop: isolated EventLoop) throws {
        self.plan = plan
        loop = eventLoop.inside
        func text(_ path: String) throws -> String { String(decoding: try FileIO.read(path, max: 1 << 20), as: UTF8.self) }
        fleet = try Fleet(plan.hub, on: loop)
        user = try LoadUser(
            fleet, at: SocketAddress(try plan.hub.address(), port: Self.userPort), key: try text(plan.identity),
            certificate: try text("\(plan.identity)-cert.pub"))
    }

    func run(_ eventLoop: isolated EventLoop) async throws {
        var proxy = try running()
        let before = try proxy.memoryKiB
        try say("sites \(plan.hub.sites), memory of the proxy before: \(before) KiB")

        let cpu = try proxy.cpuTime
        fleet.dial()
        try await fleet.allConnected(eventLoop)
        let spent = (try proxy.cpuTime - cpu) / .milliseconds(1) / Double(plan.hub.sites)
        try say(
            "connected: \(Histogram(fleet.arrivals)), attempts that failed: \(fleet.failures), \(rounded(spent)) ms of the processor a tunnel"
        )
        try await idle(eventLoop, proxy, before)
        try await ask(eventLoop)
        try say("memory after: \(perTunnel(try proxy.memoryKiB, before))")

        fleet.begin()
        proxy.kill()
        while fleet.connected > 0 { try await eventLoop.sleep(for: .milliseconds(10)) }
        try await fleet.allConnected(eventLoop)
        try say("back after the proxy was killed: \(Histogram(fleet.arrivals)), attempts that failed: \(fleet.failures)")
        proxy = try running()
        let memory = try proxy.memoryKiB
        try say("memory of the new one: \(memory) KiB, \(rounded(Double(memory) / Double(plan.hub.sites))) KiB a site in all")
    }

    /// Nothing but heartbeats.
    private func idle(_ eventLoop: isolated EventLoop, _ proxy: ProcessFigures, _ before: Int) async throws {
        // The first heartbeats, and what the coming of so many leaves to do.
        try await eventLoop.sleep(for: .seconds(10))
        try say("memory: \(perTunnel(try proxy.memoryKiB, before))")
        let (cpu, begin) = (try proxy.cpuTime, loop.now)
        try await eventLoop.sleep(for: .seconds(plan.idle))
        let share = (try proxy.cpuTime - cpu) / (loop.now - begin)
        try say("idle: \(rounded(share * 100)) % of a core over \(plan.idle) s")
    }

    private func perTunnel(_ memory: Int, _ before: Int) -> String {
        "\(memory) KiB, \(rounded(Double(memory - before) / Double(plan.hub.sites))) KiB a tunnel"
    }

    private func ask(_ eventLoop: isolated EventLoop) async throws {
        try await user.logIn(eventLoop)
        let (begin, length) = (loop.now, Duration.seconds(plan.minutes * 60))
        var asked = 0
        while loop.now - begin < length {
            let due = min(plan.rate, Int((loop.now - begin) / .seconds(1) * Double(plan.rate)) - asked)
            for _ in 0..<max(0, due) { user.ask() }
            asked += max(0, due)
            try await eventLoop.sleep(for: .milliseconds(5))
        }
        let end = loop.now
        while user.open > 0, loop.now - end < .seconds(20) { try await eventLoop.sleep(for: .milliseconds(10)) }
        user.logOut()
        try say("channels: \(asked) asked for in \(plan.minutes) minutes, from the open to the echo: \(Histogram(user.latencies))")
        guard user.failures.isEmpty, user.open == 0, fleet.connected == plan.hub.sites else {
            let failures = user.failures.sorted { $0.key < $1.key }.map { "\($0.value) times: \($0.key)" }
            throw TeleportError.connectionProblem(
                "\(user.open) channels without an answer, \(plan.hub.sites - fleet.connected) tunnels lost; \(failures.joined(separator: "; "))"
            )
        }
    }

    private func running() throws(TeleportError) -> ProcessFigures {
        guard let proxy = try ProcessFigures.running(config: plan.config) else {
            throw .notFound("no process runs with -c \(plan.config)")
        }
        return proxy
    }

    /// At once, so that who waits sees how far it is.
    private func say(_ line: String) throws(TeleportError) { try FileIO.write(Array("\(line)\n".utf8), descriptor: 1) }
}

func rounded(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(abs(tenths % 10))"
}

/// How durations are spread: percentiles, and how many fell into each of a few equal parts.
struct Histogram: CustomStringConvertible {
    private let sorted: [Duration]
    private static let parts = 12

    init(_ durations: [Duration]) {
        sorted = durations.sorted()
    }

    private func milliseconds(_ share: Double) -> String {
        rounded(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))] / .milliseconds(1))
    }

    var description: String {
        guard let last = sorted.last, last > .zero else { return "none" }
        var counts = [Int](repeating: 0, count: Self.parts)
        for duration in sorted { counts[min(Self.parts - 1, Int(duration / last * Double(Self.parts)))] += 1 }
        return "p50 \(milliseconds(0.5)) ms, p99 \(milliseconds(0.99)) ms, all \(milliseconds(1)) ms, in twelfths of that \(counts)"
    }
}
