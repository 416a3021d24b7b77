package import Base

/// A private key on disk: `openssh-key-v1` without encryption (PROTOCOL.key), read and written; PKCS#8, SEC1 and PKCS#1 read.
package struct PrivateKeyFile: Sendable {
    package let key: PrivateKey
    package let comment: String

    private static let begin = "-----BEGIN OPENSSH PRIVATE KEY-----"
    private static let end = "-----END OPENSSH PRIVATE KEY-----"
    private static let magic = Array("openssh-key-v1\0".utf8)
    /// The block size of cipher `none`.
    private static let blockBytes = 8
    /// An RSA-16384 key has 13 KiB of text.
    package static let textBytesMax = 65536

    package init(key: PrivateKey, comment: String = "") {
        self.key = key
        self.comment = comment
    }

    package init(text: String) throws(KeyError) {
        guard text.utf8.count <= Self.textBytesMax else { throw .badText("the private key file is too long") }
        let lines = text.split(whereSeparator: \.isNewline)
        guard let start = lines.firstIndex(where: { $0.hasPrefix("-----BEGIN ") }) else { throw .badText("not a private key file") }
        guard lines[start] == Self.begin else {
            if text.contains("ENCRYPTED") { throw .encrypted }
            self.init(key: try PrivateKey(pem: text))
            return
        }
        let body = lines[(start + 1)...]
        guard let stop = body.firstIndex(where: { $0 == Self.end }),
            let bytes = Base64.decode(body[..<stop].joined())
        else { throw .badText("the private key file is damaged") }
        try self.init(decoding: bytes)
    }

    private init(decoding bytes: [UInt8]) throws(KeyError) {
        let file = try KeyError.reading(Envelope(decoding: bytes))
        guard file.cipher == "none", file.derivation == "none" else { throw .encrypted }
        var reader = ByteReader(file.section.span)
        let check = try KeyError.reading(reader.readUInt32())
        let repeated = try KeyError.reading(reader.readUInt32())
        guard check == repeated else { throw .malformed(.badValue("check")) }
        let name = try KeyError.reading(reader.readName())
        guard let type = KeyType(rawValue: name) else { throw .unsupportedKeyType(name) }
        let key = try PrivateKey(type, fieldsFrom: &reader)
        guard key.publicKey.blob == file.publicKey else { throw .invalidKey }
        let comment = try KeyError.reading(reader.readMessage())
        let padding = reader.readRest()
        guard padding.count < Self.blockBytes, file.section.count % Self.blockBytes == 0,
            padding.enumerated().allSatisfy({ Int($1) == $0 + 1 })
        else { throw .malformed(.badValue("padding")) }
        self.init(key: key, comment: comment)
    }

    /// The file's outer fields, one key only.
    private struct Envelope: WireCodable {
        var cipher = "none"
        var derivation = "none"
        var publicKey: [UInt8]
        var section: [UInt8]

        init(publicKey: [UInt8], section: [UInt8]) {
            self.publicKey = publicKey
            self.section = section
        }

        init(parsing reader: inout ByteReader) throws(WireError) {
            guard Array(copying: try reader.readSpan(count: magic.count)) == magic else { throw .badValue("magic") }
            cipher = try reader.readName()
            derivation = try reader.readName()
            _ = try reader.readString(max: FieldLimit.message)
            guard try reader.readUInt32() == 1 else { throw .badValue("number of keys") }
            publicKey = try reader.readString(max: FieldLimit.keyBlob)
            section = try reader.readString(max: FieldLimit.keyBlob)
            // With an AEAD cipher the tag follows.
            if cipher != "none" { _ = reader.readRest() }
        }

        func write(to writer: inout ByteWriter) {
            writer.writeRaw(magic)
            writer.writeText(cipher)
            writer.writeText(derivation)
            writer.writeText("")
            writer.writeUInt32(1)
            writer.writeString(publicKey)
            writer.writeString(section)
        }
    }

    /// The file's text. Who writes it keeps it from other users' eyes.
    ///
    /// - Parameter randomness: for the check integers, which protect nothing in a file that is not encrypted.
    package func text(randomness: any Randomness) -> String {
        var section = ByteWriter(capacity: 512)
        let check = randomness.uint32()
        section.writeUInt32(check)
        section.writeUInt32(check)
        section.writeText(key.type.rawValue)
        key.writeFields(to: &section)
        section.writeText(comment)
        var padding: UInt8 = 1
        while section.count % Self.blockBytes != 0 {
            section.writeByte(padding)
            padding += 1
        }
        let file = Envelope(publicKey: key.publicKey.blob, section: section.finish())
        var text = Self.begin + "\n"
        let encoded = Array(Base64.encode(file.encoded()).utf8)
        for start in stride(from: 0, to: encoded.count, by: 70) {
            text += String(decoding: encoded[start..<min(start + 70, encoded.count)], as: UTF8.self) + "\n"
        }
        return text + Self.end + "\n"
    }
}
