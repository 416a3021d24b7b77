/// The channels of a connection by our number: a free one is used again (RFC 4254 §5.1 leaves the choice to each side).
struct ChannelTable {
    private let channelsMax: Int
    /// By number. Whoever has a position from ``index(of:)`` changes the channel in its place: a copy would cost each packet an allocation.
    var channels: [Channel] = []
    private var free: [Int] = []
    private(set) var count = 0
    /// Whether there has never been a channel.
    var isUntouched: Bool { channels.isEmpty }

    init(channelsMax: Int) {
        self.channelsMax = channelsMax
    }

    /// nil when the table is full.
    mutating func insert(_ make: (ChannelID) -> Channel) -> ChannelID? {
        guard count < channelsMax else { return nil }
        let index = free.popLast() ?? channels.count
        if index == channels.count { channels.append(Channel.free(ChannelID(number: UInt32(index), generation: 0))) }
        let id = channels[index].id
        channels[index] = make(id)
        count += 1
        return id
    }

    mutating func remove(at index: Int) {
        let id = channels[index].id
        precondition(channels[index].phase != .free, "removes a channel that is not there")
        channels[index] = Channel.free(ChannelID(number: id.number, generation: id.generation &+ 1))
        free.append(index)
        count -= 1
    }

    /// The channel that a command names; nil where it has closed meanwhile.
    func index(of id: ChannelID) -> Int? {
        let index = Int(id.number)
        guard index < channels.count, channels[index].id == id, channels[index].phase != .free else { return nil }
        return index
    }

    /// The channel that a message names.
    func index(number: UInt32) -> Int? {
        guard Int(number) < channels.count, channels[Int(number)].phase != .free else { return nil }
        return Int(number)
    }
}
