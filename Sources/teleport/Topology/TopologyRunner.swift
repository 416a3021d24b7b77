import AuthAPI
import AuthService
import Base
import ClusterModel
import Config
import Crypto
import EventLoop
internal import Glibc
import Programs

/// Runs the clusters of a topology on this machine: writes the file of every host, runs `teleport start -c` on each as a child, and makes users
/// and trust once the clusters answer.
///
///     auth hosts ──▶ their pins ──▶ the other hosts ──▶ all announced, all listening ──▶ users, trust, OpenSSH sites ──▶ tunnels up ──▶ `ready`
///
/// What is there already stays: a topology that is started again has its clusters, keys and trust of before.
final class TopologyRunner {
    private let plan: TopologyPlan
    private let loop: Loop
    private let started: UnixTime
    private let showsProgress: Bool
    private var hosts: [HostProcess] = []
    private var sites: [OpenSSHSiteRun] = []
    private var clients: [String: AuthClient] = [:]
    private var pins: [String: CAPin] = [:]
    private var deadline: Instant
    private var isReady = false
    /// What ended before everything was up.
    private var failure: TeleportError?
    private var isStopping = false
    private var stopped: CheckedContinuation<Void, Never>?
    private var watchers: [LoopHandle] = []

    /// For all of the way to `ready`: a slow machine with a dozen hosts needs some ten seconds.
    private static let startTimeout: Duration = .seconds(60)
    private static let pollInterval: Duration = .milliseconds(30)

    /// Told to stop while it was starting.
    private struct Stopped: Error {}

    /// Returns when the process has been told to stop and all children have ended.
    ///
    /// - Parameters:
    ///   - dataDir: by default `/var/lib/teleport/topologies/NAME`.
    ///   - debug: tells the progress on stderr also where that is no terminal.
    ///   - stopWithDescriptor: its end of file is a request to stop.
    static func run(file: String, dataDir: String?, debug: Bool, stopWithDescriptor: Int32? = nil) throws {
        let topology = try Topology(parsing: try FileIO.read(file, max: 1 << 20), file: file)
        let name = file.split(separator: "/").last?.split(separator: ".").first.map(String.init) ?? "topology"
        let directory = try absolute(dataDir ?? "\(ConfigDefaults.dataDir)/topologies/\(name)")
        let lock = try FileLock.hold(
            "\(directory)/topology.lock", busy: "a topology runs in \(directory) already; stop it, or give this one another --data-dir")
        defer { withExtendedLifetime(lock) {} }
        let showsProgress = debug || isatty(2) == 1
        try Program.onLoop { loop in
            let randomness = SystemRandomness()
            let plan = TopologyPlan(topology, dataDir: directory, randomness: randomness, now: loop.inside.wallTime)
            let runner = try TopologyRunner(plan, showsProgress: showsProgress, randomness: randomness, loop)
            try runner.watchSignals(stopWithDescriptor: stopWithDescriptor)
            try await runner.run(loop)
        }
    }

    private init(_ plan: TopologyPlan, showsProgress: Bool, randomness: any Randomness, _ eventLoop: isolated EventLoop)
        throws(TeleportError)
    {
        self.plan = plan
        self.showsProgress = showsProgress
        loop = eventLoop.inside
        started = loop.wallTime
        deadline = loop.now + Self.startTimeout
        let executable = try FileIO.executablePath()
        hosts = plan.hosts.map { host in
            HostProcess(host, executable: executable, randomness: randomness, on: loop) { [unowned self] in ended($0, $1) }
        }
        guard !plan.sites.isEmpty else { return }
        let programs = try OpenSSHPrograms.find()
        sites = plan.sites.map { site in
            OpenSSHSiteRun(site, programs, randomness: randomness, on: loop) { [unowned self] in ended($0, $1) }
        }
    }

