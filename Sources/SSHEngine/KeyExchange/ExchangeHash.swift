internal import Base
internal import Crypto

/// What both sides hash, and the server signs (RFC 4253 §8, RFC 5656 §4).
struct ExchangeHash {
    let clientIdentification: String
    let serverIdentification: String
    /// The payloads of both KEXINITs as they were sent.
    let clientInit: [UInt8]
    let serverInit: [UInt8]
    let hostKey: [UInt8]
    let clientShare: [UInt8]
    let serverShare: [UInt8]
    /// The magnitude of K.
    let secret: [UInt8]

    func compute(with algorithm: DigestAlgorithm) -> [UInt8] {
        var writer = ByteWriter(capacity: 4096)
        writer.writeText(clientIdentification)
        writer.writeText(serverIdentification)
        writer.writeString(clientInit)
        writer.writeString(serverInit)
        writer.writeString(hostKey)
        writer.writeString(clientShare)
        writer.writeString(serverShare)
        writer.writeMPInt(secret)
        return Digest.hash(writer.finish(), with: algorithm)
    }
}
