package import Base

/// Why a connection ends (RFC 4253 §11.1). A peer may send any number.
package struct DisconnectReason: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let hostNotAllowedToConnect = DisconnectReason(rawValue: 1)
    package static let protocolError = DisconnectReason(rawValue: 2)
    package static let keyExchangeFailed = DisconnectReason(rawValue: 3)
    package static let macError = DisconnectReason(rawValue: 5)
    package static let compressionError = DisconnectReason(rawValue: 6)
    package static let serviceNotAvailable = DisconnectReason(rawValue: 7)
    package static let protocolVersionNotSupported = DisconnectReason(rawValue: 8)
    package static let hostKeyNotVerifiable = DisconnectReason(rawValue: 9)
    package static let connectionLost = DisconnectReason(rawValue: 10)
    package static let byApplication = DisconnectReason(rawValue: 11)
    package static let tooManyConnections = DisconnectReason(rawValue: 12)
    package static let authCancelledByUser = DisconnectReason(rawValue: 13)
    package static let noMoreAuthMethodsAvailable = DisconnectReason(rawValue: 14)
    package static let illegalUserName = DisconnectReason(rawValue: 15)
}

/// `SSH_MSG_DISCONNECT` (RFC 4253 §11.1).
package struct DisconnectMessage: SSHMessage {
    package static let number = MessageNumber.disconnect
    package var reason: DisconnectReason
    package var description: String

    package init(reason: DisconnectReason, description: String) {
        self.reason = reason
        self.description = description
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        reason = DisconnectReason(rawValue: try reader.readUInt32())
        description = try reader.readMessage()
        // Some implementations leave the language tag out.
        if reader.remaining > 0 { try reader.skipLanguageTag() }
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeUInt32(reason.rawValue)
        writer.writeText(description)
        writer.writeLanguageTag()
    }
}

/// `SSH_MSG_IGNORE` (RFC 4253 §11.2).
package struct IgnoreMessage: SSHMessage {
    package static let number = MessageNumber.ignore
    package var data: [UInt8]

    package init(data: [UInt8]) {
        self.data = data
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        data = try reader.readString(max: FieldLimit.ignored)
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeString(data)
    }
}

/// `SSH_MSG_DEBUG` (RFC 4253 §11.3).
package struct DebugMessage: SSHMessage {
    package static let number = MessageNumber.debug
    package var alwaysDisplay: Bool
    package var message: String

    package init(alwaysDisplay: Bool, message: String) {
        self.alwaysDisplay = alwaysDisplay
        self.message = message
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        alwaysDisplay = try reader.readBoolean()
        message = try reader.readMessage(max: FieldLimit.banner)
        try reader.skipLanguageTag()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeBoolean(alwaysDisplay)
        writer.writeText(message)
        writer.writeLanguageTag()
    }
}

/// `SSH_MSG_UNIMPLEMENTED` (RFC 4253 §11.4).
package struct UnimplementedMessage: SSHMessage {
    package static let number = MessageNumber.unimplemented
    /// The sequence number of the packet that was not understood.
    package var sequenceNumber: UInt32

    package init(sequenceNumber: UInt32) {
        self.sequenceNumber = sequenceNumber
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        sequenceNumber = try reader.readUInt32()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeUInt32(sequenceNumber)
    }
}

/// The two services there are (RFC 4252 §4, RFC 4254 §2).
package enum ServiceName {
    package static let userAuth = "ssh-userauth"
    package static let connection = "ssh-connection"
}

/// `SSH_MSG_SERVICE_REQUEST` (RFC 4253 §10).
package struct ServiceRequestMessage: SSHMessage {
    package static let number = MessageNumber.serviceRequest
    package var service: String

    package init(service: String) {
        self.service = service
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        service = try reader.readName()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeText(service)
    }
}

/// `SSH_MSG_SERVICE_ACCEPT` (RFC 4253 §10).
package struct ServiceAcceptMessage: SSHMessage {
    package static let number = MessageNumber.serviceAccept
    package var service: String

    package init(service: String) {
        self.service = service
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        service = try reader.readName()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeText(service)
    }
}

/// `SSH_MSG_EXT_INFO` (RFC 8308 §2.3).
package struct ExtensionInfoMessage: SSHMessage {
    package static let number = MessageNumber.extensionInfo

    package struct Extension: Equatable, Sendable {
        package var name: String
        package var value: [UInt8]

        package init(name: String, value: [UInt8]) {
            self.name = name
            self.value = value
        }
    }

    /// No implementation sends more than a handful.
    package static let extensionsMax = 64

    package var extensions: [Extension]

    package init(extensions: [Extension]) {
        self.extensions = extensions
    }

    /// What a server sends: the signature algorithms it verifies (RFC 8308 §3.1).
    package init(serverSignatureAlgorithms names: [String]) {
        extensions = [Extension(name: "server-sig-algs", value: Array(names.joined(separator: ",").utf8))]
    }

    /// `server-sig-algs`, where the peer sent it.
    package var serverSignatureAlgorithms: [String]? {
        extensions.first { $0.name == "server-sig-algs" }.map { value in
            value.value.split(separator: UInt8(ascii: ",")).map { String(decoding: $0, as: UTF8.self) }
        }
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        let count = try reader.readUInt32()
        guard count <= Self.extensionsMax else { throw .tooLong(Int(count)) }
        extensions = []
        for _ in 0..<count {
            extensions.append(Extension(name: try reader.readName(), value: try reader.readString(max: FieldLimit.banner)))
        }
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeUInt32(UInt32(extensions.count))
        for entry in extensions {
            writer.writeText(entry.name)
            writer.writeString(entry.value)
        }
    }
}
