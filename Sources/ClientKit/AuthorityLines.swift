package import SSHWire

/// A cluster's authorities as OpenSSH reads them.
package enum AuthorityLines {
    /// A line of `known_hosts` for a host authority.
    ///
    /// It stands for every host name, because people write `db1` as well as `db1.east`; a name that ends in another cluster's is left to that
    /// cluster alone, so that no site can pass for a host of another.
    ///
    /// - Parameters:
    ///   - others: the other clusters whose authorities stand in the same file.
    ///   - reserved: names and addresses that no host of this cluster may bear: those of the other clusters' proxies.
    package static func knownHosts(_ key: PublicKey, cluster: String, others: Set<String>, reserved: [String] = []) -> String {
        let foreign = others.filter { !cluster.hasSuffix(".\($0)") && $0 != cluster }.sorted().map { "*.\($0)" }
        let denied = (foreign + reserved).flatMap { ["!\($0)", "![\($0)]:*"] }
        return KnownHostsLine(marker: .certAuthority, patterns: ["*"] + denied, key: key, comment: cluster).line
    }
}
