package import Base
internal import Crypto

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
        let section: [UInt8]
        let declared: [UInt8]
        do throws(WireError) {
            var reader = ByteReader(bytes.span)
            guard Array(copying: try reader.readSpan(count: Self.magic.count)) == Self.magic else { throw .badValue("magic") }
            let cipher = try reader.readName()
            let derivation = try reader.readName()
            _ = try reader.readString(max: FieldLimit.message)
            guard try reader.readUInt32() == 1 else { throw .badValue("number of keys") }
            declared = try reader.readString(max: FieldLimit.keyBlob)
            section = try reader.readString(max: FieldLimit.keyBlob)
            if cipher != "none" || derivation != "none" {
                throw .badValue("cipher")
            }
            try reader.finish()
        } catch WireError.badValue("cipher") {
            throw .encrypted
        } catch {
            throw .malformed(error)
        }
        var reader = ByteReader(section.span)
        let name: String
        do throws(WireError) {
            guard try reader.readUInt32() == (try reader.readUInt32()) else { throw .badValue("check") }
            name = try reader.readName()
        } catch {
            throw .malformed(error)
        }
        guard let type = KeyType(rawValue: name) else { throw .unsupportedKeyType(name) }
        key = try PrivateKey(type, fieldsFrom: &reader)
        guard key.publicKey.blob == declared else { throw .invalidKey }
        do throws(WireError) {
            comment = try reader.readMessage()
            guard reader.remaining < Self.blockBytes, section.count % Self.blockBytes == 0 else { throw .badValue("padding") }
            var expected: UInt8 = 1
            while reader.remaining > 0 {
                guard try reader.readByte() == expected else { throw .badValue("padding") }
                expected += 1
            }
        } catch {
            throw .malformed(error)
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
        var file = ByteWriter(capacity: 1024)
        file.writeRaw(Self.magic)
        file.writeText("none")
        file.writeText("none")
        file.writeText("")
        file.writeUInt32(1)
        file.writeString(key.publicKey.blob)
        file.writeString(section.finish())
        var text = Self.begin + "\n"
        let encoded = Array(Base64.encode(file.finish()).utf8)
        for start in stride(from: 0, to: encoded.count, by: 70) {
            text += String(decoding: encoded[start..<min(start + 70, encoded.count)], as: UTF8.self) + "\n"
        }
        return text + Self.end + "\n"
    }
}
