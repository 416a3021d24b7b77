package import Base
package import SSHWire

/// What an agent holds and answers: the logins that it is shown with each request, and what it was given itself.
package struct AgentKeyring: Sendable {
    private struct Added: Sendable {
        let identity: AgentIdentity
        let expires: UnixTime?
    }

    private var added: [Added] = []

    /// As many as a client takes in one answer, with the logins.
    private static let addedMax = 1024

    package init() {}

    package mutating func answer(_ request: AgentRequest, logins: [AgentIdentity], now: UnixTime) -> AgentResponse {
        added.removeAll { $0.expires.map { $0 <= now } ?? false }
        let all = logins + added.map(\.identity)
        switch request {
        case .requestIdentities:
            return .identities(all.flatMap { identity in identity.blobs.map { .init(key: $0, comment: identity.comment) } })
        case .sign(let key, let data, let flags):
            guard let identity = all.first(where: { $0.blobs.contains(key) }),
                let algorithm = Self.algorithm(identity.key.type, flags: flags),
                let signature = try? identity.key.sign(data, with: algorithm)
            else { return .failure }
            return .signature(signature.encoded())
        case .add(let identity):
            // Nobody could be asked.
            guard !identity.confirms, added.count < Self.addedMax else { return .failure }
            added.removeAll { $0.identity.blobs.first == identity.blobs.first }
            added.append(Added(identity: identity, expires: identity.lifetime.map { now + .seconds(Int64($0)) }))
            return .success
        case .remove(let key):
            let count = added.count
            added.removeAll { $0.identity.blobs.contains(key) }
            return added.count < count ? .success : .failure
        case .removeAll:
            added = []
            return .success
        case .other: return .failure
        }
    }

    /// RFC 8332 §3: without a flag an RSA key would sign with SHA-1, which we do not.
    private static func algorithm(_ type: KeyType, flags: UInt32) -> SignatureAlgorithm? {
        type.signatureAlgorithms.first { type != .rsa || flags & AgentRequest.flags(for: $0) != 0 }
    }
}

extension AgentIdentity {
    /// Under what a client asks for it: the certificate before the bare key, which no node of ours takes.
    fileprivate var blobs: [[UInt8]] { [certificate?.blob, key.publicKey.blob].compactMap { $0 } }
}
