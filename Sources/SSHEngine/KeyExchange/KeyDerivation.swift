internal import Base
internal import Crypto

/// The six keys of one exchange (RFC 4253 §7.2).
struct KeyDerivation {
    enum Purpose: UInt8 {
        case nonceClientToServer = 0x41
        case nonceServerToClient
        case keyClientToServer
        case keyServerToClient
        case macClientToServer
        case macServerToClient
    }

    /// The magnitude of K.
    let secret: [UInt8]
    let exchangeHash: [UInt8]
    let sessionIdentifier: [UInt8]
    let hash: DigestAlgorithm

    /// `HASH(K || H || letter || session_id)`, made longer with `HASH(K || H || all so far)`.
    func key(_ purpose: Purpose, count: Int) -> [UInt8] {
        var prefix = ByteWriter(capacity: 256)
        prefix.writeMPInt(secret)
        prefix.writeRaw(exchangeHash)
        let common = prefix.finish()
        var key = Digest.hash(common + [purpose.rawValue] + sessionIdentifier, with: hash)
        while key.count < count { key += Digest.hash(common + key, with: hash) }
        return Array(key.prefix(count))
    }

    func keys(for algorithm: PacketAlgorithm, clientToServer: Bool) -> PacketKeys {
        PacketKeys(
            nonce: key(clientToServer ? .nonceClientToServer : .nonceServerToClient, count: algorithm.nonceBytes),
            key: key(clientToServer ? .keyClientToServer : .keyServerToClient, count: algorithm.keyBytes),
            mac: key(clientToServer ? .macClientToServer : .macServerToClient, count: algorithm.macKeyBytes))
    }
}

/// What one direction of a connection is protected with.
struct PacketKeys {
    let nonce: [UInt8]
    let key: [UInt8]
    let mac: [UInt8]
}
