/// A CA key that we believe, for one use and in the name of one cluster.
package struct TrustedAuthority: Hashable, Sendable {
    package let key: PublicKey
    package let use: CertificateKind
    package let cluster: String

    package init(key: PublicKey, use: CertificateKind, cluster: String) {
        self.key = key
        self.use = use
        self.cluster = cluster
    }
}
