package import Base
internal import ClusterModel
package import EventLoop
internal import SSHNet

/// One `tsh ssh`: what is to run where, with whose terminal.
package struct RemoteCommand: Sendable {
    package var target: CommandTarget
    package var session: SessionCommand
    /// nil: whatever port a node has.
    package var port: UInt16?
    /// As `-l` or the environment has it.
    package var login: String?
    package var localUser: String?
    package var readsInput: Bool
    package var terminal: LocalTerminal?

    package init(
        _ target: CommandTarget, _ session: SessionCommand, port: UInt16?, login: String?, localUser: String?, readsInput: Bool,
        terminal: LocalTerminal?
    ) {
        self.target = target
        self.session = session
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
    private let randomness: any Randomness
    private let report: (String) -> Void
    private let loop: Loop
    private var then: ((Result<Int32, TeleportError>) -> Void)?

    /// As `ssh` has it for whatever is not the exit status of the command.
    package static let failureStatus: Int32 = 255
    /// More nodes at once are of no use to a person, and a burden to the proxy.
    private static let nodesAtOnceMax = 16

    /// - Parameters:
    ///   - report: is given what went wrong on one node of several, and a signal that ended a command.
    ///   - then: is given the exit status; of several nodes the worst.
    package init(
        _ command: RemoteCommand, as client: ClientLogin, randomness: any Randomness, on loop: Loop, report: @escaping (String) -> Void,
        then: @escaping (Result<Int32, TeleportError>) -> Void
    ) {
        self.command = command
        self.client = client
        self.randomness = randomness
        self.report = report
        self.loop = loop
        self.then = then
    }

    package func start() {
        ProxyClient.connect(to: client.proxy, identity: client.identity, randomness: randomness, on: loop) { [self] result in
            switch result {
            case .success(let proxy): resolve(proxy)
            case .failure(let error): finish(.failure(error))
            }
        }
    }

    private func resolve(_ proxy: ProxyClient) {
        guard command.target.needsSites else { return run(command.target, proxy) }
        proxy.ask("proxysites") { [self] result in
            do throws(TeleportError) {
                let sites = try SiteList(json: try result.get()).sites
                run(command.target.resolved { name in sites.contains { $0.name == name } }, proxy)
            } catch {
                finish(.failure(error))
            }
        }
    }

    private func run(_ target: CommandTarget, _ proxy: ProxyClient) {
        do throws(TeleportError) {
            let login = try client.login(asked: command.login ?? target.login, localUser: command.localUser)
            let site = target.site ?? client.site
            switch target.place {
            case .node(let name): runOne(name, site: site, login: login, proxy)
            case .labels(let selector): listNodes(selector, site: site, login: login, proxy)
            case .either: preconditionFailure("the sites are known")
            }
        } catch {
            finish(.failure(error))
        }
    }

    private func finish(_ result: Result<Int32, TeleportError>) {
        let then = then
        self.then = nil
        then?(result)
    }

    // MARK: One node

    private func runOne(_ name: String, site: String, login: String, _ proxy: ProxyClient) {
        proxy.connect(toNode: name, port: command.port ?? 0, site: site, login: login) { [self] result in
            switch result {
            case .failure(let error): explain(error, site: site, proxy)
            case .success(let node):
                let session = ClientSession(
                    command.session, on: node, terminal: command.terminal, readsInput: command.readsInput,
                    output: OutputWriter.descriptor(1), errors: OutputWriter.descriptor(2), loop: loop
                ) { [self] result in
                    finish(result.map { status($0, of: name) })
                }
                session.start()
            }
        }
    }

    /// A site that does not exist is told from a node that does not: the proxy was asked for `NODE.SITE` only.
    private func explain(_ error: TeleportError, site: String, _ proxy: ProxyClient) {
        guard error.kind == .accessDenied, site != client.identity.cluster else { return finish(.failure(error)) }
        proxy.ask("proxysites") { [self] result in
            guard let json = try? result.get(), let sites = try? SiteList(json: json).sites, !sites.contains(where: { $0.name == site })
            else {
                return finish(.failure(error))
            }
            finish(.failure(.notFound("site \(site) is not known to the proxy; `tsh clusters` lists those that are", cause: error)))
        }
    }

    private func status(_ end: SessionEnd, of node: String) -> Int32 {
        switch end {
        case .status(let status): return Int32(truncatingIfNeeded: status)
        case .signal(let name):
            report("the command on \(node) was ended by signal \(name)")
            return Self.failureStatus
        case .outputClosed: return Self.failureStatus
        }
    }

    // MARK: All nodes with some labels

    private func listNodes(_ selector: LabelSelector, site: String, login: String, _ proxy: ProxyClient) {
        guard command.session.command != nil else {
            return finish(.failure(.badParameter("labels name any number of nodes: say which command is to run on them")))
        }
        proxy.ask("proxynodes:@\(site)") { [self] result in
            do throws(TeleportError) {
                let nodes = try NodeList(json: try result.get()).nodes.filter { selector.matches($0.labels) }
                guard !nodes.isEmpty else { throw .notFound("no node of \(site) has these labels") }
                runAll(nodes, site: site, login: login, proxy)
            } catch {
                finish(.failure(error))
            }
        }
    }

    private func runAll(_ nodes: [Node], site: String, login: String, _ proxy: ProxyClient) {
        let names = Dictionary(nodes.map { ($0.hostname, 1) }, uniquingKeysWith: +)
        // A name that several bear leads to none of them.
        let targets = nodes.map { (names[$0.hostname] == 1 ? $0.hostname : $0.uuid) }.sorted()
        let fleet = Fleet(targets, atOnce: Self.nodesAtOnceMax) { [self] name, done in
            runPrefixed(name, site: site, login: login, proxy, done: done)
        } then: { [self] worst in
            finish(.success(worst))
        }
        fleet.start()
    }

    private func runPrefixed(_ name: String, site: String, login: String, _ proxy: ProxyClient, done: @escaping (Int32) -> Void) {
        proxy.connect(toNode: name, port: command.port ?? 0, site: site, login: login) { [self] result in
            switch result {
            case .failure(let error):
                report("\(name): \(error.message)")
                done(Self.failureStatus)
            case .success(let node):
                let output = PrefixedOutput(name, descriptor: 1)
                let errors = PrefixedOutput(name, descriptor: 2)
                let session = ClientSession(
                    command.session, on: node, terminal: nil, readsInput: false, output: output.sink, errors: errors.sink, loop: loop
                ) { [self] result in
                    output.finish()
                    errors.finish()
                    node.close()
                    switch result {
                    case .success(let end): done(status(end, of: name))
                    case .failure(let error):
                        report("\(name): \(error.message)")
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
