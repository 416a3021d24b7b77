package import Base
package import EventLoop

/// Where the parts of a process leave how they are and how their figures are read. Thread-safe.
///
/// A figure is read where it lives and when it is asked for: nothing is counted or copied for the sake of a reader who may never come.
package final class Diagnostics: Sendable {
    package typealias Source = @Sendable (isolated EventLoop, inout Metrics) -> Void

    private struct State {
        var readiness = Readiness()
        var sources: [(loop: EventLoop, read: Source)] = []
        var shared: [@Sendable (inout Metrics) -> Void] = []
    }

    private let state = Lock(State())

    package init() {}

    // MARK: Readiness

    package func change(_ body: @Sendable (inout Readiness) -> Void) {
        state.withLock { body(&$0.readiness) }
    }

    package var report: Readiness.Report { state.withLock { $0.readiness.report } }

    // MARK: Figures

    /// Figures of what lives on a loop, read there.
    package func measure<Value>(_ bound: LoopBound<Value>, _ read: @escaping @Sendable (Value, inout Metrics) -> Void) {
        state.withLock { state in
            state.sources.append(
                (
                    bound.eventLoop,
                    { loop, metrics in
                        if let value = bound.value(on: loop) { read(value, &metrics) }
                    }
                ))
        }
    }

    /// The same of what there is on each loop; what has the same name and labels adds up.
    package func measure<Value>(_ values: PerLoop<Value>, _ read: @escaping @Sendable (Value, inout Metrics) -> Void) {
        for bound in values.values { measure(bound, read) }
    }

    /// Figures that any thread may read.
    package func measure(_ read: @escaping @Sendable (inout Metrics) -> Void) {
        state.withLock { $0.shared.append(read) }
    }

    func sources(of loop: EventLoop) -> [Source] {
        state.withLock { state in state.sources.filter { $0.loop === loop }.map(\.read) }
    }

    func addShared(to metrics: inout Metrics) {
        for read in state.withLock({ $0.shared }) { read(&metrics) }
    }
}
