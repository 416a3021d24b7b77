package import Base
internal import ClusterModel
package import EventLoop
internal import SSHNet
internal import SSHWire

/// One `tsh ssh`: what is to happen where, with whose terminal.
package struct RemoteCommand: Sendable {
    package enum Work: Sendable {
        case session(SessionCommand)
        /// Stdin and stdout go to a port that the node connects to (`-W`).
        case relay(HostPort)
        /// Forwards alone, until the connection ends (`-N`).
        case nothing
    }

    package var target: CommandTarget
    package var work: Work
    /// nil: whatever port a node has.
    package var port: UInt16?
    /// As `-l` or the environment has it.
    package var login: String?
    package var localUser: String?
    package var readsInput: Bool
    package var terminal: LocalTerminal?
    package var forwards: [Forward] = []
    /// Whether a forward that there cannot be ends it all.
    package var needsForwards = true
    /// The socket of an agent that programs on the node may use.
    package var agent: String?

    package init(
        _ target: CommandTarget, _ work: Work, port: UInt16?, login: String?, localUser: String?, readsInput: Bool, terminal: LocalTerminal?
    ) {
        self.target = target
        self.work = work
        self.port = port
        self.login = login
        self.localUser = localUser
        self.readsInput = readsInput
        self.terminal = terminal
    }
}

