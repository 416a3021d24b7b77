import Base
import Config
import Crypto
import EventLoop
import Testing

@Suite("What fails, and what comes back", .timeLimit(.minutes(5)))
struct FaultTests {
    /// Host and what a person is told while it is down; nil: it is not missed by who has a certificate.
    static let hosts: [(cluster: String, host: String, says: String?)] = [
        ("east", "proxy", "east"), ("hub", "proxy", "127."), ("east", "db1", "db1"), ("hub", "auth", nil), ("east", "auth", nil),
    ]

    @Test func `a killed service is started again, and the same command works with nothing restarted by hand`() async throws {
        let harness = try ClusterHarness("two-sites")
        try await harness.ready()
        let person = try await harness.person()
        for (cluster, host, _) in Self.hosts {
            let kill = "kill -9 $(cat \(harness.directory)/data/\(cluster)/\(host)/teleport.pid)"
            let outcome = try await person.untilItWorks(after: kill, "ssh", "\(harness.login)@db1@east", "echo back")
            #expect(outcome.exit == .status(0) && outcome.text.hasSuffix("back\n"), "\(cluster)/\(host): \(outcome)")
        }
        #expect(try await harness.stop() == .status(0))
    }

    @Test func `while a service is down, what needs it fails by name, what does not goes on, and all is well when it is back`() async throws {
        let harness = try ClusterHarness("two-sites")
        try await harness.ready()
        let person = try await harness.person()
        for (cluster, host, says) in Self.hosts {
            let folder = "\(harness.directory)/data/\(cluster)/\(host)"
            // Without its file it cannot start again.
            let kill = "mv \(folder)/teleport.yaml \(folder)/away; pid=$(cat \(folder)/teleport.pid); kill -9 $pid; while kill -0 $pid; do :; done"
            _ = try await harness.runner.run("/bin/bash", ["-c", kill])
            let down = try await person.tsh("ssh", "\(harness.login)@db1@east", "echo up")
            if let says {
                #expect(down.exit == .status(255), "\(cluster)/\(host): \(down)")
                #expect(down.errors.hasPrefix("ERROR: ") && down.errors.contains(says), "\(cluster)/\(host): \(down)")
                #expect(down.errors.count(where: \.isNewline) == 1, "\(cluster)/\(host): \(down)")
            } else {
                #expect(down.exit == .status(0) && down.text == "up\n", "\(cluster)/\(host): \(down)")
                let status = try await harness.tctl(cluster, "status")
                #expect(status.exit == .status(1) && status.errors.hasPrefix("ERROR: "), "\(cluster)/\(host): \(status)")
            }
            let up = try await person.untilItWorks(
                after: "mv \(folder)/away \(folder)/teleport.yaml", "ssh", "\(harness.login)@db1@east", "echo back")
            #expect(up.exit == .status(0), "\(cluster)/\(host): \(up)")
        }
    }

    @Test func `the hosts end when the topology's own process is killed`() async throws {
        let harness = try ClusterHarness("two-sites")
        try await harness.ready()
        let script = """
            pids=$(cat \(harness.directory)/data/*/*/teleport.pid)
            set -- $pids
            kill -9 $(ps -o ppid= -p $1)
            for pid in $pids; do while kill -0 $pid 2>/dev/null; do sleep 0.02; done; echo ended; done
            """
        let outcome = try await harness.runner.run("/bin/bash", ["-c", script], timeout: .seconds(30))
        #expect(outcome.lines == Array(repeating: "ended", count: 7), "\(outcome)")
    }

    @Test func `a node that refuses, and one that never answers, fail for their user alone`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        try await harness.list(node: "refusing", uuid: SystemRandomness().uuid(), address: "\(harness.freeAddress(2)):1", in: "east")
        let refused = try await person.tsh("ssh", "\(harness.login)@refusing@east", "true")
        #expect(refused.exit == .status(255) && refused.errors.contains("refusing"), "\(refused)")

