internal import Base
internal import SSHWire

/// Channels and global requests (RFC 4254): messages become events, commands become messages.
struct ConnectionLayer: ~Copyable {
    private let limits: EngineLimits
    private var table: ChannelTable
    /// The sizes of all windows that the peer was given.
    private var windowBytesGiven = 0
    /// Global requests of ours whose replies are to come, and of the peer that wait for ours.
    private var awaitedGlobalReplies = 0
    private var owedGlobalReplies = 0

    init(limits: EngineLimits) {
        self.limits = limits
        table = ChannelTable(channelsMax: limits.channelsMax)
    }

    var channelCount: Int { table.count }

    // MARK: Messages of the peer

    /// Data, the message that nearly all are: nothing is copied and nothing allocated.
    ///
    /// - Returns: nil where our side has closed and wants no more.
    mutating func receiveData(_ payload: Span<UInt8>) throws(SSHError) -> (id: ChannelID, type: UInt32?, data: Range<Int>)? {
        let header: ChannelDataHeader
        do throws(WireError) {
            header = try ChannelDataHeader(payload: payload)
        } catch {
            throw SSHError(.malformedMessage(payload[0], error))
        }
        let index = try open(header.recipientChannel, payload[0])
        let count = header.data.count
        guard count <= Int(limits.packetBytesMax) else { throw SSHError(.channelPacketTooLarge(channel: header.recipientChannel)) }
        do throws(ChannelClosing.Fault) {
            try table.channels[index].closing.receiveData()
        } catch {
            throw SSHError(.channelState(payload[0], channel: header.recipientChannel))
        }
        do throws(ChannelWindow.Fault) {
            try table.channels[index].window.receive(count)
        } catch {
            throw SSHError(.windowExceeded(channel: header.recipientChannel))
        }
        guard table.channels[index].closing.maySend, count > 0 else { return nil }
        return (table.channels[index].id, header.extendedType, header.data)
    }

    mutating func receive(_ message: ChannelOpenMessage, _ outbox: inout Outbox) -> EngineEvent? {
        let remote = ChannelWindow(local: 0, remote: message.initialWindowSize)
        let packetMax = min(Int(message.maximumPacketSize), Int(limits.packetBytesMax))
        let id =
            packetMax == 0
            ? nil
            : table.insert { id in
                Channel(id: id, phase: .offered, remoteNumber: message.senderChannel, remotePacketMax: packetMax, window: remote)
            }
        guard let id else {
            outbox.send(
                ChannelOpenFailureMessage(
                    recipientChannel: message.senderChannel, reason: .resourceShortage, description: "too many channels"
                ).payload())
            return nil
        }
        return .channelOpenRequested(ChannelOpenOffer(id: id, type: message.type, payload: message.payload))
    }

    /// - Returns: nil where our side has given the channel up meanwhile.
    mutating func receive(
        _ message: ChannelOpenConfirmationMessage, _ outbox: inout Outbox, _ events: inout [EngineEvent]
    ) throws(SSHError) -> EngineEvent? {
        let number = ChannelOpenConfirmationMessage.number.rawValue
        let index = try opening(message.recipientChannel, number)
        guard message.maximumPacketSize > 0 else { throw SSHError(.channelState(number, channel: message.recipientChannel)) }
        var window = message.initialWindowSize
        let wasAhead = table.channels[index].phase == .ahead
        if wasAhead {
            guard FirstChannel.isKept(message) else { throw SSHError(.channelNotAsPromised(message.recipientChannel)) }
            window -= FirstChannel.windowBytes
        }
        table.channels[index].phase = .open
        table.channels[index].remoteNumber = message.senderChannel
        table.channels[index].remotePacketMax = min(Int(message.maximumPacketSize), Int(limits.packetBytesMax))
        do throws(ChannelWindow.Fault) {
            try table.channels[index].window.adjust(window)
        } catch {
            throw SSHError(.windowOverflow(channel: message.recipientChannel))
        }
        let isGivenUp = table.channels[index].closesAfterQueue
        if let event = flush(index, &outbox) { events.append(event) }
        // Who has been using it already hears of it in any case.
        return isGivenUp && !wasAhead ? nil : .channelOpened(table.channels[index].id, payload: message.payload)
    }

    mutating func receive(_ message: ChannelOpenFailureMessage) throws(SSHError) -> EngineEvent {
        let index = try opening(message.recipientChannel, ChannelOpenFailureMessage.number.rawValue)
        let id = table.channels[index].id
        remove(at: index)
        return .channelRefused(id, reason: message.reason, message: message.description.withoutControls)
    }

