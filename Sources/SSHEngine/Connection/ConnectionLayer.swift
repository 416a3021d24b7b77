internal import Base
internal import SSHWire

/// Channels and global requests (RFC 4254): messages become events, commands become messages.
struct ConnectionLayer: ~Copyable {
    private let limits: EngineLimits
    private var table: ChannelTable
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
        let id = try open(header.recipientChannel, payload[0])
        let count = header.data.count
        guard count <= Int(limits.packetBytesMax) else { throw SSHError(.channelPacketTooLarge(channel: id.number)) }
        do throws(ChannelClosing.Fault) {
            try table[id]?.closing.receiveData()
        } catch {
            throw SSHError(.channelState(payload[0], channel: id.number))
        }
        do throws(ChannelWindow.Fault) {
            try table[id]?.window.receive(count)
        } catch {
            throw SSHError(.windowExceeded(channel: id.number))
        }
        guard table[id]?.closing.maySend == true, count > 0 else { return nil }
        return (id, header.extendedType, header.data)
    }

    mutating func receive(_ message: ChannelOpenMessage, _ outbox: inout Outbox) -> EngineEvent? {
        let remote = ChannelWindow(local: limits.windowBytes, remote: message.initialWindowSize)
        let packetMax = min(Int(message.maximumPacketSize), Int(limits.packetBytesMax))
        let id = packetMax == 0 ? nil : table.insert { id in
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
    mutating func receive(_ message: ChannelOpenConfirmationMessage, _ outbox: inout Outbox) throws(SSHError) -> EngineEvent? {
        let number = ChannelOpenConfirmationMessage.number.rawValue
        let id = try opening(message.recipientChannel, number)
        guard message.maximumPacketSize > 0 else { throw SSHError(.channelState(number, channel: id.number)) }
        table[id]?.phase = .open
        table[id]?.remoteNumber = message.senderChannel
        table[id]?.remotePacketMax = min(Int(message.maximumPacketSize), Int(limits.packetBytesMax))
        do throws(ChannelWindow.Fault) {
            try table[id]?.window.adjust(message.initialWindowSize)
        } catch {
            throw SSHError(.windowOverflow(channel: id.number))
        }
        guard table[id]?.closesAfterQueue == false else {
            finish(id, &outbox)
            return nil
        }
        return .channelOpened(id, payload: message.payload)
    }

    mutating func receive(_ message: ChannelOpenFailureMessage) throws(SSHError) -> EngineEvent {
        let id = try opening(message.recipientChannel, ChannelOpenFailureMessage.number.rawValue)
        table.remove(id)
        return .channelRefused(id, reason: message.reason, message: message.description.withoutControls)
    }

    mutating func receive(_ message: ChannelWindowAdjustMessage, _ outbox: inout Outbox) throws(SSHError) -> EngineEvent? {
        let id = try open(message.recipientChannel, ChannelWindowAdjustMessage.number.rawValue)
        do throws(ChannelWindow.Fault) {
            try table[id]?.window.adjust(message.bytesToAdd)
        } catch {
            throw SSHError(.windowOverflow(channel: id.number))
        }
        return flush(id, &outbox)
    }

    mutating func receiveEOF(_ message: ChannelEOFMessage) throws(SSHError) -> EngineEvent? {
        let id = try open(message.recipientChannel, ChannelEOFMessage.number.rawValue)
        do throws(ChannelClosing.Fault) {
            try table[id]?.closing.receiveEOF()
        } catch {
            throw SSHError(.channelState(ChannelEOFMessage.number.rawValue, channel: id.number))
        }
        guard let channel = table[id], channel.closing.maySend else { return nil }
        return .channelEOF(id)
    }

    mutating func receiveClose(_ message: ChannelCloseMessage, _ outbox: inout Outbox) throws(SSHError) -> EngineEvent {
        let id = try open(message.recipientChannel, ChannelCloseMessage.number.rawValue)
        guard let channel = table[id] else { preconditionFailure("an open channel is not in the table") }
        var closing = channel.closing
        do throws(ChannelClosing.Fault) {
            switch try closing.receiveClose() {
            case .sendClose: outbox.send(ChannelCloseMessage(recipientChannel: channel.remoteNumber).payload())
            case .none: break
            }
        } catch {
            throw SSHError(.channelState(ChannelCloseMessage.number.rawValue, channel: id.number))
        }
        table.remove(id)
        return .channelClosed(id)
    }

    mutating func receive(_ message: ChannelRequestMessage) throws(SSHError) -> EngineEvent? {
        let id = try open(message.recipientChannel, ChannelRequestMessage.number.rawValue)
        // Nothing can be answered after our CLOSE.
        guard let channel = table[id], channel.closing.maySend else { return nil }
        if message.wantReply {
            table[id]?.owedReplies += 1
            guard channel.owedReplies < limits.unansweredRequestsMax else { throw SSHError(.requestsUnanswered(channel.owedReplies + 1)) }
        }
        return .channelRequest(id, ChannelRequestOffer(type: message.type, payload: message.payload, wantsReply: message.wantReply))
    }

    mutating func receiveReply(channel number: UInt32, success: Bool) throws(SSHError) -> EngineEvent? {
        let message = success ? MessageNumber.channelSuccess : MessageNumber.channelFailure
        let id = try open(number, message.rawValue)
        guard let channel = table[id], channel.awaitedReplies > 0 else { throw SSHError(.replyNotAsked(message.rawValue)) }
        table[id]?.awaitedReplies -= 1
        return channel.closing.maySend ? .channelRequestReply(id, success: success) : nil
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
    private func open(_ number: UInt32, _ message: UInt8) throws(SSHError) -> ChannelID {
        guard let id = table.id(number: number) else { throw SSHError(.channelUnknown(number)) }
        switch table[id]?.phase {
        case .open: return id
        case .opening, .offered, nil: throw SSHError(.channelState(message, channel: number))
        }
    }

    private func opening(_ number: UInt32, _ message: UInt8) throws(SSHError) -> ChannelID {
        guard let id = table.id(number: number) else { throw SSHError(.channelUnknown(number)) }
        switch table[id]?.phase {
        case .opening: return id
        case .open, .offered, nil: throw SSHError(.channelState(message, channel: number))
        }
    }

    // MARK: Commands

    mutating func openChannel(type: String, payload: [UInt8], window: UInt32?, _ outbox: inout Outbox) -> ChannelID? {
        let size = window ?? limits.windowBytes
        let id = table.insert { id in
            Channel(id: id, phase: .opening, remoteNumber: 0, remotePacketMax: 0, window: ChannelWindow(local: size, remote: 0))
        }
        guard let id else { return nil }
        outbox.send(
            ChannelOpenMessage(
                type: type, senderChannel: id.number, initialWindowSize: size, maximumPacketSize: limits.packetBytesMax, payload: payload
            ).payload())
        return id
    }

    mutating func acceptChannel(_ id: ChannelID, payload: [UInt8], window: UInt32?, _ outbox: inout Outbox) {
        guard let channel = table[id] else { return }
        precondition(channel.phase == .offered, "accepts a channel that is not offered")
        let size = window ?? limits.windowBytes
        table[id]?.phase = .open
        table[id]?.window = ChannelWindow(local: size, remote: channel.window.remote)
        outbox.send(
            ChannelOpenConfirmationMessage(
                recipientChannel: channel.remoteNumber, senderChannel: id.number, initialWindowSize: size,
                maximumPacketSize: limits.packetBytesMax, payload: payload
            ).payload())
    }

    mutating func refuseChannel(_ id: ChannelID, reason: ChannelOpenFailureReason, message: String, _ outbox: inout Outbox) {
        guard let channel = table[id] else { return }
        precondition(channel.phase == .offered, "refuses a channel that is not offered")
        table.remove(id)
        outbox.send(
            ChannelOpenFailureMessage(recipientChannel: channel.remoteNumber, reason: reason, description: message).payload())
    }

    mutating func send(_ bytes: Span<UInt8>, extendedType: UInt32?, on id: ChannelID, _ outbox: inout Outbox) {
        guard table[id]?.takesData == true, let queued = table[id]?.queue.count else { return }
        var sent = 0
        if queued == 0, !outbox.isBlocked {
            while sent < bytes.count, let room = room(id), room > 0, let remote = table[id]?.remoteNumber {
                let part = min(bytes.count - sent, room)
                Self.seal(bytes.extracting(sent..<sent + part), extendedType, remote, &outbox)
                table[id]?.window.send(part)
                sent += part
            }
        }
        if sent < bytes.count { table[id]?.queue.append(bytes.extracting(sent..<bytes.count), extendedType: extendedType) }
    }

    /// What one packet to this channel may carry.
    private func room(_ id: ChannelID) -> Int? {
        guard let window = table[id]?.window.remote, let packetMax = table[id]?.remotePacketMax else { return nil }
        return min(Int(window), packetMax)
    }

    private static func seal(_ bytes: Span<UInt8>, _ extendedType: UInt32?, _ remote: UInt32, _ outbox: inout Outbox) {
        if let extendedType {
            outbox.writer.writeExtendedData(bytes, type: extendedType, channel: remote)
        } else {
            outbox.writer.writeData(bytes, channel: remote)
        }
    }

    mutating func isWritable(_ id: ChannelID) -> Bool {
        guard let channel = table[id], channel.takesData else { return false }
        guard channel.queue.count >= limits.queuedBytesHigh else { return true }
        table[id]?.hasBeenFull = true
        return false
    }

    /// Sends what window and keys allow of one channel's queue, then the EOF or CLOSE that waited behind it.
    ///
    /// - Returns: that there is room again, where the caller had been told that there is none.
    mutating func flush(_ id: ChannelID, _ outbox: inout Outbox) -> EngineEvent? {
        guard !outbox.isBlocked else { return nil }
        while let room = room(id), room > 0, let remote = table[id]?.remoteNumber, let next = table[id]?.queue.first(max: room) {
            Self.seal(next.bytes.span.extracting(next.range), next.extendedType, remote, &outbox)
            table[id]?.window.send(next.range.count)
            table[id]?.queue.removeFirst(next.range.count)
        }
        finish(id, &outbox)
        guard table[id]?.hasBeenFull == true, table[id]?.takesData == true, (table[id]?.queue.count ?? 0) <= limits.queuedBytesLow else { return nil }
        table[id]?.hasBeenFull = false
        return .channelWritable(id)
    }

    /// After a key exchange: every channel may send again.
    mutating func flushAll(_ outbox: inout Outbox, _ events: inout [EngineEvent]) {
        for id in table.ids {
            if let event = flush(id, &outbox) { events.append(event) }
        }
    }

    private mutating func finish(_ id: ChannelID, _ outbox: inout Outbox) {
        guard let channel = table[id], channel.phase == .open, channel.queue.isEmpty else { return }
        if channel.sendsEOFAfterQueue, channel.closing.maySendData {
            table[id]?.closing.sendEOF()
            outbox.send(ChannelEOFMessage(recipientChannel: channel.remoteNumber).payload())
        }
        if channel.closesAfterQueue, channel.closing.maySend {
            table[id]?.closing.sendClose()
            outbox.send(ChannelCloseMessage(recipientChannel: channel.remoteNumber).payload())
        }
    }

    mutating func sendEOF(on id: ChannelID, _ outbox: inout Outbox) {
        guard table[id]?.takesData == true else { return }
        table[id]?.sendsEOFAfterQueue = true
        finish(id, &outbox)
    }

    mutating func closeChannel(_ id: ChannelID, _ outbox: inout Outbox) {
        guard let channel = table[id], !channel.closesAfterQueue else { return }
        precondition(channel.phase != .offered, "closes a channel that is to be accepted or refused")
        table[id]?.closesAfterQueue = true
        finish(id, &outbox)
    }

    mutating func consumed(_ count: Int, on id: ChannelID, _ outbox: inout Outbox) {
        guard table[id]?.closing.maySend == true, let grant = table[id]?.window.consume(count), let remote = table[id]?.remoteNumber else { return }
        outbox.send(ChannelWindowAdjustMessage(recipientChannel: remote, bytesToAdd: grant).payload())
    }

    mutating func sendRequest(_ type: String, payload: [UInt8], wantsReply: Bool, on id: ChannelID, _ outbox: inout Outbox) {
        guard let channel = table[id], channel.closing.maySend else { return }
        precondition(channel.phase == .open, "a request on a channel that is not open")
        if wantsReply { table[id]?.awaitedReplies += 1 }
        outbox.send(
            ChannelRequestMessage(recipientChannel: channel.remoteNumber, type: type, wantReply: wantsReply, payload: payload).payload())
    }

    mutating func replyToRequest(on id: ChannelID, success: Bool, _ outbox: inout Outbox) {
        guard let channel = table[id], channel.closing.maySend else { return }
        precondition(channel.owedReplies > 0, "answers a request that was not made")
        table[id]?.owedReplies -= 1
        outbox.send(
            success
                ? ChannelSuccessMessage(recipientChannel: channel.remoteNumber).payload()
                : ChannelFailureMessage(recipientChannel: channel.remoteNumber).payload())
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
