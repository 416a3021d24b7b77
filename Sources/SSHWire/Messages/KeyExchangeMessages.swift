package import Base

/// `SSH_MSG_KEXINIT` (RFC 4253 §7.1).
///
/// The exchange hash is over the payload as it came: keep those bytes beside this.
package struct KeyExchangeInitMessage: SSHMessage {
    package static let number = MessageNumber.keyExchangeInit
    package static let cookieBytes = 16

    /// 16 random bytes.
    package var cookie: [UInt8]
    package var keyExchangeAlgorithms: [String]
    package var serverHostKeyAlgorithms: [String]
    package var encryptionClientToServer: [String]
    package var encryptionServerToClient: [String]
    package var macClientToServer: [String]
    package var macServerToClient: [String]
    package var compressionClientToServer: [String]
    package var compressionServerToClient: [String]
    package var languagesClientToServer: [String] = []
    package var languagesServerToClient: [String] = []
    package var firstKeyExchangePacketFollows: Bool

    /// An offer that is the same in both directions.
    package init(
        cookie: [UInt8], keyExchange: [String], hostKeys: [String], encryption: [String], mac: [String],
        compression: [String] = AlgorithmNames.compression, firstKeyExchangePacketFollows: Bool = false
    ) {
        precondition(cookie.count == Self.cookieBytes, "a KEXINIT cookie has 16 bytes")
        self.cookie = cookie
        keyExchangeAlgorithms = keyExchange
        serverHostKeyAlgorithms = hostKeys
        encryptionClientToServer = encryption
        encryptionServerToClient = encryption
        macClientToServer = mac
        macServerToClient = mac
        compressionClientToServer = compression
        compressionServerToClient = compression
        self.firstKeyExchangePacketFollows = firstKeyExchangePacketFollows
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        cookie = Array(copying: try reader.readSpan(count: Self.cookieBytes))
        keyExchangeAlgorithms = try reader.readNameList()
        serverHostKeyAlgorithms = try reader.readNameList()
        encryptionClientToServer = try reader.readNameList()
        encryptionServerToClient = try reader.readNameList()
        macClientToServer = try reader.readNameList()
        macServerToClient = try reader.readNameList()
        compressionClientToServer = try reader.readNameList()
        compressionServerToClient = try reader.readNameList()
        languagesClientToServer = try reader.readNameList()
        languagesServerToClient = try reader.readNameList()
        firstKeyExchangePacketFollows = try reader.readBoolean()
        // Reserved for future extension: read, and whatever it holds is not refused.
        _ = try reader.readUInt32()
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeRaw(cookie)
        writer.writeNameList(keyExchangeAlgorithms)
        writer.writeNameList(serverHostKeyAlgorithms)
        writer.writeNameList(encryptionClientToServer)
        writer.writeNameList(encryptionServerToClient)
        writer.writeNameList(macClientToServer)
        writer.writeNameList(macServerToClient)
        writer.writeNameList(compressionClientToServer)
        writer.writeNameList(compressionServerToClient)
        writer.writeNameList(languagesClientToServer)
        writer.writeNameList(languagesServerToClient)
        writer.writeBoolean(firstKeyExchangePacketFollows)
        writer.writeUInt32(0)
    }
}

/// `SSH_MSG_NEWKEYS` (RFC 4253 §7.3).
package struct NewKeysMessage: SSHMessage {
    package static let number = MessageNumber.newKeys
    package init() {}
    package init(parsing reader: inout ByteReader) throws(WireError) {}
    package func write(to writer: inout ByteWriter) {}
}

/// `SSH_MSG_KEX_ECDH_INIT` (RFC 5656 §4, RFC 8731 §3).
package struct KeyExchangeECDHInitMessage: SSHMessage {
    package static let number = MessageNumber.keyExchangeECDHInit
    /// The client's ephemeral public key, Q_C.
    package var clientPublicKey: [UInt8]

    package init(clientPublicKey: [UInt8]) {
        self.clientPublicKey = clientPublicKey
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        clientPublicKey = try reader.readString(max: FieldLimit.keyShare)
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeString(clientPublicKey)
    }
}

/// `SSH_MSG_KEX_ECDH_REPLY` (RFC 5656 §4, RFC 8731 §3).
package struct KeyExchangeECDHReplyMessage: SSHMessage {
    package static let number = MessageNumber.keyExchangeECDHReply
    /// K_S: a public key or certificate blob, as it came, for the exchange hash.
    package var hostKey: [UInt8]
    /// The server's ephemeral public key, Q_S.
    package var serverPublicKey: [UInt8]
    /// A ``Signature`` blob over the exchange hash.
    package var signature: [UInt8]

    package init(hostKey: [UInt8], serverPublicKey: [UInt8], signature: [UInt8]) {
        self.hostKey = hostKey
        self.serverPublicKey = serverPublicKey
        self.signature = signature
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        hostKey = try reader.readString(max: FieldLimit.keyBlob)
        serverPublicKey = try reader.readString(max: FieldLimit.keyShare)
        signature = try reader.readString(max: FieldLimit.signature)
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeString(hostKey)
        writer.writeString(serverPublicKey)
        writer.writeString(signature)
    }
}
