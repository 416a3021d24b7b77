internal import Base
internal import Crypto

/// Judges the certificate that a connection's client shows, at every request, against the authorities of that moment.
struct PeerCheck {
    /// The certificates do not change during a connection.
    private var chain: [X509Certificate]?
    /// What was found, and against which authorities.
    private var accepted: (peer: HTTPPeer, generation: UInt64)?

    /// A leaf and what may stand between it and its authority.
    private static let chainMax = 5

    /// - Returns: nil for a client that shows no certificate, or where clients are not asked.
    mutating func peer(_ header: RequestHeader, authorities: ClientAuthorities?, now: UnixTime) throws(PeerRefusal) -> HTTPPeer? {
        guard let authorities else { return nil }
        if let accepted, accepted.generation == authorities.generation, accepted.peer.isInTime(now) { return accepted.peer }
        if self.chain == nil { self.chain = try read(header) }
        guard let chain, let leaf = chain.first else { return nil }
        let authority: X509Certificate
        do throws(CertificateRefusal) {
            authority = try CertificateChain.verify(
                leaf, intermediates: Array(chain.dropFirst()), authorities: authorities.certificates, use: .client, at: now)
        } catch {
            throw PeerRefusal(reason: error.reason)
        }
        let peer = HTTPPeer(certificate: leaf, authority: authority)
        accepted = (peer, authorities.generation)
        return peer
    }

    private func read(_ header: RequestHeader) throws(PeerRefusal) -> [X509Certificate] {
        var chain: [X509Certificate] = []
        for der in header.peerCertificates(max: Self.chainMax) {
            guard let certificate = try? X509Certificate(der: der) else { throw PeerRefusal(reason: "it cannot be read") }
            chain.append(certificate)
        }
        return chain
    }
}

/// Why a client's certificate is not accepted.
struct PeerRefusal: Error, Equatable {
    let reason: String
}

/// Whom clients are vouched for; a new set is a new generation.
struct ClientAuthorities {
    var certificates: [X509Certificate]
    var generation: UInt64 = 0
}

extension HTTPPeer {
    fileprivate func isInTime(_ now: UnixTime) -> Bool {
        [certificate, authority].allSatisfy { $0.notBefore <= now && now <= $0.notAfter }
    }
}
