/// The authorities that are believed, in order, and found by key and by cluster: what a look-up costs does not depend on how many there are.
package struct TrustedAuthorities: RandomAccessCollection, Sendable {
    private let list: [TrustedAuthority]
    private let byKey: [PublicKey: [TrustedAuthority]]
    private let byCluster: [String: [TrustedAuthority]]

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