    mutating func receive(_ message: ChannelWindowAdjustMessage, _ outbox: inout Outbox) throws(SSHError) -> EngineEvent? {
        let index = try open(message.recipientChannel, ChannelWindowAdjustMessage.number.rawValue)
        do throws(ChannelWindow.Fault) {
            try table.channels[index].window.adjust(message.bytesToAdd)
        } catch {
            throw SSHError(.windowOverflow(channel: message.recipientChannel))
        }
        return flush(index, &outbox)
    }

    mutating func receiveEOF(_ message: ChannelEOFMessage) throws(SSHError) -> EngineEvent? {
        let index = try open(message.recipientChannel, ChannelEOFMessage.number.rawValue)
        do throws(ChannelClosing.Fault) {
            try table.channels[index].closing.receiveEOF()
        } catch {
            throw SSHError(.channelState(ChannelEOFMessage.number.rawValue, channel: message.recipientChannel))
        }
        return table.channels[index].closing.maySend ? .channelEOF(table.channels[index].id) : nil
    }

    mutating func receiveClose(_ message: ChannelCloseMessage, _ outbox: inout Outbox) throws(SSHError) -> EngineEvent {
        let index = try open(message.recipientChannel, ChannelCloseMessage.number.rawValue)
        do throws(ChannelClosing.Fault) {
            switch try table.channels[index].closing.receiveClose() {
            case .sendClose: outbox.send(ChannelCloseMessage(recipientChannel: table.channels[index].remoteNumber).payload())
            case .none: break
            }
        } catch {
            throw SSHError(.channelState(ChannelCloseMessage.number.rawValue, channel: message.recipientChannel))
        }
        let id = table.channels[index].id
        remove(at: index)
        return .channelClosed(id)
    }

    mutating func receive(_ message: ChannelRequestMessage) throws(SSHError) -> EngineEvent? {
        let index = try open(message.recipientChannel, ChannelRequestMessage.number.rawValue)
        // Nothing can be answered after our CLOSE.
        guard table.channels[index].closing.maySend else { return nil }
        if message.wantReply {
            table.channels[index].owedReplies += 1
            let owed = table.channels[index].owedReplies
            guard owed <= limits.unansweredRequestsMax else { throw SSHError(.requestsUnanswered(owed)) }
        }
        let offer = ChannelRequestOffer(type: message.type, payload: message.payload, wantsReply: message.wantReply)
        return .channelRequest(table.channels[index].id, offer)
    }

    mutating func receiveReply(channel number: UInt32, success: Bool) throws(SSHError) -> EngineEvent? {
        let message = success ? MessageNumber.channelSuccess : MessageNumber.channelFailure
        let index = try open(number, message.rawValue)
        guard table.channels[index].awaitedReplies > 0 else { throw SSHError(.replyNotAsked(message.rawValue)) }
        table.channels[index].awaitedReplies -= 1
        return table.channels[index].closing.maySend ? .channelRequestReply(table.channels[index].id, success: success) : nil
    }

    mutating func receive(_ message: GlobalRequestMessage) throws(SSHError) -> EngineEvent {
        if message.wantReply {
            owedGlobalReplies += 1
            guard owedGlobalReplies <= limits.unansweredRequestsMax else { throw SSHError(.requestsUnanswered(owedGlobalReplies)) }
        }
        return .globalRequest(GlobalRequestOffer(name: message.name, payload: message.payload, wantsReply: message.wantReply))
    }

    mutating func receiveGlobalReply(success: Bool, payload: [UInt8]) throws(SSHError) -> EngineEvent {
        guard awaitedGlobalReplies > 0 else {
            throw SSHError(.replyNotAsked((success ? MessageNumber.requestSuccess : MessageNumber.requestFailure).rawValue))
        }
        awaitedGlobalReplies -= 1
        return .globalReply(success: success, payload: payload)
    }

    /// The channel of a message that only an open one may get.
    private func open(_ number: UInt32, _ message: UInt8) throws(SSHError) -> Int {
        guard let index = table.index(number: number) else { throw SSHError(.channelUnknown(number)) }
        guard table.channels[index].phase == .open else { throw SSHError(.channelState(message, channel: number)) }
        return index
    }

    private func opening(_ number: UInt32, _ message: UInt8) throws(SSHError) -> Int {
        guard let index = table.index(number: number) else { throw SSHError(.channelUnknown(number)) }
        guard table.channels[index].isUnconfirmed else { throw SSHError(.channelState(message, channel: number)) }
        return index
    }

    /// A 32nd of what is left, within what a channel may have at most and needs at least.
    private func windowSize(_ wanted: UInt32) -> UInt32 {
        let share = max(limits.windowBytesMin, UInt32(clamping: (limits.windowBytesTotal - windowBytesGiven) / 32))
        return min(wanted, share)
    }

