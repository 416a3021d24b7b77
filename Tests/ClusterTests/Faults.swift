import Base
import ClusterHarness
import ClusterModel
import Crypto
import EventLoop
import Testing

/// What goes wrong on the hosts of a topology, made on purpose. Hosts are named `CLUSTER/HOST`.
extension ClusterHarness {
    private func file(_ host: String, _ name: String) -> String { "\(directory)/data/\(host)/\(name)" }

    private func shell(_ script: String, _ arguments: String...) async throws {
        let outcome = try await runner.run("/bin/bash", ["-c", script, "bash"] + arguments)
        #expect(outcome.exit == .status(0), "\(script)\n\(outcome)")
    }

    private func process(of host: String) throws -> String {
        String(decoding: try FileIO.read(file(host, "teleport.pid")), as: UTF8.self).filter(\.isNumber)
    }

    /// Kills the host's process, and waits until it is gone.
    func kill(_ host: String) async throws {
        try await shell("kill -9 $1 && while kill -0 $1 2>/dev/null; do sleep 0.01; done", try process(of: host))
    }

    /// Kills the host's process and keeps it from being started again, until ``bringBack(_:)``.
    func takeDown(_ host: String) async throws {
        try FileIO.rename(file(host, "teleport.yaml"), to: file(host, "teleport.away"))
        try await kill(host)
    }

    func bringBack(_ host: String) throws {
        try FileIO.rename(file(host, "teleport.away"), to: file(host, "teleport.yaml"))
    }

    /// Its connections stay, and nothing on them is answered, until ``thaw(_:)``.
    func freeze(_ host: String) async throws {
        try await shell("kill -STOP $1", try process(of: host))
    }

    func thaw(_ host: String) async throws {
        try await shell("kill -CONT $1", try process(of: host))
    }

    /// Has it read its configuration again.
    func hangUp(_ host: String) async throws {
        try await shell("kill -HUP $1", try process(of: host))
    }

    func log(of host: String) throws -> String {
        String(decoding: try FileIO.read(file(host, "teleport.log")), as: UTF8.self)
    }

    /// Waits until `count` more lines of the host's log say `text`, or the first at all where that is 0.
    func waitForLog(of host: String, _ text: String, more count: Int = 0) async throws {
        let wanted = count == 0 ? 1 : count + (try log(of: host).ranges(of: text).count)
        try await shell(
            "for i in {1..1500}; do [ $(grep -cF -- \"$2\" \"$1\") -ge $3 ] && exit 0; sleep 0.02; done; exit 1",
            file(host, "teleport.log"), text,
            "\(wanted)")
    }

    /// Waits until `address`, `HOST:PORT`, takes connections.
    func waitUntilAnswering(_ address: String) async throws {
        let parts = address.split(separator: ":").map(String.init)
        try await shell(
            "for i in {1..1000}; do (exec 3<>/dev/tcp/$1/$2) 2>/dev/null && exit 0; sleep 0.02; done; exit 1", parts[0], parts[1])
    }

    /// Registers a node by hand, as for a server without an agent.
    ///
    /// - Returns: its UUID.
    @discardableResult
    func register(_ name: String, address: String, in cluster: String) async throws -> String {
        let uuid = SystemRandomness().uuid()
        try await list(node: name, uuid: uuid, address: address, in: cluster)
        return uuid
    }
}

/// Does what a user would do again and again, until it works.
///
/// - Returns: how long that took.
@discardableResult
func until(_ what: String, within limit: Duration = .seconds(30), _ works: () async throws -> Bool) async throws -> Duration {
    let clock = SystemClock()
    let start = clock.now()
    while try await !works() {
        guard clock.now() - start < limit else { throw TeleportError.connectionProblem("not after \(limit): \(what)") }
    }
    return clock.now() - start
}

/// Takes connections and never says anything on them.
final class SilentListener: Sendable {
    let address: String
    private let listener: LoopBound<Held>

    private final class Held {
        var listener: TCPListener?
        var streams: [TCPStream] = []
    }

    init(address: String, port: UInt16, on eventLoop: EventLoop) async throws {
        self.address = "\(address):\(port)"
        let place = SocketAddress(try #require(IPAddress(address)), port: port)
        listener = try await withCheckedThrowingContinuation { continuation in
            eventLoop.post { loop in
                continuation.resume(
                    with: Result {
                        let held = Held()
                        held.listener = try TCPListener(address: place, on: loop.inside) { [unowned held] in held.streams.append($0) }
                        return LoopBound(held, on: loop.inside)
                    })
            }
        }
    }
}

/// A user's session that goes on: it says what is typed.
struct EchoSession {
    let terminal: TerminalProgram

    init(_ person: Person, _ target: String) async throws {
        let harness = person.harness
        terminal = try await TerminalProgram(
            harness.programs.tsh, person.tshArguments + ["ssh", "\(harness.login)@\(target)", "echo armed; exec cat"],
            environment: harness.runner.environment, columns: 80, rows: 24, on: harness.eventLoop)
        try await terminal.expect("armed")
    }

    /// Types a line and waits for it to come back, beside the terminal's own echo.
    func check(_ line: String) async throws {
        terminal.type(line + "\n")
        try await terminal.expect("\(line)\r\n\(line)\r\n")
    }

    /// Waits until the client gives up the session.
    func expectCut() async throws {
        let (exit, shown) = try await terminal.end()
        #expect(exit == .status(255), "\(shown)")
        #expect(shown.contains("ERROR: "), "\(shown)")
    }
}