    /// Makes the directory, and names it as every other process does.
    private static func absolute(_ path: String) throws(TeleportError) -> String {
        try FileIO.createDirectory(path)
        guard let resolved = unsafe realpath(path, nil) else { throw TeleportError(.systemError, "finding \(path)", code: errno) }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    // MARK: Life

    private func run(_ loop: isolated EventLoop) async throws {
        do {
            try await bringUp(loop)
            isReady = true
            try FileIO.write(Array("ready\n".utf8), descriptor: 1)
            tell("ready: \(plan.summaryPath)")
            if !isStopping { await withCheckedContinuation { stopped = $0 } }
        } catch is Stopped {
            tell("stopping")
        } catch {
            try await bringDown(loop)
            throw error
        }
        try await bringDown(loop)
    }

    private func bringUp(_ loop: isolated EventLoop) async throws {
        let summaryPath = plan.summaryPath
        try await loop.work { try FileIO.remove(summaryPath) }
        let (authHosts, others) = (hosts.filter(\.host.servesAuth), hosts.filter { !$0.host.servesAuth })
        for host in authHosts { try await start(host, caPin: nil, loop) }
        for host in authHosts { try await connect(host, loop) }
        for host in others { try await start(host, caPin: pins[host.host.cluster], loop) }
        for host in hosts {
            try await waitUntilAnnounced(host, loop)
            for port in Self.ports(of: host.host) { try await waitUntilListening(host, port, loop) }
        }
        for (cluster, user) in plan.users { try await create(user, in: cluster) }
        for trust in plan.trusts { try await create(trust) }
        for site in sites { try await start(site, loop) }
        for trust in plan.trusts { try await waitUntilConnected(trust, loop) }
        for site in sites { try await waitUntilConnected(site, loop) }
        let summary = try plan.summaryText()
        try await loop.work { try FileIO.write(summary, to: summaryPath, mode: 0o644) }
    }

    private func bringDown(_ loop: isolated EventLoop) async throws {
        isStopping = true
        for process in processes { process.stop() }
        let patience = loop.inside.now + ProcessAssembly.gracePeriod + .seconds(5)
        while processes.contains(where: \.isRunning) {
            if loop.inside.now >= patience { for process in processes { process.kill() } }
            try await loop.sleep(for: Self.pollInterval)
        }
        for watcher in watchers { watcher.close() }
    }

    private func watchSignals(stopWithDescriptor: Int32?) throws(TeleportError) {
        for signal in [Signal.terminate, .interrupt] {
            watchers.append(try SignalWatcher(signal, on: loop) { [unowned self] in stop() })
        }
        if let stopWithDescriptor {
            let watcher = try DescriptorWatcher(borrowing: stopWithDescriptor, on: loop) { [unowned self] _ in
                if !isStopping { stop() }
            }
            watcher.watch([.readable])
            watchers.append(watcher)
        }
    }

    private func stop() {
        if isStopping {
            for process in processes { process.kill() }
            exit(1)
        }
        isStopping = true
        stopped?.resume()
        stopped = nil
    }

    private var processes: [KeptProcess] { (hosts as [KeptProcess]) + sites.flatMap(\.processes) }

    private func ended(_ process: KeptProcess, _ exit: ChildProcess.Exit) {
        let how =
            switch exit {
            case .status(let status): "with status \(status)"
            case .signal(let signal, _): "by signal \(signal.name ?? "\(signal.number)")"
            }
        tell("\(process.name) ended \(how)")
        // An agent may come before its proxy has heard of the site.
        if !isReady, failure == nil, !sites.contains(where: { $0.agent === process }) {
            failure = TeleportError(.systemError, "host \(process.name) ended \(how) while it was starting\(process.tail)")
        }
    }

    // MARK: Steps

    private func start(_ host: HostProcess, caPin: CAPin?, _ loop: isolated EventLoop) async throws {
        let place = host.host.address.map { "on \($0)" } ?? "behind its proxy"
        tell("\(host.name): \(host.host.roles.map(\.rawValue).joined(separator: ", ")) \(place)")
        let (plan, text) = (host.host, host.host.configText(caPin: caPin))
        try await loop.work {
            try FileIO.createDirectory(plan.directory)
            try FileIO.write(Array(text.utf8), to: plan.configPath, mode: 0o600)
        }
        try host.start()
    }

    /// Waits until the auth server answers its administrator, and learns the pin.
    private func connect(_ host: HostProcess, _ loop: isolated EventLoop) async throws {
        while let why = await askForPin(host, loop) { try await pause(loop, host, "its auth server does not answer: \(why)") }
    }

    /// - Returns: why there is no answer yet; nil where there was one.
    private func askForPin(_ host: HostProcess, _ loop: isolated EventLoop) async -> String? {
        let path = "\(host.host.directory)/identity/admin"
        do {
            let identity = try await loop.work { try HostIdentity.load(path: path) }
            let client = AuthClient(servers: [host.host.listen(ConfigDefaults.authPort)], identity: identity, on: loop)
            pins[host.host.cluster] = try CAPin(parsing: try await client.status().caPin)
            clients[host.host.cluster] = client
            return nil
        } catch {
            return (error as? TeleportError)?.message ?? "\(error)"
        }
    }

    private func waitUntilAnnounced(_ host: HostProcess, _ loop: isolated EventLoop) async throws {
        for role in host.host.roles {
            while try await !isAnnounced(host.host, as: role) { try await pause(loop, host, "its \(role.rawValue) is not announced") }
        }
    }

    private func isAnnounced(_ host: TopologyPlan.Host, as role: ServiceRole) async throws -> Bool {
        let client = try client(of: host.cluster)
        switch role {
        case .auth:
            return true
        case .node:
            let nodes = try await client.resources(.node).compactMap { if case .node(let node) = $0 { node } else { nil } }
            guard host.address != nil else {
                // Announced in this run, so through a tunnel that is up.
                let since = started + AuthServer.presenceTTL
                return nodes.contains { $0.hostname == host.name && $0.addr.isEmpty && $0.expires.map { $0 >= since } ?? false }
            }
            let address = "\(host.listen(ConfigDefaults.nodePort))"
            return nodes.contains { $0.addr == address }
        case .proxy:
            let address = "\(host.listen(ConfigDefaults.proxyPort))"
            return try await client.resources(.proxy).contains {
                if case .proxy(let proxy) = $0 { proxy.sshAddr == address } else { false }
            }
        }
    }

    private func waitUntilListening(_ host: HostProcess, _ port: UInt16, _ loop: isolated EventLoop) async throws {
        guard let ip = host.host.address else { preconditionFailure("a host that listens nowhere has no ports") }
        let address = SocketAddress(ip, port: port)
        while await !accepts(address) { try await pause(loop, host, "nothing listens on \(address)") }
    }

    private func accepts(_ address: SocketAddress) async -> Bool {
        await withCheckedContinuation { continuation in
            TCPStream.connect(to: [address], timeout: .seconds(5), on: loop) { result in
                if case .success(let stream) = result {
                    stream.close()
                    continuation.resume(returning: true)
                } else {
                    continuation.resume(returning: false)
                }
            }
        }
    }

    private func create(_ user: User, in cluster: String) async throws {
        let client = try client(of: cluster)
        guard try await !client.resources(.user).contains(where: { $0.name == user.name }) else {
            return tell("\(cluster): user \(user.name) is there")
        }
        try await client.put(.user(user), replace: false)
    }

    private func create(_ trust: TopologyPlan.Trust) async throws {
        let leaf = try client(of: trust.leaf)
        let isThere = try await leaf.resources(.trustedCluster).contains { $0.name == trust.root }
        guard !isThere else { return tell("\(trust.leaf) trusts \(trust.root)") }
        tell("\(trust.leaf) joins \(trust.root)")
        try await client(of: trust.root).put(.token(trust.token), replace: false)
        var cluster = trust.trustedCluster
        cluster.caPin = pins[trust.root]?.description ?? ""
        try await leaf.put(.trustedCluster(cluster), replace: false)
    }

    private func waitUntilConnected(_ trust: TopologyPlan.Trust, _ loop: isolated EventLoop) async throws {
        let root = try client(of: trust.root)
        while true {
            let isConnected = try await root.resources(.remoteCluster).contains { resource in
                guard case .remoteCluster(let cluster) = resource, cluster.name == trust.leaf, cluster.connected else { return false }
                return cluster.lastHeartbeat.map { $0 >= started } ?? false
            }
            if isConnected { return }
            let agent = hosts.first { $0.host.cluster == trust.leaf && $0.host.roles.contains(.proxy) }
            try await pause(loop, agent, "cluster \(trust.leaf) has no tunnel to \(trust.root)")
        }
    }

    private func start(_ run: OpenSSHSiteRun, _ loop: isolated EventLoop) async throws {
        tell("\(run.site.name): sshd on \(run.site.hosts.map { "\($0.listen)" }.joined(separator: ", ")), and ssh -N -R 0")
        try await run.prepare(try client(of: run.site.hub), loop)
        for process in run.processes { try process.start() }
    }

    private func waitUntilConnected(_ run: OpenSSHSiteRun, _ loop: isolated EventLoop) async throws {
        for (host, process) in zip(run.site.hosts, run.servers) {
            guard let address = SocketAddress("\(host.listen)") else { preconditionFailure("a host has an address") }
            while await !accepts(address) { try await pause(loop, process, "nothing listens on \(address)") }
        }
        let hub = try client(of: run.site.hub)
        while true {
            let isConnected = try await hub.resources(.opensshSite).contains { resource in
                guard case .opensshSite(let site) = resource, site.name == run.site.name, let last = site.lastHeartbeat else {
                    return false
                }
                return last >= started
            }
            if isConnected { return }
            try await pause(loop, run.agent, "site \(run.site.name) has no tunnel to \(run.site.hub)")
        }
    }

    // MARK: Helpers

    private func client(of cluster: String) throws(TeleportError) -> AuthClient {
        guard let client = clients[cluster] else { throw .notFound("cluster \(cluster) has no auth server") }
        return client
    }

    /// - Throws: where waiting is of no use: a child ended, time is over, or it was told to stop.
    private func pause(_ loop: isolated EventLoop, _ process: KeptProcess?, _ why: String) async throws {
        if isStopping { throw Stopped() }
        if let failure { throw failure }
        if loop.inside.now >= deadline {
            throw TeleportError.connectionProblem(
                "host \(process?.name ?? "") is not up after \(Self.startTimeout): \(why)\(process?.tail ?? "")")
        }
        try await loop.sleep(for: Self.pollInterval)
    }

    private func tell(_ line: String) {
        if showsProgress { Program.complain(line) }
    }

    private static func ports(of host: TopologyPlan.Host) -> [UInt16] {
        guard host.address != nil else { return [] }
        return host.roles.flatMap { role in
            switch role {
            case .auth: [ConfigDefaults.authPort]
            case .node: [ConfigDefaults.nodePort]
            case .proxy: [ConfigDefaults.proxyPort, ConfigDefaults.tunnelPort, ConfigDefaults.webPort]
            }
        }
    }
}
