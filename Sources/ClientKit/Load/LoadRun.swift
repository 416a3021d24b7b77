package import Base
package import EventLoop

/// Carries out a ``LoadPlan``. Bound to its loop.
///
/// 1. One connection to the proxy finds out what the target means; what fails there ends it all.
/// 2. Requests begin until the time is over, by the clock where there is a rate.
/// 3. Those under way may end; what is late then counts as failed.
package final class LoadRun {
    private let plan: LoadPlan
    private let client: ClientLogin
    private let randomness: any Randomness
    private let loop: Loop
    private var then: ((Result<LoadReport, TeleportError>) -> Void)?
    /// Begins a request; known once it is known where to.
    private var request: ((@escaping (TeleportError?) -> Void) -> Void)?
    private var report = LoadReport()
    private var started: Instant?
    private var begun = 0
    private var running = 0
    private var timer: LoopTimer?
    /// No request begins any more.
    private var isOver = false

    /// After the last request has begun.
    private static let patience: Duration = .seconds(30)
    /// What has failed at once would fail as fast as this process can ask.
    private static let pauseAfterFailure: Duration = .milliseconds(10)

    package init(
        _ plan: LoadPlan, as client: ClientLogin, randomness: any Randomness, on loop: Loop,
        then: @escaping (Result<LoadReport, TeleportError>) -> Void
    ) {
        self.plan = plan
        self.client = client
        self.randomness = randomness
        self.loop = loop
        self.then = then
    }

    package func start() {
        ClusterDialer.connect(as: client, randomness: randomness, on: loop) { [self] result in
            switch result {
            case .failure(let error): finish(.failure(error))
            case .success(let dialer):
                dialer.resolve(plan.target) { [self] result in
                    do throws(TeleportError) {
                        try prepare(result.get(), dialer)
                    } catch {
                        finish(.failure(error))
                    }
                }
            }
        }
    }

    /// Ends it with what there is.
    package func stop() {
        report.elapsed = started.map { loop.now - $0 } ?? .zero
        finish(.success(report))
    }

    private func prepare(_ target: CommandTarget, _ dialer: ClusterDialer) throws(TeleportError) {
        guard case .node(let name) = target.place else { throw .badParameter("one node is measured, not all with some labels") }
        let site = target.site ?? client.site
        let (plan, client, randomness, loop) = (plan, client, randomness, loop)
        switch plan.request {
        case .command(let command, let sharesProxy):
            let login = try client.login(asked: plan.login ?? target.login, localUser: plan.localUser)
            func run(over dialer: ClusterDialer, then: @escaping (TeleportError?) -> Void) {
                dialer.connect(toNode: name, port: plan.port, site: site, login: login) {
                    CommandRequest.start(command, on: $0, then: then)
                }
            }
            if sharesProxy {
                request = { then in run(over: dialer, then: then) }
            } else {
                dialer.close()
                request = { then in
                    ClusterDialer.connect(as: client, randomness: randomness, pace: .ahead, on: loop) { result in
                        switch result {
                        case .failure(let error): then(error)
                        case .success(let dialer):
                            run(over: dialer) { error in
                                dialer.close()
                                then(error)
                            }
                        }
                    }
                }
            }
        case .channel:
            request = { then in dialer.open(toNode: name, port: plan.port, site: site, handler: FirstByteRequest(then)) }
        }
        started = loop.now
        loop.schedule(after: plan.duration) { [self] in timeIsOver() }
        next()
    }

    // MARK: Requests

    /// Begins what is due. Comes again whenever a request has ended, and when the next one is due.
    private func next() {
        guard let request, let started, then != nil else { return }
        guard !isOver else { return running == 0 ? stop() : () }
        timer?.cancel()
        while running < plan.atOnce {
            let now = loop.now
            let due = plan.rate.map { started + .nanoseconds(Int64(begun) * 1_000_000_000 / Int64($0)) } ?? now
            guard due <= now else {
                timer = loop.schedule(after: due - now) { [self] in next() }
                return
            }
            begun += 1
            running += 1
            request { [self] error in ended(error, begun: due) }
        }
    }

    private func ended(_ error: TeleportError?, begun: Instant) {
        if let error {
            report.failures += 1
            report.firstFailure = report.firstFailure ?? error
            loop.schedule(after: Self.pauseAfterFailure) { [self] in freed() }
        } else {
            report.profile.record(loop.now - begun)
            freed()
        }
    }

    private func freed() {
        running -= 1
        next()
    }

    private func timeIsOver() {
        isOver = true
        loop.schedule(after: Self.patience) { [self] in
            guard then != nil else { return }
            report.failures += running
            report.firstFailure =
                report.firstFailure ?? .connectionProblem("\(running) requests had not ended \(Self.patience) after the last began")
            stop()
        }
        next()
    }

    private func finish(_ result: Result<LoadReport, TeleportError>) {
        let then = then
        self.then = nil
        timer?.cancel()
        then?(result)
    }
}
