internal import Base

/// The authorities that are believed, in order, and found by key and by cluster: what a look-up costs does not depend on how many there are.
package struct TrustedAuthorities: RandomAccessCollection, Sendable {
    private let list: [TrustedAuthority]
    private let byKey: [PublicKey: [TrustedAuthority]]
    private let byCluster: [String: [TrustedAuthority]]
    /// Whole certificates whose signature was found right: who comes fifty times a day has the same one each time.
    private let verified = Lock<Set<[UInt8]>>([])

    private static let verifiedMax = 256

    package init(_ authorities: some Sequence<TrustedAuthority>) {
        list = Array(authorities)
        byKey = Dictionary(grouping: list, by: \.key)
        byCluster = Dictionary(grouping: list, by: \.cluster)
    }

    package var startIndex: Int { list.startIndex }
    package var endIndex: Int { list.endIndex }
    package subscript(index: Int) -> TrustedAuthority { list[index] }

    /// What a key is believed for.
    package func with(key: PublicKey) -> [TrustedAuthority] { byKey[key] ?? [] }

    /// ``Certificate/verifySignature(allowed:)``, once for a certificate: that its authority is among these is for the caller to know.
    package func verifySignature(of certificate: Certificate) throws(KeyError) {
        guard !verified.withLock({ $0.contains(certificate.blob) }) else { return }
        try certificate.verifySignature()
        verified.withLock {
            if $0.count >= Self.verifiedMax { $0.removeAll() }
            $0.insert(certificate.blob)
        }
    }

    package func of(cluster: String) -> [TrustedAuthority] { byCluster[cluster] ?? [] }

    /// The longest known cluster whose name is the host name, or ends it after a dot: `db1.a.east` is of `a.east`, not of `east`.
    package func cluster(ofHost name: String) -> String? {
        var rest = name[...]
        while true {
            if let known = byCluster[String(rest)]?.first?.cluster { return known }
            guard let dot = rest.firstIndex(of: ".") else { return nil }
            rest = rest[rest.index(after: dot)...]
        }
    }
}