/// Runs a command on one node or on all that bear some labels, from dialling the proxy to the exit status. Bound to its loop.
package final class RemoteRun {
    private let command: RemoteCommand
    private let client: ClientLogin
    private let sharing: ConnectionSharing
    private let randomness: any Randomness
    private let report: (String) -> Void
    private let loop: Loop
    private var then: ((Result<Int32, TeleportError>) -> Void)?
    private var watchers: [SignalWatcher] = []
    /// Held until the end, which may come with the last forwarded connection.
    private var forwards: ForwardSet?

    /// As `ssh` has it for whatever is not the exit status of the command.
    package static let failureStatus: Int32 = 255
    /// More nodes at once are of no use to a person, and a burden to the proxy.
    private static let nodesAtOnceMax = 16

    /// - Parameters:
    ///   - report: is given lines for stderr: what went wrong on one node of several, a signal that ended a command, what forwards have to say.
    ///   - then: is given the exit status; of several nodes the worst.
    package init(
        _ command: RemoteCommand, as client: ClientLogin, sharing: ConnectionSharing, randomness: any Randomness, on loop: Loop,
        report: @escaping (String) -> Void,
        then: @escaping (Result<Int32, TeleportError>) -> Void
    ) {
        self.command = command
        self.client = client
        self.sharing = sharing
        self.randomness = randomness
        self.report = report
        self.loop = loop
        self.then = then
    }

    package func start() {
        ClusterDialer.connect(as: client, randomness: randomness, pace: .ahead, sharing: sharing, on: loop) { [self] result in
            switch result {
            case .success(let dialer): resolve(dialer)
            case .failure(let error): finish(.failure(error))
            }
        }
    }

    private func resolve(_ dialer: ClusterDialer) {
        dialer.resolve(command.target) { [self] result in
            do throws(TeleportError) {
                try run(result.get(), dialer)
            } catch {
                finish(.failure(error))
            }
        }
    }

    private func run(_ target: CommandTarget, _ dialer: ClusterDialer) throws(TeleportError) {
        let login = try client.login(asked: command.login ?? target.login, localUser: command.localUser)
        let site = target.site ?? client.site
        switch target.place {
        case .node(let name): runOne(name, site: site, login: login, pace: pace, dialer)
        case .labels(let selector): listNodes(selector, site: site, login: login, dialer)
        case .either: preconditionFailure("the sites are known")
        }
    }

    private func finish(_ result: Result<Int32, TeleportError>) {
        for watcher in watchers { watcher.close() }
        watchers = []
        let then = then
        self.then = nil
        then?(result)
    }

    // MARK: One node

    /// A session alone goes out behind the login; forwards say of themselves what went wrong, which is not to be the login.
    private var pace: Pace {
        guard case .session = command.work, command.forwards.isEmpty, command.agent == nil else { return .loggedIn }
        return .ahead
    }

    private func runOne(_ name: String, site: String, login: String, pace: Pace, _ dialer: ClusterDialer) {
        dialer.connect(toNode: name, port: command.port ?? 0, site: site, login: login, pace: pace) { [self] result in
            switch result {
            case .failure(let error): finish(.failure(error))
            case .success(let node):
                forward(node, name) { [self] in runOne(name, site: site, login: login, pace: .waiting, dialer) }
            }
        }
    }

    /// Forwards stand before the work begins, which may depend on them.
    ///
    /// - Parameter again: does it all once more, for a node that took offence before anything was begun.
    private func forward(_ node: NodeClient, _ name: String, again: @escaping () -> Void) {
        let forwards = ForwardSet(command.forwards, agent: command.agent, on: node, loop: loop, report: report)
        self.forwards = forwards
        var failure: TeleportError?
        forwards.start { [self] error in
            if command.needsForwards { failure = failure ?? error } else { report("WARNING: \(error.message)") }
        } then: { [self] in
            if let failure { return finish(.failure(failure)) }
            work(node, name, forwards, again: again)
        }
    }

    private func work(_ node: NodeClient, _ name: String, _ forwards: ForwardSet, again: @escaping () -> Void) {
        switch command.work {
        case .session(let session):
            let session = ClientSession(
                session, on: node, terminal: command.terminal, readsInput: command.readsInput,
                output: OutputWriter(descriptor: 1, on: loop), errors: OutputWriter(descriptor: 2, on: loop), loop: loop
            ) { [self] result in
                forwards.close()
                if node.wasRefusedAhead { return again() }
                guard case .success(let end) = result else { return finish(result.map { status($0, of: name) }) }
                // As ssh has it: whoever is in a forwarded connection may finish.
                forwards.whenIdle { [self] in finish(.success(status(end, of: name))) }
            }
            session.start()
        case .relay(let place):
            let type = ChannelOpenType.directTCPIP(
                .init(host: place.host, port: place.port, originatorAddress: "127.0.0.1", originatorPort: 0))
            let relay = StandardRelay(StandardEnds(on: loop)) { [self] result in
                forwards.close()
                finish(result.map { 0 })
            }
            if !node.openChannel(type, handler: relay) { finish(.failure(.connectionProblem("the connection to the node has ended"))) }
        case .nothing: wait(node, forwards)
        }
    }

    /// Until the connection ends or somebody ends this process.
    private func wait(_ node: NodeClient, _ forwards: ForwardSet) {
        node.ended = { [self] error in finish(.failure(error)) }
        do throws(TeleportError) {
            for signal in [Signal.interrupt, .terminate, .hangUp] {
                watchers.append(
                    try SignalWatcher(signal, on: loop) { [self] in
                        forwards.close()
                        finish(.success(Self.failureStatus))
                    })
            }
        } catch {
            finish(.failure(error))
        }
    }

    private func status(_ end: SessionEnd, of node: String) -> Int32 {
        switch end {
        case .status(let status): return Int32(truncatingIfNeeded: status)
        case .signal(let name):
            report("ERROR: the command on \(node) was ended by signal \(name)")
            return Self.failureStatus
        case .outputClosed: return Self.failureStatus
        }
    }

    // MARK: All nodes with some labels

    private func listNodes(_ selector: LabelSelector, site: String, login: String, _ dialer: ClusterDialer) {
        guard case .session(let session) = command.work, session.command != nil else {
            return finish(.failure(.badParameter("labels name any number of nodes: say which command is to run on them")))
        }
        guard command.forwards.isEmpty, command.agent == nil else {
            return finish(.failure(.badParameter("labels name any number of nodes: forwards go with one node alone")))
        }
        dialer.nodes(of: site) { [self] result in
            do throws(TeleportError) {
                let nodes = try result.get().filter { selector.matches($0.labels) }
                guard !nodes.isEmpty else { throw .notFound("no node of \(site) has these labels") }
                runAll(session, nodes, site: site, login: login, dialer)
            } catch {
                finish(.failure(error))
            }
        }
    }

    private func runAll(_ session: SessionCommand, _ nodes: [Node], site: String, login: String, _ dialer: ClusterDialer) {
        let names = Dictionary(nodes.map { ($0.hostname, 1) }, uniquingKeysWith: +)
        // A name that several bear leads to none of them.
        let targets = nodes.map { (names[$0.hostname] == 1 ? $0.hostname : $0.uuid) }.sorted()
        let fleet = Fleet(targets, atOnce: Self.nodesAtOnceMax) { [self] name, done in
            runPrefixed(session, name, site: site, login: login, pace: .ahead, dialer, done: done)
        } then: { [self] worst in
            finish(.success(worst))
        }
        fleet.start()
    }

    private func runPrefixed(
        _ command: SessionCommand, _ name: String, site: String, login: String, pace: Pace, _ dialer: ClusterDialer,
        done: @escaping (Int32) -> Void
    ) {
        dialer.connect(toNode: name, port: self.command.port ?? 0, site: site, login: login, pace: pace) { [self] result in
            switch result {
            case .failure(let error):
                report("ERROR: \(name): \(error.message)")
                done(Self.failureStatus)
            case .success(let node):
                let output = PrefixedOutput(name, descriptor: 1)
                let errors = PrefixedOutput(name, descriptor: 2)
                let session = ClientSession(
                    command, on: node, terminal: nil, readsInput: false, output: OutputWriter(output.sink, on: loop),
                    errors: OutputWriter(errors.sink, on: loop), loop: loop
                ) { [self] result in
                    output.finish()
                    errors.finish()
                    node.close()
                    if node.wasRefusedAhead {
                        return runPrefixed(command, name, site: site, login: login, pace: .waiting, dialer, done: done)
                    }
                    switch result {
                    case .success(let end): done(status(end, of: name))
                    case .failure(let error):
                        report("ERROR: \(name): \(error.message)")
                        done(Self.failureStatus)
                    }
                }
                session.start()
            }
        }
    }
}

