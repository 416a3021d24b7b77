package import Base

/// What is made of RFC 4251 §5 fields and can be read and written again.
package protocol WireCodable: Sendable {
    /// Reads the fields in order and leaves the reader behind the last.
    init(parsing reader: inout ByteReader) throws(WireError)
    func write(to writer: inout ByteWriter)
}

extension WireCodable {
    /// Reads all of `bytes`; what is left over is an error.
    package init(decoding bytes: Span<UInt8>) throws(WireError) {
        var reader = ByteReader(bytes)
        try self.init(parsing: &reader)
        try reader.finish()
    }

    package init(decoding bytes: [UInt8]) throws(WireError) {
        try self.init(decoding: bytes.span)
    }

    package func encoded() -> [UInt8] {
        var writer = ByteWriter()
        write(to: &writer)
        return writer.finish()
    }
}

/// One SSH message: its fields without, its ``payload()`` with the message number (RFC 4253 §6).
package protocol SSHMessage: WireCodable, Equatable {
    static var number: MessageNumber { get }
}

extension SSHMessage {
    /// Reads a packet's payload, message number first.
    package init(payload: Span<UInt8>) throws(WireError) {
        var reader = ByteReader(payload)
        guard try reader.readByte() == Self.number.rawValue else { throw .badValue("message number") }
        try self.init(parsing: &reader)
        try reader.finish()
    }

    package init(payload: [UInt8]) throws(WireError) {
        try self.init(payload: payload.span)
    }

    /// The packet's payload, message number first.
    package func payload() -> [UInt8] {
        var writer = ByteWriter()
        writePayload(to: &writer)
        return writer.finish()
    }

    package func writePayload(to writer: inout ByteWriter) {
        writer.writeByte(Self.number.rawValue)
        write(to: &writer)
    }
}

/// The most bytes that a field of each kind may have; a peer that sends more is refused.
package enum FieldLimit {
    /// RFC 4251 §6: names of methods, services, algorithms and requests.
    package static let name = 64
    /// Login names; Linux allows 32 bytes, directories more.
    package static let user = 256
    /// A text for people: disconnect, debug, refusal.
    package static let message = 4096
    /// A banner fills a screen or two.
    package static let banner = 16384
    /// RFC 1035 §2.3.4 has 255 bytes for a host name; addresses with a scope are shorter.
    package static let host = 256
    /// `sun_path` has 108 bytes.
    package static let socketPath = 108
    /// A key, or a certificate with many principals and extensions.
    package static let keyBlob = 32768
    /// An RSA-16384 signature is 2 KiB.
    package static let signature = 4096
    /// A key share; `mlkem768x25519-sha256` has 1,216 bytes.
    package static let keyShare = 2048
    /// A command line; Linux takes 128 KiB for one argument.
    package static let command = 131072
    /// RFC 4253 §6.1: no packet that is larger need be taken.
    package static let ignored = 262144
}

extension ByteReader {
    /// A name: 1 to 64 bytes of printable US-ASCII without a comma (RFC 4251 §6).
    package mutating func readName() throws(WireError) -> String {
        let raw = try readString(max: FieldLimit.name)
        guard !raw.isEmpty, raw.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: ",") }) else { throw .badName }
        return String(decoding: raw, as: UTF8.self)
    }

    /// Text for people: what is not UTF-8 is replaced, since it decides nothing.
    package mutating func readMessage(max: Int = FieldLimit.message) throws(WireError) -> String {
        String(decoding: try readString(max: max), as: UTF8.self)
    }

    /// A language tag (RFC 3066), which nobody uses.
    mutating func skipLanguageTag() throws(WireError) {
        _ = try readString(max: FieldLimit.name)
    }

    /// UTF-8 text that goes to a system call or a log line: no NUL, no other control character.
    package mutating func readPlainText(max: Int) throws(WireError) -> String {
        let raw = try readString(max: max)
        guard raw.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else { throw .badValue("control character") }
        guard let text = String(validating: raw, as: UTF8.self) else { throw .notUTF8 }
        return text
    }

    /// A port, which the wire gives 32 bits.
    package mutating func readPort() throws(WireError) -> UInt16 {
        let value = try readUInt32()
        guard let port = UInt16(exactly: value) else { throw .badValue("port") }
        return port
    }
}

extension ByteWriter {
    /// A message's language tag, always empty.
    mutating func writeLanguageTag() {
        writeUInt32(0)
    }
}
