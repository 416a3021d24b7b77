/// When a silent peer is probed, and when it is given up: pure.
package struct KeepAlive: Sendable {
    package struct Options: Sendable, Equatable {
        /// How often we look whether the peer was silent.
        package var interval: Duration
        /// So many intervals without a sign of life end the connection.
        package var missesMax: Int
        /// So many of them pass before we ask: more than none for the side that the other one asks in any case, so that not both do.
        package var missesUnasked: Int

        package init(interval: Duration, missesMax: Int, missesUnasked: Int = 0) {
            self.interval = interval
            self.missesMax = missesMax
            self.missesUnasked = missesUnasked
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
        if misses > options.missesMax { return .giveUp }
        return misses > options.missesUnasked ? .probe : .wait
    }
}