    private mutating func remove(at index: Int) {
        windowBytesGiven -= Int(table.channels[index].window.localSize)
        table.remove(at: index)
    }

    // MARK: Commands

    mutating func openChannel(type: String, payload: [UInt8], _ outbox: inout Outbox) -> ChannelID? {
        let size = windowSize(min(limits.windowBytes, limits.windowBytesFirst))
        let id = table.insert { id in
            Channel(id: id, phase: .opening, remoteNumber: 0, remotePacketMax: 0, window: ChannelWindow(local: size, remote: 0))
        }
        guard let id else { return nil }
        windowBytesGiven += Int(size)
        outbox.send(
            ChannelOpenMessage(
                type: type, senderChannel: id.number, initialWindowSize: size, maximumPacketSize: limits.packetBytesMax, payload: payload
            ).payload())
        return id
    }

    /// - Returns: nil where it would not be the first channel.
    mutating func openSessionAhead(_ outbox: inout Outbox) -> ChannelID? {
        guard table.isUntouched, let id = openChannel(type: ChannelOpenType.session.type, payload: [], &outbox),
            let index = table.index(of: id)
        else { return nil }
        table.channels[index].phase = .ahead
        table.channels[index].remoteNumber = FirstChannel.number
        table.channels[index].remotePacketMax = Int(FirstChannel.packetBytesMax)
        table.channels[index].window = ChannelWindow(
            local: table.channels[index].window.localSize, remote: FirstChannel.windowBytes)
        return id
    }

    mutating func acceptChannel(_ id: ChannelID, payload: [UInt8], _ outbox: inout Outbox) {
        guard let index = table.index(of: id) else { return }
        precondition(table.channels[index].phase == .offered, "accepts a channel that is not offered")
        let size = windowSize(min(limits.windowBytes, limits.windowBytesFirst))
        windowBytesGiven += Int(size)
        table.channels[index].phase = .open
        table.channels[index].window = ChannelWindow(local: size, remote: table.channels[index].window.remote)
        outbox.send(
            ChannelOpenConfirmationMessage(
                recipientChannel: table.channels[index].remoteNumber, senderChannel: id.number, initialWindowSize: size,
                maximumPacketSize: limits.packetBytesMax, payload: payload
            ).payload())
    }

    mutating func refuseChannel(_ id: ChannelID, reason: ChannelOpenFailureReason, message: String, _ outbox: inout Outbox) {
        guard let index = table.index(of: id) else { return }
        precondition(table.channels[index].phase == .offered, "refuses a channel that is not offered")
        let remote = table.channels[index].remoteNumber
        remove(at: index)
        outbox.send(ChannelOpenFailureMessage(recipientChannel: remote, reason: reason, description: message).payload())
    }

    mutating func send(_ bytes: Span<UInt8>, extendedType: UInt32?, on id: ChannelID, _ outbox: inout Outbox) {
        guard let index = table.index(of: id), table.channels[index].takesData else { return }
        var sent = 0
        if table.channels[index].queue.isEmpty, !outbox.isBlocked {
            while sent < bytes.count {
                let part = min(bytes.count - sent, table.channels[index].room)
                if part == 0 { break }
                Self.seal(bytes.extracting(sent..<sent + part), extendedType, table.channels[index].remoteNumber, &outbox)
                table.channels[index].window.send(part)
                sent += part
            }
        }
        guard sent < bytes.count else { return }
        table.channels[index].queue.append(
            bytes.extracting(droppingFirst: sent), extendedType: extendedType, from: outbox.writer.buffers)
    }

    private static func seal(_ bytes: Span<UInt8>, _ extendedType: UInt32?, _ remote: UInt32, _ outbox: inout Outbox) {
        if let extendedType {
            outbox.writer.writeExtendedData(bytes, type: extendedType, channel: remote)
        } else {
            outbox.writer.writeData(bytes, channel: remote)
        }
    }

    mutating func isWritable(_ id: ChannelID) -> Bool {
        guard let index = table.index(of: id), table.channels[index].takesData else { return false }
        guard table.channels[index].queue.count >= limits.queuedBytesHigh else { return true }
        table.channels[index].hasBeenFull = true
        return false
    }

