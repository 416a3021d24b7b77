package import Logging

/// The least severe level that is logged; it may change while the process runs. Thread-safe.
package final class LogThreshold: Sendable {
    private let current: Lock<Logger.Level>

    package init(_ level: Logger.Level) {
        current = Lock(level)
    }

    package var level: Logger.Level { current.withLock { $0 } }

    package func set(_ level: Logger.Level) {
        current.withLock { $0 = level }
    }
}
