/// When a silent peer is probed, and when it is given up: pure.
package struct KeepAlive: Sendable {
    package struct Options: Sendable, Equatable {
        /// How long a peer may be silent before it is asked.
        package var interval: Duration
        /// So many intervals without a sign of life end the connection.
        package var missesMax: Int

        package init(interval: Duration, missesMax: Int) {
            self.interval = interval
            self.missesMax = missesMax
        }
    }

    package enum Action: Equatable {
        case wait, probe, giveUp
    }

    let options: Options
    private var misses = 0
    private var hasHeard = false

    /// OpenSSH's name; a peer that does not know it answers with a failure, which is a sign of life as well.
    static let requestName = "keepalive@openssh.com"

    package init(_ options: Options) {
        self.options = options
    }

    /// Something came from the peer.
    package mutating func heard() {
        hasHeard = true
    }

    /// An interval is over.
    package mutating func tick() -> Action {
        if hasHeard {
            hasHeard = false
            misses = 0
            return .wait
        }
        misses += 1
        return misses > options.missesMax ? .giveUp : .probe
    }
}
