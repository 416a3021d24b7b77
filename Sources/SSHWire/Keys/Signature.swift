package import Base

/// A signature blob: the algorithm's name, then its bytes (RFC 4253 §6.6, RFC 8709 §6, RFC 5656 §3.1.2, RFC 8332 §3).
package struct Signature: WireCodable, Equatable {
    /// The name as it came: one that we do not know is refused when it is verified, not when it is read.
    package let algorithmName: String
    /// The algorithm's own bytes: 64 of Ed25519, two `mpint`s of ECDSA, the integer of RSA.
    package let bytes: [UInt8]
    /// The flags and counter that a security key signs along (PROTOCOL.u2f); nil for the others.
    package let securityKey: SecurityKeyFields?

    package struct SecurityKeyFields: Equatable, Sendable {
        package let flags: UInt8
        package let counter: UInt32

        /// Somebody touched the key.
        package var userPresent: Bool { flags & 1 != 0 }
    }

    package var algorithm: SignatureAlgorithm? { SignatureAlgorithm(rawValue: algorithmName) }

    package init(_ algorithm: SignatureAlgorithm, bytes: [UInt8]) {
        algorithmName = algorithm.rawValue
        self.bytes = bytes
        securityKey = nil
    }

    package init(parsing reader: inout ByteReader) throws(WireError) {
        algorithmName = try reader.readName()
        bytes = try reader.readString(max: FieldLimit.signature)
        if SignatureAlgorithm(rawValue: algorithmName) == .skEd25519 {
            securityKey = SecurityKeyFields(flags: try reader.readByte(), counter: try reader.readUInt32())
        } else {
            securityKey = nil
        }
    }

    package func write(to writer: inout ByteWriter) {
        writer.writeText(algorithmName)
        writer.writeString(bytes)
        if let securityKey {
            writer.writeByte(securityKey.flags)
            writer.writeUInt32(securityKey.counter)
        }
    }
}
