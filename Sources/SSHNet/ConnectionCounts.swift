internal import Base
internal import SSHEngine

/// What the connections of one listener have done: plain integers of its loop, which the data path has time for.
final class ConnectionCounts {
    /// With all that SSH adds to it.
    var bytesReceived: UInt64 = 0
    var bytesSent: UInt64 = 0
    var channelsOpened: UInt64 = 0
    var rekeys: UInt64 = 0
    /// Closed at once, because their address holds as many as it may.
    var connectionsRefused: UInt64 = 0
    /// Keys that were not taken; a client may offer several before the one that is.
    var refusals = Tally<RefusalReason>()
    private var handshakes = Tally<HandshakeOutcome>()
    private var handshakeTimes = Histogram(bounds: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30])

    func loggedIn(after duration: Duration) {
        handshakes.count(.loggedIn)
        handshakeTimes.record(duration)
    }

    func handshakeFailed(_ outcome: HandshakeOutcome) {
        handshakes.count(outcome)
    }

    func add(to metrics: inout Metrics, connections: Int, channels: Int, of listener: String) {
        let labels: KeyValuePairs = ["listener": listener]
        metrics.add(.connections, connections, labels)
        metrics.add(.connectionsRefused, connectionsRefused, labels)
        metrics.add(.keysRefused, refusals, by: "reason", labels)
        metrics.add(.handshakes, handshakes, by: "result", labels)
        metrics.add(.handshakeTimes, handshakeTimes, labels)
        metrics.add(.rekeys, rekeys, labels)
        metrics.add(.channels, channels, labels)
        metrics.add(.channelsOpened, channelsOpened, labels)
        metrics.add(.bytesReceived, bytesReceived, labels)
        metrics.add(.bytesSent, bytesSent, labels)
    }
}

/// How the way from an accepted connection to a user who is logged in came out.
enum HandshakeOutcome: String, CaseIterable, Sendable {
    case loggedIn = "ok"
    /// The peer shares no algorithm with us.
    case algorithms
    /// Its keys were refused.
    case refused
    case timeout
    /// It broke the protocol, or never spoke it.
    case protocolError = "protocol"
    /// It left, or was lost, before anything was decided.
    case left

    /// - Parameter wasRefused: whether a key of the peer's was.
    init(failure error: TeleportError?, wasRefused: Bool) {
        switch (error?.cause as? SSHError)?.reason {
        case nil, .disconnectedByPeer?: self = wasRefused ? .refused : .left
        case .authenticationTimeout?, .keyExchangeTimeout?: self = wasRefused ? .refused : .timeout
        case .authenticationAttempts?, .credentialsExhausted?: self = .refused
        case .noCommonAlgorithm?: self = .algorithms
        default: self = .protocolError
        }
    }
}

extension Metric {
    fileprivate static let connections = Metric(.gauge, "teleport_ssh_connections", "Connections that are open, logged in or not.")
    fileprivate static let connectionsRefused = Metric(
        .counter, "teleport_ssh_connections_refused_total", "Connections closed at once, for their address holds as many as it may.")
    fileprivate static let keysRefused = Metric(
        .counter, "teleport_ssh_keys_refused_total", "Keys and certificates that clients offered and that let nobody in.")
    fileprivate static let handshakes = Metric(
        .counter, "teleport_ssh_handshakes_total", "Connections that came to a login, or why they did not.")
    fileprivate static let handshakeTimes = Metric(.histogram, "teleport_ssh_handshake_seconds", "From the connection to the login.")
    fileprivate static let rekeys = Metric(.counter, "teleport_ssh_rekeys_total", "Key exchanges after the first.")
    fileprivate static let channels = Metric(.gauge, "teleport_ssh_channels", "Channels that are open or being opened by us.")
    fileprivate static let channelsOpened = Metric(.counter, "teleport_ssh_channels_opened_total", "Channels that were opened.")
    fileprivate static let bytesReceived = Metric(
        .counter, "teleport_ssh_received_bytes_total", "Bytes read from the connections, with all that SSH adds.")
    fileprivate static let bytesSent = Metric(
        .counter, "teleport_ssh_sent_bytes_total", "Bytes written to the connections, with all that SSH adds.")
}
