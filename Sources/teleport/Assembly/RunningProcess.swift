import AuthAPI
import AuthService
import Base
import ClusterModel
import Config
import Crypto
import Diagnostics
import EventLoop
import Logging
import Programs
import SQLiteBackend

/// The services of a running process, and their end. Bound to the main loop.
final class RunningProcess {
    private let loop: Loop
    private let logger: Logger
    private let auth: AuthAssembly?
    private let proxy: ProxyAssembly?
    private let node: NodeAssembly?
    private let diagnostics: Diagnostics
    private let diagnosticsServer: DiagnosticsServer?
    private var config: Config
    private let reload: @Sendable () throws -> Config
    private let threshold: LogThreshold
    private var signals: [SignalWatcher] = []
    private var stopper: DescriptorWatcher?
    private var graceTimer: LoopTimer?
    private let spareMemory = SpareMemory()
    private var isStopping = false
    private var isClosed = false

    private static let memoryInterval: Duration = .seconds(60)
    /// The condition of the process as a whole.
    private static let running = "running"

    private init(
        auth: AuthAssembly?, proxy: ProxyAssembly?, node: NodeAssembly?, diagnostics: Diagnostics, diagnosticsServer: DiagnosticsServer?,
        config: Config, reload: @escaping @Sendable () throws -> Config, threshold: LogThreshold, loop: Loop, logger: Logger
    ) {
        self.diagnostics = diagnostics
        self.diagnosticsServer = diagnosticsServer
        self.config = config
        self.reload = reload
        self.threshold = threshold
        self.auth = auth
        self.proxy = proxy
        self.node = node
        self.loop = loop
        self.logger = logger
    }

    /// Starts what the configuration asks for: first the auth server, whom the others need.
    static func start(
        _ config: Config, _ directory: DataDirectory, reload: @escaping @Sendable () throws -> Config, threshold: LogThreshold,
        _ loops: LoopGroup, _ loop: isolated EventLoop, _ logger: Logger
    ) async throws -> RunningProcess {
        let randomness = SystemRandomness()
        let diagnostics = Diagnostics()
        diagnostics.change { $0.expect(running, of: .process, "the services are being started") }
        var diagnosticsServer: DiagnosticsServer?
        if let address = config.diagnostics {
            diagnosticsServer = try await DiagnosticsServer.start(
                on: address, loops: loops.loops, diagnostics: diagnostics, version: Version.number, clock: SystemClock(), logger: logger)
        }
        let auth = config.auth == nil ? nil : try await AuthAssembly.start(config, directory, diagnostics, randomness, loop, logger)
        let proxy =
            config.proxy == nil
            ? nil : try await ProxyAssembly.start(config, directory, auth?.service, diagnostics, randomness, loops, loop, logger)
        let node =
            config.node == nil
            ? nil : try await NodeAssembly.start(config, directory, auth?.service, diagnostics, randomness, loops, loop, logger)
        logger.info(
            "started",
            metadata: [
                "version": "\(Version.line)", "roles": "\(config.roles.map(\.rawValue).joined(separator: ","))",
                "node": "\(config.nodename)",
            ])
        diagnostics.change { $0.meet(running, of: .process) }
        return RunningProcess(
            auth: auth, proxy: proxy, node: node, diagnostics: diagnostics, diagnosticsServer: diagnosticsServer, config: config,
            reload: reload, threshold: threshold, loop: loop.inside, logger: logger)
    }

    /// TERM and INT drain and end the process, a second one ends it at once; HUP reloads log level and labels.
    ///
    /// - Parameter stopWithDescriptor: the end of file of this descriptor ends the process as TERM does.
    func watchSignals(stopWithDescriptor: Int32?) throws(TeleportError) {
        for signal in [Signal.terminate, .interrupt] {
            signals.append(try SignalWatcher(signal, on: loop) { [self] in stop("\(signal.name ?? "")") })
        }
        signals.append(
            try SignalWatcher(.hangUp, on: loop) { [self] in readAgain() })
        if let descriptor = stopWithDescriptor {
            let watcher = try DescriptorWatcher(FileDescriptor(descriptor), on: loop) { [self] _ in
                stopper?.watch([])
                stop("the end of the process that started this one")
            }
            watcher.watch([.readable])
            stopper = watcher
        }
    }

    /// From now on, for as long as the process runs.
    func giveBackMemory() {
        loop.schedule(after: Self.memoryInterval) { [self] in
            loop.work({ [spareMemory] in spareMemory.giveBack() }) { [self] _ in giveBackMemory() }
        }
    }

    private func readAgain() {
        loop.work(reload) { [self] result in
            switch result {
            case .success(let renewed): take(renewed)
            case .failure(let error):
                logger.error("the configuration cannot be read, and nothing has changed", metadata: ["error": "\(error)"])
            }
        }
    }

    /// What can change while the process runs does; the rest is named as waiting for a restart.
    private func take(_ renewed: Config) {
        threshold.set(ProcessAssembly.level(renewed.log.severity))
        config.log.severity = renewed.log.severity
        if let labels = renewed.node?.labels, config.node != nil, config.node?.labels != labels {
            config.node?.labels = labels
            node?.relabel(labels)
        }
        if config == renewed {
            logger.notice("reloaded log level and labels; certificates are renewed by themselves")
        } else {
            logger.warning("reloaded log level and labels; what else has changed in the configuration needs a restart")
        }
    }

    private func stop(_ cause: String) {
        guard !isStopping else {
            logger.notice("ending at once")
            return loop.eventLoop.stop()
        }
        isStopping = true
        diagnostics.change { $0.fail(Self.running, of: .process, "the process is stopping, and takes nobody new") }
        logger.notice("stopping; a second signal ends at once", metadata: ["cause": "\(cause)"])
        graceTimer = loop.schedule(after: ProcessAssembly.gracePeriod) { [self] in close() }
        // The node's own sessions, and those that pass through the proxy.
        let drains = [node.map { node in node.drain(_:) }, proxy.map { proxy in proxy.drain(_:) }].compactMap { $0 }
        var left = drains.count
        guard left > 0 else { return close() }
        for drain in drains {
            drain { [self] in
                left -= 1
                if left == 0 { close() }
            }
        }
    }

    private func close() {
        guard !isClosed else { return }
        isClosed = true
        graceTimer?.cancel()
        node?.close()
        // Last words go out before the loop ends.
        loop.schedule(after: .milliseconds(100)) { [self] in closeProxy() }
    }

    private func closeProxy() {
        if let proxy { proxy.close { [self] in closeAuth() } } else { closeAuth() }
    }

    private func closeAuth() {
        if let auth { auth.stop { [self] in closeDiagnostics() } } else { closeDiagnostics() }
    }

    private func closeDiagnostics() {
        let server = diagnosticsServer
        loop.perform({ await server?.close() }) { [self] _ in loop.eventLoop.stop() }
    }
}
