package import Base

/// Why a channel was not opened (RFC 4254 §5.1). A peer may send any number.
package struct ChannelOpenFailureReason: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let administrativelyProhibited = ChannelOpenFailureReason(rawValue: 1)
    package static let connectFailed = ChannelOpenFailureReason(rawValue: 2)
    package static let unknownChannelType = ChannelOpenFailureReason(rawValue: 3)
    package static let resourceShortage = ChannelOpenFailureReason(rawValue: 4)
}

/// `SSH_MSG_CHANNEL_OPEN` (RFC 4254 §5.1). ``ChannelOpenType`` reads `payload`.
package struct ChannelOpenMessage: SSHMessage {
    package static let number = MessageNumber.channelOpen
    package var type: String
    package var senderChannel: UInt32
    package var initialWindowSize: UInt32
    package var maximumPacketSize: UInt32
    /// The fields of the channel type.
    package var payload: [UInt8]

    package init(type: String, senderChannel: UInt32, initialWindowSize: UInt32, maximumPacketSize: UInt32, payload: [UInt8] = []) {
        self.type = type
        self.senderChannel = senderChannel
        self.initialWindowSize = initialWindowSize
        self.maximumPacketSize = maximumPacketSize
        self.payload = payload
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        type = try reader.readName()
        senderChannel = try reader.readUInt32()
        initialWindowSize = try reader.readUInt32()
        maximumPacketSize = try reader.readUInt32()
        payload = reader.readRest()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeText(type)
        writer.writeUInt32(senderChannel)
        writer.writeUInt32(initialWindowSize)
        writer.writeUInt32(maximumPacketSize)
        writer.writeRaw(payload)
    }
}

/// `SSH_MSG_CHANNEL_OPEN_CONFIRMATION` (RFC 4254 §5.1).
package struct ChannelOpenConfirmationMessage: SSHMessage {
    package static let number = MessageNumber.channelOpenConfirmation
    package var recipientChannel: UInt32
    package var senderChannel: UInt32
    package var initialWindowSize: UInt32
    package var maximumPacketSize: UInt32
    package var payload: [UInt8]

    package init(
        recipientChannel: UInt32, senderChannel: UInt32, initialWindowSize: UInt32, maximumPacketSize: UInt32, payload: [UInt8] = []
    ) {
        self.recipientChannel = recipientChannel
        self.senderChannel = senderChannel
        self.initialWindowSize = initialWindowSize
        self.maximumPacketSize = maximumPacketSize
        self.payload = payload
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        recipientChannel = try reader.readUInt32()
        senderChannel = try reader.readUInt32()
        initialWindowSize = try reader.readUInt32()
        maximumPacketSize = try reader.readUInt32()
        payload = reader.readRest()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeUInt32(recipientChannel)
        writer.writeUInt32(senderChannel)
        writer.writeUInt32(initialWindowSize)
        writer.writeUInt32(maximumPacketSize)
        writer.writeRaw(payload)
    }
}

/// `SSH_MSG_CHANNEL_OPEN_FAILURE` (RFC 4254 §5.1).
package struct ChannelOpenFailureMessage: SSHMessage {
    package static let number = MessageNumber.channelOpenFailure
    package var recipientChannel: UInt32
    package var reason: ChannelOpenFailureReason
    package var description: String

    package init(recipientChannel: UInt32, reason: ChannelOpenFailureReason, description: String) {
        self.recipientChannel = recipientChannel
        self.reason = reason
        self.description = description
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        recipientChannel = try reader.readUInt32()
        reason = ChannelOpenFailureReason(rawValue: try reader.readUInt32())
        description = try reader.readMessage()
        try reader.skipLanguageTag()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeUInt32(recipientChannel)
        writer.writeUInt32(reason.rawValue)
        writer.writeText(description)
        writer.writeLanguageTag()
    }
}

/// `SSH_MSG_CHANNEL_WINDOW_ADJUST` (RFC 4254 §5.2).
package struct ChannelWindowAdjustMessage: SSHMessage {
    package static let number = MessageNumber.channelWindowAdjust
    package var recipientChannel: UInt32
    package var bytesToAdd: UInt32

    package init(recipientChannel: UInt32, bytesToAdd: UInt32) {
        self.recipientChannel = recipientChannel
        self.bytesToAdd = bytesToAdd
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        recipientChannel = try reader.readUInt32()
        bytesToAdd = try reader.readUInt32()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeUInt32(recipientChannel)
        writer.writeUInt32(bytesToAdd)
    }
}

