import Base
import ClusterHarness
import EventLoop
import Testing

@Suite("teleport start --topology", .serialized, .timeLimit(.minutes(5)))
struct TopologyTests {
    @Test func `hosts that are killed one after the other are started again, and nothing is done by hand`() async throws {
        let harness = try ClusterHarness("two-sites")
        try await harness.ready()
        let person = try await harness.person()
        for host in ["east/proxy", "hub/proxy", "hub/auth", "east/auth", "east/db1"] {
            let kill = "kill -9 $(cat \(harness.directory)/data/\(host)/teleport.pid)"
            let outcome = try await person.untilItWorks(after: kill, "ssh", "\(harness.login)@db1@east", "echo back")
            #expect(outcome.exit == .status(0) && outcome.text == "back\n", "\(host): \(outcome)")
        }
        #expect(try await harness.stop() == .status(0))
    }

    @Test func `a proxy that is told to stop takes nobody in, and lets the sessions that pass through it end first`() async throws {
        let harness = try ClusterHarness("two-sites")
        try await harness.ready()
        let person = try await harness.person()
        let folder = "\(harness.directory)/data/hub/proxy"
        let tsh = ([harness.programs.tsh] + person.tshArguments + ["ssh", "\(harness.login)@db1@east"]).joined(separator: " ")
        // The session ends when a proxy told to stop has closed its listener, which a new proxy cannot have opened again.
        let script = """
            pid=$(cat \(folder)/teleport.pid)
            mkfifo \(person.folder)/input
            \(tsh) 'echo begun; read line; echo $line; exit 7' <\(person.folder)/input >\(person.folder)/output &
            exec 3>\(person.folder)/input
            while ! grep -q begun \(person.folder)/output; do sleep 0.02; done
            kill -TERM $pid
            while (exec 4<>/dev/tcp/\(person.proxyHost)/3023) 2>/dev/null; do sleep 0.02; done
            kill -0 $pid && echo still there
            echo last words >&3
            wait $!
            echo $?
            cat \(person.folder)/output
            while kill -0 $pid 2>/dev/null; do sleep 0.02; done
            """
        let outcome = try await harness.runner.run("/bin/bash", ["-c", script], timeout: .seconds(60))
        #expect(outcome.lines == ["still there", "7", "begun", "last words"], "\(outcome)")
    }

    @Test func `the hosts end when the process that runs them is killed`() async throws {
        let harness = try ClusterHarness("two-sites")
        try await harness.ready()
        let script = """
            set -- $(cat \(harness.directory)/data/*/*/teleport.pid)
            kill -9 $(ps -o ppid= -p $1)
            for pid in "$@"; do while kill -0 $pid 2>/dev/null; do sleep 0.02; done; echo ended; done
            """
        let outcome = try await harness.runner.run("/bin/bash", ["-c", script], timeout: .seconds(60))
        #expect(outcome.lines == Array(repeating: "ended", count: 7), "\(outcome)")
    }

    @Test func `authorities, trust and nodes are those of before when it is started again`() async throws {
        let harness = try ClusterHarness("two-sites")
        try await harness.ready()
        let person = try await harness.person()
        let before = try await person.tsh("ssh", "\(harness.login)@db1@east", "echo $SSH_TELEPORT_HOST_UUID")
        let stop = """
            touch \(harness.directory)/again
            pid=$(cat \(harness.directory)/data/east/db1/teleport.pid)
            kill -TERM $(ps -o ppid= -p $pid)
            while kill -0 $pid 2>/dev/null; do sleep 0.02; done
            """
        let after = try await person.untilItWorks(after: stop, "ssh", "\(harness.login)@db1@east", "echo $SSH_TELEPORT_HOST_UUID")
        #expect(after.exit == .status(0) && after.text == before.text && after.text.count == 37, "\(before)\n\(after)")
    }

    @Test func `a port that is taken is an error with the host and the end of its log`() async throws {
        let harness = try await ClusterHarness.shared()
        let copy = "\(harness.directory)/second"
        let outcome = try await harness.runner.run(
            harness.programs.teleport, ["start", "--topology", "\(harness.directory)/topology.yaml", "--data-dir", copy])
        #expect(outcome.exit == .status(1) && outcome.output.isEmpty, "\(outcome)")
        #expect(outcome.errors.hasPrefix("ERROR: host ") && outcome.errors.contains("address already in use"), "\(outcome)")
        #expect(outcome.errors.count(where: \.isNewline) == 1, "\(outcome)")
    }

    @Test func `a data directory runs one topology at a time`() async throws {
        let harness = try await ClusterHarness.shared()
        let outcome = try await harness.runner.run(
            harness.programs.teleport,
            ["start", "--topology", "\(harness.directory)/topology.yaml", "--data-dir", "\(harness.directory)/data"])
        #expect(outcome.exit == .status(1) && outcome.errors.contains("runs in \(harness.directory)/data already"), "\(outcome)")
    }
}

extension Person {
    /// Runs `after` in a shell, then `tsh` again and again until it succeeds.
    fileprivate func untilItWorks(after: String, _ arguments: String...) async throws -> Outcome {
        let words = ([harness.programs.tsh] + tshArguments + arguments).map { "'\($0)'" }.joined(separator: " ")
        let script =
            "\(after); for i in {1..100}; do \(words) 2>\(folder)/errors && exit 0; sleep 0.1; done; cat \(folder)/errors >&2; exit 1"
        return try await harness.runner.run("/bin/bash", ["-c", script])
    }
}
