package import SSHWire

/// What the caller may ask for at any time. A command that names a channel that has closed meanwhile, or comes after the end, does nothing.
extension SSHEngine {
    // MARK: Channels

    /// Opens a channel; nil when the table is full. Only after ``EngineEvent/authenticated(user:)`` or ``EngineEvent/loginSent``.
    package mutating func openChannel(type: String, payload: [UInt8]) -> ChannelID? {
        precondition(mayAsk, "opens a channel before authentication")
        guard !isFinished else { return nil }
        return connection.openChannel(type: type, payload: payload, &outbox)
    }

    /// Opens a session channel that may be used at once, on the word of a server of ours: the first of a connection gets the number and the window
    /// of ``FirstChannel``. ``EngineEvent/channelOpened(_:payload:)`` comes when the server has kept it, and where it has not, the end.
    ///
    /// - Returns: nil where nothing is promised: then ``openChannel(type:payload:)`` does.
    package mutating func openSessionAhead() -> ChannelID? {
        precondition(mayAsk, "opens a channel before authentication")
        guard !isFinished, isPeerOurs else { return nil }
        return connection.openSessionAhead(&outbox)
    }

    package mutating func acceptChannel(_ id: ChannelID, payload: [UInt8] = []) {
        guard !isFinished else { return }
        connection.acceptChannel(id, payload: payload, &outbox)
    }

    package mutating func refuseChannel(_ id: ChannelID, reason: ChannelOpenFailureReason, message: String) {
        guard !isFinished else { return }
        connection.refuseChannel(id, reason: reason, message: message, &outbox)
    }

    /// Seals `bytes` into the output as far as window and keys allow; the rest waits in the channel's queue.
    ///
    /// The queue takes all that is given: whoever has a source of data asks ``isWritable(_:)``.
    package mutating func send(_ bytes: Span<UInt8>, on id: ChannelID) {
        guard !isFinished else { return }
        connection.send(bytes, extendedType: nil, on: id, &outbox)
        beginRekeyIfDue()
    }

    package mutating func sendExtended(_ bytes: Span<UInt8>, type: UInt32, on id: ChannelID) {
        guard !isFinished else { return }
        connection.send(bytes, extendedType: type, on: id, &outbox)
        beginRekeyIfDue()
    }

    /// Whether the queue is below its high mark; after a no, ``EngineEvent/channelWritable(_:)`` says when there is room again.
    package mutating func isWritable(_ id: ChannelID) -> Bool {
        !isFinished && connection.isWritable(id)
    }

    /// After the queued data. Again, and after a close, it does nothing.
    package mutating func sendEOF(on id: ChannelID) {
        guard !isFinished else { return }
        connection.sendEOF(on: id, &outbox)
    }

    /// After the queued data; ``EngineEvent/channelClosed(_:)`` follows when the peer has closed too, and no other event before it.
    package mutating func closeChannel(_ id: ChannelID) {
        guard !isFinished else { return }
        connection.closeChannel(id, &outbox)
    }

    /// Says that `count` received bytes have been used, so that the peer may send as many more.
    package mutating func consumed(_ count: Int, on id: ChannelID) {
        guard !isFinished else { return }
        connection.consumed(count, on: id, &outbox)
    }

    /// Goes out at once, before queued data. Where a reply is wanted ``EngineEvent/channelRequestReply(_:success:)`` brings it, in order.
    package mutating func sendRequest(_ type: String, payload: [UInt8] = [], wantsReply: Bool, on id: ChannelID) {
        guard !isFinished else { return }
        connection.sendRequest(type, payload: payload, wantsReply: wantsReply, on: id, &outbox)
    }

    /// Answers the oldest unanswered request of the peer on this channel.
    package mutating func replyToRequest(on id: ChannelID, success: Bool) {
        guard !isFinished else { return }
        connection.replyToRequest(on: id, success: success, &outbox)
    }

    // MARK: The connection as a whole

    package mutating func sendGlobalRequest(_ name: String, payload: [UInt8] = [], wantsReply: Bool) {
        precondition(mayAsk, "a global request before authentication")
        guard !isFinished else { return }
        connection.sendGlobalRequest(name, payload: payload, wantsReply: wantsReply, &outbox)
    }

    /// Answers the oldest unanswered global request of the peer.
    package mutating func replyToGlobalRequest(success: Bool, payload: [UInt8] = []) {
        guard !isFinished else { return }
        connection.replyToGlobalRequest(success: success, payload: payload, &outbox)
    }

    /// Says something to the peer's user that no reply has room for (RFC 4253 §11.3); a client shows it to whoever looks for faults.
    package mutating func sendDebug(_ message: String) {
        precondition(upperPhase == .connection, "a word to the user before authentication")
        guard !isFinished else { return }
        outbox.send(DebugMessage(alwaysDisplay: false, message: message).payload())
    }

    /// Begins a key exchange, unless one is running.
    package mutating func rekey() {
        precondition(upperPhase == .connection, "a rekey before authentication")
        guard !isFinished, !keyExchange.isRunning else { return }
        beginKeyExchange()
    }

    /// Puts a good-bye into the output; nothing more is read or sent after it.
    package mutating func disconnect(reason: DisconnectReason, message: String) {
        guard !isFinished else { return }
        outbox.dropHeld()
        outbox.writer.write(DisconnectMessage(reason: reason, description: message).payload())
        isFinished = true
    }
}
