package import Base

/// What is to be asked of a node over and over (`tsh bench`), how often, and for how long.
package struct LoadPlan: Sendable {
    package enum Request: Sendable {
        /// A command, over a connection of its own to the node, and to the proxy too unless all sessions share that, until it has ended.
        case command(String, sharesProxy: Bool)
        /// A channel of one connection to the proxy, until the node's first byte has come through it.
        case channel
    }

    package var target: CommandTarget
    package var request: Request
    /// 0 for whichever port the node has.
    package var port: UInt16
    /// As `-l` or the environment has it.
    package var login: String?
    package var localUser: String?
    /// How many requests are begun in a second; nil: the next one as soon as one has ended.
    package var rate: Int?
    package var atOnce: Int
    package var duration: Duration

    /// A proxy that serves others too is not to be asked for more by one process, and 20,000 descriptors are many.
    package static let atOnceMax = 1000
    /// More than one loop thread can begin, of channels too.
    package static let rateMax = 100_000

    package init(
        _ target: CommandTarget, _ request: Request, port: UInt16, login: String?, localUser: String?, rate: Int?, atOnce: Int,
        duration: Duration
    ) {
        precondition((1...Self.atOnceMax).contains(atOnce) && (rate ?? 1) > 0 && (rate ?? 1) <= Self.rateMax, "a load out of bounds")
        self.target = target
        self.request = request
        self.port = port
        self.login = login
        self.localUser = localUser
        self.rate = rate
        self.atOnce = atOnce
        self.duration = duration
    }
}

/// What came of it.
package struct LoadReport: Sendable {
    /// Those that succeeded, and how long each took. With a rate that is from when it was due: a proxy that keeps us waiting must not look fast
    /// because nothing was asked of it meanwhile.
    package var profile = LatencyProfile()
    package var failures = 0
    package var firstFailure: TeleportError?
    package var elapsed: Duration = .zero

    package init() {}

    package var requests: Int { profile.count + failures }

    /// Of those that succeeded.
    package var perSecond: Double {
        let nanoseconds = elapsed.clampedNanoseconds
        return nanoseconds == 0 ? 0 : Double(profile.count) * 1e9 / Double(nanoseconds)
    }
}
