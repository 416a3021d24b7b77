/// The channels of a connection by our number: the lowest free one is used again (RFC 4254 §5.1 leaves the choice to each side).
struct ChannelTable {
    private struct Slot {
        var generation: UInt32 = 0
        var channel: Channel?
    }

    private let channelsMax: Int
    private var slots: [Slot] = []
    private var free: [UInt32] = []
    private(set) var count = 0

    init(channelsMax: Int) {
        self.channelsMax = channelsMax
    }

    /// nil when the table is full.
    mutating func insert(_ make: (ChannelID) -> Channel) -> ChannelID? {
        guard count < channelsMax else { return nil }
        let number: UInt32
        if let reused = free.popLast() {
            number = reused
        } else {
            number = UInt32(slots.count)
            slots.append(Slot())
        }
        let id = ChannelID(number: number, generation: slots[Int(number)].generation)
        slots[Int(number)].channel = make(id)
        count += 1
        return id
    }

    mutating func remove(_ id: ChannelID) {
        precondition(self[id] != nil, "removes a channel that is not there")
        slots[Int(id.number)].channel = nil
        slots[Int(id.number)].generation &+= 1
        free.append(id.number)
        count -= 1
    }

    /// The channel that a command names; nil where it has closed meanwhile.
    subscript(id: ChannelID) -> Channel? {
        _read {
            if Int(id.number) < slots.count, slots[Int(id.number)].generation == id.generation {
                yield slots[Int(id.number)].channel
            } else {
                yield nil
            }
        }
        _modify {
            guard Int(id.number) < slots.count, slots[Int(id.number)].generation == id.generation else {
                preconditionFailure("changes a channel that is not there")
            }
            yield &slots[Int(id.number)].channel
        }
    }

    /// The channel that a message names.
    func id(number: UInt32) -> ChannelID? {
        guard number < slots.count else { return nil }
        return slots[Int(number)].channel?.id
    }

    var ids: [ChannelID] { slots.compactMap { $0.channel?.id } }
}