        // A listener whose queue nobody empties takes connections and says nothing.
        let silent = try await SilentListener(address: harness.freeAddress(3), harness.eventLoop)
        try await harness.list(node: "silent", uuid: SystemRandomness().uuid(), address: silent.address, in: "east")
        async let hanging = person.tsh("ssh", "\(harness.login)@silent@east", "true")
        let other = try await person.tsh("ssh", "\(harness.login)@db1@east", "echo fine")
        #expect(other.text == "fine\n", "\(other)")
        let outcome = try await hanging
        #expect(outcome.exit == .status(255) && outcome.errors.contains("silent"), "\(outcome)")
        silent.close()
    }

    @Test func `a name that two nodes bear is an error with both UUIDs, and a UUID leads to either`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let uuids = [SystemRandomness().uuid(), SystemRandomness().uuid()]
        for (index, uuid) in uuids.enumerated() {
            try await harness.list(node: "twin", uuid: uuid, address: "\(harness.freeAddress(UInt8(4 + index))):22", in: "east")
        }
        let outcome = try await person.tsh("ssh", "\(harness.login)@twin@east", "true")
        #expect(outcome.exit == .status(255), "\(outcome)")
        for uuid in uuids { #expect(outcome.errors.contains(uuid), "\(outcome)") }
        let json = try await person.tsh("ls", "--cluster=east", "--format=json", "role=db")
        let uuid = try #require(json.text.firstMatch(of: /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/)).0
        let direct = try await person.tsh("ssh", "\(harness.login)@\(uuid)@east", "echo $SSH_TELEPORT_HOST_UUID")
        #expect(direct.text == "\(uuid)\n", "\(direct)")
    }

    @Test func `a certificate that has expired is refused at the door`() async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person(ttl: "1s")
        // Until the second is over, as the system's clock has it.
        _ = try await harness.runner.run("/bin/sleep", ["1.5"])
        let tsh = try await person.tsh("ssh", "\(harness.login)@db1@east", "true")
        #expect(tsh.exit == .status(255) && tsh.errors.hasPrefix("ERROR: "), "\(tsh)")
        for route in Person.Route.allCases {
            let ssh = try await person.ssh(route, "db1", "true")
            #expect(ssh.exit == .status(255) && ssh.errors.contains("Permission denied"), "\(ssh)")
        }
    }
}

extension Person {
    /// Runs `after` in a shell, then `tsh` again and again until it succeeds.
    func untilItWorks(after: String, _ arguments: String...) async throws -> Outcome {
        let words = ([harness.programs.tsh] + tshArguments + arguments).map { "'\($0)'" }.joined(separator: " ")
        let script = "\(after); for i in {1..100}; do \(words) 2>\(folder)/errors && exit 0; sleep 0.1; done; cat \(folder)/errors >&2; exit 1"
        return try await harness.runner.run("/bin/bash", ["-c", script])
    }
}

extension ClusterHarness {
    /// Lists a node that is no teleport process of ours.
    func list(node: String, uuid: String, address: String, labels: String = "{}", in cluster: String) async throws {
        let resource = """
            kind: node
            version: v1
            metadata: {name: \(uuid)}
            spec: {hostname: \(node), addr: "\(address)", labels: \(labels)}

            """
        let path = "\(directory)/\(uuid).yaml"
        try FileIO.write(Array(resource.utf8), to: path)
        let created = try await tctl(cluster, "create", path)
        #expect(created.exit == .status(0), "\(created)")
    }
}

/// Takes connections and never says a word.
final class SilentListener: Sendable {
    let address: String
    private let listener: LoopBound<TCPListener>

    init(address: String, _ eventLoop: EventLoop) async throws {
        let ip = try #require(IPAddress(address))
        (listener, self.address) = try await withCheckedThrowingContinuation { continuation in
            eventLoop.post { loop in
                continuation.resume(
                    with: Result {
                        let listener = try TCPListener(address: SocketAddress(ip, port: 0), on: loop.inside) { _ in }
                        return (LoopBound(listener, on: loop.inside), "\(listener.address)")
                    })
            }
        }
    }

    func close() {
        let listener = listener
        listener.eventLoop.post { loop in listener.value(on: loop)?.close() }
    }
}
