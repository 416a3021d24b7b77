internal import Base
internal import SSHEngine
internal import SSHWire

/// What a server tells its clients of its host keys, so that they learn a new one before the old one goes (PROTOCOL, host key update).
///
/// Keys alone are spoken of, not certificates: who trusts an authority has nothing to learn.
struct HostKeyUpdate {
    let hostKeys: [HostKey]

    /// One key once, whatever certificates there are over it.
    private var keys: [any SigningKey] {
        var keys: [any SigningKey] = []
        for hostKey in hostKeys where !keys.contains(where: { $0.publicKey == hostKey.key.publicKey }) { keys.append(hostKey.key) }
        return keys
    }

    var announcement: GlobalRequestType { .hostKeys(keys.map(\.publicKey.blob)) }

    /// One signature a key, each as a string.
    ///
    /// - Returns: nil where a key is not ours, or there are more than we have: each costs a signature.
    func prove(_ blobs: [[UInt8]], sessionIdentifier: [UInt8]) -> [UInt8]? {
        let keys = keys
        guard !blobs.isEmpty, blobs.count <= keys.count else { return nil }
        var writer = ByteWriter()
        for blob in blobs {
            let signed = GlobalRequestType.hostKeyProof(of: blob, sessionIdentifier: sessionIdentifier)
            guard let key = keys.first(where: { $0.publicKey.blob == blob }), let signature = try? key.sign(signed) else { return nil }
            writer.writeString(signature.encoded())
        }
        return writer.finish()
    }
}
