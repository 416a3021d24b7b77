internal import Base
internal import ClusterModel
package import Config
internal import Crypto
package import EventLoop

/// The three programs, as they were built beside the tests, or in the folder that `TELEPORT_BIN` names: `make test` gives the release build.
package struct BuiltPrograms: Sendable {
    package static let areOptimized = ProcessEnvironment.value("TELEPORT_BIN") != nil

    package let teleport: String
    package let tctl: String
    package let tsh: String

    package init() throws {
        let own = try FileIO.executablePath().split(separator: "/").dropLast().joined(separator: "/")
        let folder = ProcessEnvironment.value("TELEPORT_BIN") ?? "/\(own)"
        for name in ["teleport", "tctl", "tsh"] where try FileIO.status("\(folder)/\(name)") == nil {
            throw TeleportError.notFound(
                "\(folder)/\(name) is not built: run `swift build`, or `make build` and set TELEPORT_BIN=$PWD/.build/release")
        }
        teleport = "\(folder)/teleport"
        tctl = "\(folder)/tctl"
        tsh = "\(folder)/tsh"
    }
}

/// A topology that runs with the real programs, on loopback addresses and in a data directory of its own.
///
/// It ends, and its directory goes, when this object or the process of the tests does: then the pipe closes that it watches.
/// `TELEPORT_TEST_KEEP=1` keeps the directory.
package final class ClusterHarness: Sendable {
    /// One for all tests that break nothing.
    package static let twoSites = Result { try ClusterHarness("two-sites") }

    /// The running two sites.
    package static func shared() async throws -> ClusterHarness {
        let harness = try twoSites.get()
        try await harness.ready()
        return harness
    }

    package let programs: BuiltPrograms
    package let directory: String
    /// Whose account the nodes serve: that of the tests.
    package let login: String
    package let eventLoop: EventLoop
    package let runner: ProgramRunner
    private let network: LoopbackNetwork
    private let topology: LoopBound<RunningTopology>

    /// - Parameter name: of a file in `topologies/`.
    package convenience init(_ name: String) throws {
        try self.init(topology: try Self.text(of: name))
    }

    /// What is in the file of that name in `topologies/`.
    package static func text(of topology: String) throws -> String {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        return String(decoding: try FileIO.read("\(root)/topologies/\(topology).yaml"), as: UTF8.self)
    }

    /// - Parameter topology: the text of a topology, with the addresses 127.0.N.H.
    package init(topology text: String) throws {
        let randomness = SystemRandomness()
        let programs = try BuiltPrograms()
        guard let account = try UserAccounts.account(identifier: UserAccounts.effectiveIdentifier) else {
            throw TeleportError.notFound("the tests run as nobody of this machine")
        }
        let network = LoopbackNetwork(randomness)
        let directory = "/tmp/teleport-cluster-tests-\(randomness.uuid())"
        try FileIO.createDirectory(directory)
        try FileIO.write(Array(network.rewritten(text).utf8), to: "\(directory)/topology.yaml")
        let eventLoop = EventLoop(name: "cluster-tests")
        eventLoop.start()
        self.programs = programs
        login = account.name
        self.network = network
        self.directory = directory
        self.eventLoop = eventLoop
        runner = ProgramRunner(
            eventLoop: eventLoop, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=\(directory)", "TERM=vt100", "LANG=C.UTF-8"])
        topology = LoopBound(eventLoop)
        let topology = topology
        let environment = runner.environment
        eventLoop.post { loop in
            topology.set(RunningTopology(programs.teleport, directory: directory, environment: environment, on: loop.inside), on: loop)
        }
    }

    deinit {
        let topology = topology
        eventLoop.post { loop in topology.value(on: loop)?.stop() }
    }

    /// Waits until every service answers and every tunnel is up.
    package func ready() async throws {
        let topology = topology
        try await withCheckedThrowingContinuation { continuation in
            eventLoop.post { loop in topology.value(on: loop)?.wait(continuation) }
        }
    }

    /// Ends it as the death of its process would, and waits until all of it is gone.
    ///
    /// - Returns: how `teleport start --topology` ended.
    package func stop() async throws -> ChildProcess.Exit {
        let topology = topology
        return await withCheckedContinuation { continuation in
            eventLoop.post { loop in topology.value(on: loop)?.stop(continuation) }
        }
    }

    package func summary() throws -> TopologySummary {
        try JSONText.decode(TopologySummary.self, from: try FileIO.read("\(directory)/data/topology.json"))
    }

    package func cluster(_ name: String) throws -> TopologySummary.Cluster {
        let summary = try summary()
        guard let cluster = summary.clusters.first(where: { $0.name == name }) else { throw TeleportError.notFound("no cluster \(name)") }
        return cluster
    }

    /// An address that no host of the topology has.
    package func freeAddress(_ number: UInt8) -> String { network.free(number) }

    // MARK: Programs

    package func tctl(_ cluster: String, _ arguments: String...) async throws -> Outcome {
        try await runner.run(programs.tctl, ["-c", try self.cluster(cluster).config] + arguments)
    }

    /// Makes a person of the root cluster `hub`, known by a fresh certificate.
    ///
    /// - Parameter logins: by default that of the tests.
    package func person(_ name: String = "ci", logins: String? = nil, ttl: String = "1h") async throws -> Person {
        let folder = "\(directory)/\(name)-\(SystemRandomness().uuid())"
        try FileIO.createDirectory(folder)
        let sign = ["auth", "sign", "--user=\(name)", "--logins=\(logins ?? login)", "--ttl=\(ttl)"]
        let config = try cluster("hub").config
        for (format, file) in [("openssh", "key"), ("file", "identity")] {
            try await runner.run(programs.tctl, ["-c", config] + sign + ["--format=\(format)", "--out=\(folder)/\(file)"]).succeeded()
        }
        let authorities = try await runner.run(programs.tctl, ["-c", config, "authorities", "--type=host", "export"]).succeeded()
        try FileIO.write(authorities.output, to: "\(folder)/known_hosts")
        guard let proxy = try cluster("hub").proxies.first else { throw TeleportError.notFound("the hub has no proxy") }
        let person = Person(harness: self, folder: folder, proxy: proxy)
        try FileIO.write(Array(person.sshConfig.utf8), to: person.sshConfigPath)
        return person
    }
}

/// Somebody with a certificate of the hub, and the clients they use.
package struct Person: Sendable {
    /// By what way OpenSSH reaches a node.
    package enum Route: CaseIterable, Sendable {
        /// `ProxyCommand ssh -p 3023 … -s proxy:%h:%p@east`
        case subsystem
        /// `ssh -J PROXY:3023`
        case jump
    }

    package let harness: ClusterHarness
    package let folder: String
    package let proxy: TopologySummary.Proxy

    package var identity: String { "\(folder)/identity" }
    package var sshConfigPath: String { "\(folder)/ssh_config" }
    package var proxyHost: String { String(proxy.ssh.prefix { $0 != ":" }) }

    /// Host keys are verified by what the cluster exports, and by nothing else.
    package var sshConfig: String {
        """
        Host *
          User \(harness.login)
          IdentityFile \(folder)/key
          IdentitiesOnly yes
          IdentityAgent none
          BatchMode yes
          StrictHostKeyChecking yes
          UserKnownHostsFile \(folder)/known_hosts
          GlobalKnownHostsFile /dev/null
          LogLevel INFO

        """
    }

    package var tshArguments: [String] { ["--proxy=\(proxyHost)", "-i", identity] }

    /// As after `tsh login`, for whoever has `home` as home directory.
    ///
    /// - Returns: `home`.
    package func logIn(home: String) throws -> String {
        let keys = "\(home)/.tsh/keys/\(proxyHost)"
        try FileIO.createDirectory(keys)
        for (from, to) in [("key", "ci"), ("key-cert.pub", "ci-cert.pub"), ("known_hosts", "known_hosts")] {
            try FileIO.write(try FileIO.read("\(folder)/\(from)"), to: "\(keys)/\(to)")
        }
        let profile = #"{"proxy":"\#(proxyHost)","web_port":3080,"ssh_port":3023,"user":"ci","cluster":"hub"}"#
        try FileIO.write(Array(profile.utf8), to: "\(home)/.tsh/\(proxyHost).json")
        try FileIO.write(Array("\(proxyHost)\n".utf8), to: "\(home)/.tsh/current-profile")
        return home
    }

    package func tsh(_ arguments: String..., input: [UInt8] = []) async throws -> Outcome {
        try await harness.runner.run(harness.programs.tsh, tshArguments + arguments, input: input)
    }

    /// What stands before the command when node `node` of `east` is reached on `route`.
    package func sshArguments(_ route: Route, node: String, port: String = "3022", options: [String] = []) -> [String] {
        let common = ["-F", sshConfigPath] + options + ["-p", port]
        switch route {
        case .subsystem:
            return common + ["-o", "ProxyCommand=/usr/bin/ssh -F \(sshConfigPath) -p 3023 %r@\(proxyHost) -s proxy:%h:%p@east", node]
        case .jump:
            return common + ["-J", "\(proxyHost):3023", "\(node).east"]
        }
    }

    package func ssh(
        _ route: Route, _ node: String, _ command: String, port: String = "3022", options: [String] = [], input: [UInt8] = []
    ) async throws -> Outcome {
        try await harness.runner.run(
            "/usr/bin/ssh", sshArguments(route, node: node, port: port, options: options) + [command], input: input)
    }
}

/// Loopback addresses for one topology: 127.x.y.0/24, by chance another for everybody.
private struct LoopbackNetwork: Sendable {
    private let prefix: String

    init(_ randomness: some Randomness) {
        let bytes = randomness.bytes(2)
        // 127.0 is everybody's, and 127.255 looks like a broadcast.
        prefix = "127.\(16 + bytes[0] % 224).\(bytes[1])"
    }

    /// 127.0.N.H becomes 127.x.y.(16 N + H).
    func rewritten(_ topology: String) -> String {
        topology.replacing(/127\.0\.(\d+)\.(\d+)/) { match in "\(prefix).\((Int(match.1) ?? 0) * 16 + (Int(match.2) ?? 0))" }
    }

    func free(_ number: UInt8) -> String { "\(prefix).\(128 + number % 96)" }
}

/// `teleport start --topology` as a child.
private final class RunningTopology: StreamHandler {
    private var process: ChildProcess?
    private var output: [UInt8] = []
    private var errors: [UInt8] = []
    private var failure: TeleportError?
    private var waiting: [CheckedContinuation<Void, any Error>] = []
    private var stopping: [CheckedContinuation<ChildProcess.Exit, Never>] = []

    private var isReady: Bool { String(decoding: output, as: UTF8.self).contains("ready\n") }

    init(_ teleport: String, directory: String, environment: [String], on loop: Loop) {
        // The shell outlives the topology and clears up, whatever becomes of the tests; a file `again` makes it start the topology once more.
        let command = """
            while :; do
              "$1" start --topology "$2/topology.yaml" --data-dir "$2/data" --stop-with-descriptor 0 --debug
              status=$?
              rm "$2/again" 2>/dev/null || break
            done
            [ -n "$3" ] || rm -rf "$2"
            exit $status
            """
        do throws(TeleportError) {
            let process = try ChildProcess(
                ChildProcess.Command(
                    executable: "/bin/sh",
                    arguments: ["sh", "-c", command, "sh", teleport, directory, ProcessEnvironment.value("TELEPORT_TEST_KEEP") ?? ""],
                    environment: environment, descriptors: [0: .input, 1: .output, 2: .output]), on: loop
            ) { [self] exit in fail(exit) }
            self.process = process
            for number: Int32 in 1...2 {
                process.stream(number)?.handler = self
                process.stream(number)?.resumeReading()
            }
        } catch {
            failure = error
        }
    }

    func stop(_ continuation: CheckedContinuation<ChildProcess.Exit, Never>? = nil) {
        if let exit = process?.exit {
            continuation?.resume(returning: exit)
        } else {
            if let continuation { stopping.append(continuation) }
            process?.stream(0)?.close()
        }
    }

    func wait(_ continuation: CheckedContinuation<Void, any Error>) {
        waiting.append(continuation)
        changed()
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        if stream === process?.stream(1) { output.append(copying: bytes.span) } else { errors.append(copying: bytes.span) }
        changed()
    }

    func streamEnded(_ stream: Stream) { stream.close() }
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) {}

    private func fail(_ exit: ChildProcess.Exit) {
        for continuation in stopping { continuation.resume(returning: exit) }
        stopping = []
        failure = TeleportError.connectionProblem("the topology ended: \(exit)\n\(String(decoding: errors.suffix(4000), as: UTF8.self))")
        changed()
    }

    private func changed() {
        guard isReady || failure != nil else { return }
        for continuation in waiting {
            if let failure { continuation.resume(throwing: failure) } else { continuation.resume() }
        }
        waiting = []
    }
}