    /// Sends what window and keys allow of one channel's queue, then the EOF or CLOSE that waited behind it.
    ///
    /// - Returns: that there is room again, where the caller had been told that there is none.
    private mutating func flush(_ index: Int, _ outbox: inout Outbox) -> EngineEvent? {
        guard !outbox.isBlocked else { return nil }
        let remote = table.channels[index].remoteNumber
        let buffers = outbox.writer.buffers
        while table.channels[index].room > 0, !table.channels[index].queue.isEmpty {
            let sent = table.channels[index].queue.takeFirst(max: table.channels[index].room, to: buffers) { bytes, type in
                Self.seal(bytes, type, remote, &outbox)
            }
            table.channels[index].window.send(sent)
        }
        finish(index, &outbox)
        guard table.channels[index].hasBeenFull, table.channels[index].takesData,
            table.channels[index].queue.count <= limits.queuedBytesLow
        else { return nil }
        table.channels[index].hasBeenFull = false
        return .channelWritable(table.channels[index].id)
    }

    /// After a key exchange: every channel may send again.
    mutating func flushAll(_ outbox: inout Outbox, _ events: inout [EngineEvent]) {
        for index in table.channels.indices where table.channels[index].isUsable {
            if let event = flush(index, &outbox) { events.append(event) }
        }
    }

    private mutating func finish(_ index: Int, _ outbox: inout Outbox) {
        guard table.channels[index].isUsable, table.channels[index].queue.isEmpty else { return }
        if table.channels[index].sendsEOFAfterQueue, table.channels[index].closing.maySendData {
            table.channels[index].closing.sendEOF()
            outbox.send(ChannelEOFMessage(recipientChannel: table.channels[index].remoteNumber).payload())
        }
        if table.channels[index].closesAfterQueue, table.channels[index].closing.maySend {
            table.channels[index].closing.sendClose()
            outbox.send(ChannelCloseMessage(recipientChannel: table.channels[index].remoteNumber).payload())
        }
    }

    mutating func sendEOF(on id: ChannelID, _ outbox: inout Outbox) {
        guard let index = table.index(of: id), table.channels[index].takesData else { return }
        table.channels[index].sendsEOFAfterQueue = true
        finish(index, &outbox)
    }

    mutating func closeChannel(_ id: ChannelID, _ outbox: inout Outbox) {
        guard let index = table.index(of: id), !table.channels[index].closesAfterQueue else { return }
        precondition(table.channels[index].phase != .offered, "closes a channel that is to be accepted or refused")
        table.channels[index].closesAfterQueue = true
        finish(index, &outbox)
    }

    mutating func consumed(_ count: Int, on id: ChannelID, _ outbox: inout Outbox) {
        guard let index = table.index(of: id), table.channels[index].closing.maySend else { return }
        let before = table.channels[index].window.localSize
        let twice = UInt32(clamping: 2 * Int(before))
        let grant = table.channels[index].window.consume(count, size: windowSize(min(limits.windowBytes, twice)))
        windowBytesGiven += Int(table.channels[index].window.localSize - before)
        guard let grant else { return }
        outbox.send(ChannelWindowAdjustMessage(recipientChannel: table.channels[index].remoteNumber, bytesToAdd: grant))
    }

    mutating func sendRequest(_ type: String, payload: [UInt8], wantsReply: Bool, on id: ChannelID, _ outbox: inout Outbox) {
        guard let index = table.index(of: id), table.channels[index].closing.maySend else { return }
        precondition(table.channels[index].isUsable, "a request on a channel that is not open")
        if wantsReply { table.channels[index].awaitedReplies += 1 }
        outbox.send(
            ChannelRequestMessage(
                recipientChannel: table.channels[index].remoteNumber, type: type, wantReply: wantsReply, payload: payload
            ).payload())
    }

    mutating func replyToRequest(on id: ChannelID, success: Bool, _ outbox: inout Outbox) {
        guard let index = table.index(of: id), table.channels[index].closing.maySend else { return }
        precondition(table.channels[index].owedReplies > 0, "answers a request that was not made")
        table.channels[index].owedReplies -= 1
        let remote = table.channels[index].remoteNumber
        outbox.send(
            success ? ChannelSuccessMessage(recipientChannel: remote).payload() : ChannelFailureMessage(recipientChannel: remote).payload())
    }

    mutating func sendGlobalRequest(_ name: String, payload: [UInt8], wantsReply: Bool, _ outbox: inout Outbox) {
        if wantsReply { awaitedGlobalReplies += 1 }
        outbox.send(GlobalRequestMessage(name: name, wantReply: wantsReply, payload: payload).payload())
    }

    mutating func replyToGlobalRequest(success: Bool, payload: [UInt8], _ outbox: inout Outbox) {
        precondition(owedGlobalReplies > 0, "answers a request that was not made")
        owedGlobalReplies -= 1
        outbox.send(success ? RequestSuccessMessage(payload: payload).payload() : RequestFailureMessage().payload())
    }
}
