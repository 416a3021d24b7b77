internal import Base
internal import EventLoop

/// Asks every loop of a process for its figures, all at once, and knows which of them does not answer.
///
/// Bound to a loop of its own, which goes on whatever becomes of the others. One survey is under way at a time; who asks meanwhile shares it, so that
/// a loop that hangs is asked once.
final class LoopSurvey {
    enum Answer: Sendable {
        case figures(Metrics)
        /// Names of the loops that have not answered in time.
        case missing([String])
    }

    /// Longer than any callback that is not a fault takes, even on a machine that does other things beside.
    static let timeMax: Duration = .seconds(5)

    private let loops: [EventLoop]
    private let diagnostics: Diagnostics
    private let loop: Loop
    private lazy var home = LoopBound(Weak(self), on: loop)
    private var began = Instant(nanoseconds: 0)
    /// Places in `loops` of those that owe an answer.
    private var asked: Set<Int> = []
    private var figures = Metrics()
    private var waiting: [(Answer) -> Void] = []
    private var timer: LoopTimer?

    init(_ loops: [EventLoop], _ diagnostics: Diagnostics, on loop: Loop) {
        self.loops = loops
        self.diagnostics = diagnostics
        self.loop = loop
    }

    /// - Parameter then: is called once, no later than ``timeMax`` after the survey began.
    func ask(_ then: @escaping (Answer) -> Void) {
        if asked.isEmpty { begin() }
        guard began + Self.timeMax > loop.now else { return then(missing) }
        waiting.append(then)
    }

    private func begin() {
        began = loop.now
        figures = Metrics()
        asked = Set(loops.indices)
        for (index, eventLoop) in loops.enumerated() {
            let (home, began, sources) = (home, began, diagnostics.sources(of: eventLoop))
            eventLoop.post { other in
                var metrics = Metrics()
                let label: KeyValuePairs = ["loop": other.name]
                metrics.add(.loopDelay, (other.inside.now - began).inSeconds, label)
                metrics.add(.loopProcessorTime, other.inside.processorTime.inSeconds, label)
                metrics.add(.loopSlowCallbacks, other.inside.slowCallbackCount, label)
                for read in sources { read(other, &metrics) }
                let answer = metrics
                home.eventLoop.post { loop in home.value(on: loop)?.object?.answered(index, answer) }
            }
        }
        timer = loop.schedule(after: Self.timeMax) { [weak self] in self?.giveUp() }
    }

    private func answered(_ index: Int, _ answer: Metrics) {
        asked.remove(index)
        figures.add(answer)
        guard asked.isEmpty else { return }
        timer?.cancel()
        tell(.figures(figures))
    }

    /// The survey goes on: nothing else is asked of the loops before they have answered.
    private func giveUp() {
        tell(missing)
    }

    private var missing: Answer { .missing(asked.sorted().map { loops[$0].name }) }

    private func tell(_ answer: Answer) {
        let waiting = waiting
        self.waiting = []
        for then in waiting { then(answer) }
    }
}

extension Metric {
    fileprivate static let loopDelay = Metric(.gauge, "teleport_loop_delay_seconds", "From this request to its turn on the loop.")
    fileprivate static let loopProcessorTime = Metric(
        .counter, "teleport_loop_cpu_seconds_total", "Processor time of the loop's thread.")
    fileprivate static let loopSlowCallbacks = Metric(
        .counter, "teleport_loop_slow_callbacks_total", "Callbacks that held the loop for more than 50 ms.")
}
