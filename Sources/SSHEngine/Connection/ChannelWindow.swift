/// Both windows of a channel (RFC 4254 §5.2). All sums are checked: the numbers come from a peer.
struct ChannelWindow: Sendable {
    enum Fault: Error, Equatable {
        /// The peer sent more than we let it.
        case exceeded
        /// The peer's adjustments add up to more than 2^32 - 1.
        case overflow
    }

    /// What the peer may still send.
    private(set) var local: UInt32
    /// What we may still send.
    private(set) var remote: UInt32
    /// What we grant at most.
    private(set) var localSize: UInt32
    /// Consumed by our side, not yet granted again.
    private var consumed: UInt32 = 0

    init(local: UInt32, remote: UInt32) {
        self.local = local
        localSize = local
        self.remote = remote
    }

    /// The peer sent `count` bytes.
    mutating func receive(_ count: Int) throws(Fault) {
        guard count <= Int(local) else { throw .exceeded }
        local -= UInt32(count)
    }

    /// Our side has used `count` received bytes.
    ///
    /// - Parameter size: what the window may grow to by now.
    /// - Returns: what to grant the peer, when it is worth a message: half of the window.
    mutating func consume(_ count: Int, size: UInt32) -> UInt32? {
        let outstanding = localSize - local - consumed
        precondition(count >= 0 && count <= Int(outstanding), "more consumed than received")
        consumed += UInt32(count)
        guard consumed > 0, consumed >= localSize / 2 else { return nil }
        let grant = consumed + (size > localSize ? size - localSize : 0)
        consumed = 0
        localSize = max(size, localSize)
        local += grant
        return grant
    }

    /// The peer lets us send `count` more bytes.
    mutating func adjust(_ count: UInt32) throws(Fault) {
        let (sum, overflow) = remote.addingReportingOverflow(count)
        guard !overflow else { throw .overflow }
        remote = sum
    }

    /// We send `count` bytes.
    mutating func send(_ count: Int) {
        precondition(count >= 0 && count <= Int(remote), "more sent than the window allows")
        remote -= UInt32(count)
    }
}