/// Works through a list, some at once, and keeps the worst status.
package final class Fleet {
    private var waiting: ArraySlice<String>
    private var running = 0
    private var worst: Int32 = 0
    private let atOnce: Int
    private let run: (String, @escaping (Int32) -> Void) -> Void
    private var then: ((Int32) -> Void)?

    package init(
        _ names: [String], atOnce: Int, run: @escaping (String, @escaping (Int32) -> Void) -> Void, then: @escaping (Int32) -> Void
    ) {
        waiting = names[...]
        self.atOnce = atOnce
        self.run = run
        self.then = then
    }

    package func start() {
        while running < atOnce, let name = waiting.popFirst() {
            running += 1
            run(name) { [self] status in
                running -= 1
                worst = max(worst, status)
                start()
            }
        }
        guard running == 0, waiting.isEmpty, let then else { return }
        self.then = nil
        then(worst)
    }
}

/// A descriptor that several nodes share, line by line.
private final class PrefixedOutput: Sendable {
    private let prefix: Lock<LinePrefix>
    private let descriptor: Int32

    init(_ name: String, descriptor: Int32) {
        prefix = Lock(LinePrefix(name))
        self.descriptor = descriptor
    }

    var sink: OutputWriter.Sink {
        { [self] bytes in try write(prefix.withLock { $0.feed(bytes) }) }
    }

    /// The rest of the last line; nobody is left to tell that it cannot be written.
    func finish() {
        try? write(prefix.withLock { $0.finish() })
    }

    private func write(_ bytes: [UInt8]) throws(TeleportError) {
        guard !bytes.isEmpty else { return }
        try FileIO.write(bytes, descriptor: descriptor)
    }
}