/// `SSH_MSG_CHANNEL_DATA` and `SSH_MSG_CHANNEL_EXTENDED_DATA` (RFC 4254 §5.2), without their data: it stays where the packet is.
package struct ChannelDataHeader: Equatable, Sendable {
    /// `SSH_EXTENDED_DATA_STDERR`.
    package static let standardError: UInt32 = 1
    /// Bytes before the data of `SSH_MSG_CHANNEL_DATA`: number, channel, length.
    package static let plainBytes = 9
    /// Bytes before the data of `SSH_MSG_CHANNEL_EXTENDED_DATA`: number, channel, type, length.
    package static let extendedBytes = 13

    package let recipientChannel: UInt32
    /// The data type code of extended data; nil for plain data.
    package let extendedType: UInt32?
    /// Where the data lies in the packet's payload.
    package let data: Range<Int>

    /// A header to write, for `count` bytes that follow it.
    package init(recipientChannel: UInt32, extendedType: UInt32? = nil, count: Int) {
        self.recipientChannel = recipientChannel
        self.extendedType = extendedType
        let start = extendedType == nil ? Self.plainBytes : Self.extendedBytes
        data = start..<start + count
    }

    /// Reads a packet's payload, message number first.
    package init(payload: Span<UInt8>) throws(WireError) {
        var reader = ByteReader(payload)
        let number = try reader.readByte()
        recipientChannel = try reader.readUInt32()
        switch number {
        case MessageNumber.channelData.rawValue: extendedType = nil
        case MessageNumber.channelExtendedData.rawValue: extendedType = try reader.readUInt32()
        default: throw .badValue("message number")
        }
        let count = try reader.readStringSpan().count
        try reader.finish()
        data = reader.offset - count..<reader.offset
    }

    /// The message up to its data, which the caller appends.
    package func writePayload(to writer: inout ByteWriter) {
        if let extendedType {
            writer.writeByte(MessageNumber.channelExtendedData.rawValue)
            writer.writeUInt32(recipientChannel)
            writer.writeUInt32(extendedType)
        } else {
            writer.writeByte(MessageNumber.channelData.rawValue)
            writer.writeUInt32(recipientChannel)
        }
        writer.writeUInt32(UInt32(data.count))
    }
}

/// `SSH_MSG_CHANNEL_REQUEST` (RFC 4254 §5.4). ``SessionRequest`` reads `payload`.
package struct ChannelRequestMessage: SSHMessage {
    package static let number = MessageNumber.channelRequest
    package var recipientChannel: UInt32
    package var type: String
    package var wantReply: Bool
    /// The fields of the request type.
    package var payload: [UInt8]

    package init(recipientChannel: UInt32, type: String, wantReply: Bool, payload: [UInt8] = []) {
        self.recipientChannel = recipientChannel
        self.type = type
        self.wantReply = wantReply
        self.payload = payload
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        recipientChannel = try reader.readUInt32()
        type = try reader.readName()
        wantReply = try reader.readBoolean()
        payload = reader.readRest()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeUInt32(recipientChannel)
        writer.writeText(type)
        writer.writeBoolean(wantReply)
        writer.writeRaw(payload)
    }
}

/// A message whose one field is the recipient's channel.
package protocol ChannelSignal: SSHMessage {
    var recipientChannel: UInt32 { get }
    init(recipientChannel: UInt32)
}

extension ChannelSignal {
    package init(parsing reader: inout ByteReader) throws(WireError) {
        self.init(recipientChannel: try reader.readUInt32())
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeUInt32(recipientChannel)
    }
}

/// `SSH_MSG_CHANNEL_EOF` (RFC 4254 §5.3).
package struct ChannelEOFMessage: ChannelSignal {
    package static let number = MessageNumber.channelEOF
    package let recipientChannel: UInt32
    package init(recipientChannel: UInt32) { self.recipientChannel = recipientChannel }
}

/// `SSH_MSG_CHANNEL_CLOSE` (RFC 4254 §5.3).
package struct ChannelCloseMessage: ChannelSignal {
    package static let number = MessageNumber.channelClose
    package let recipientChannel: UInt32
    package init(recipientChannel: UInt32) { self.recipientChannel = recipientChannel }
}

/// `SSH_MSG_CHANNEL_SUCCESS` (RFC 4254 §5.4).
package struct ChannelSuccessMessage: ChannelSignal {
    package static let number = MessageNumber.channelSuccess
    package let recipientChannel: UInt32
    package init(recipientChannel: UInt32) { self.recipientChannel = recipientChannel }
}

/// `SSH_MSG_CHANNEL_FAILURE` (RFC 4254 §5.4).
package struct ChannelFailureMessage: ChannelSignal {
    package static let number = MessageNumber.channelFailure
    package let recipientChannel: UInt32
    package init(recipientChannel: UInt32) { self.recipientChannel = recipientChannel }
}
