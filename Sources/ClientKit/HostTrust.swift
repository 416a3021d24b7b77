package import Base
package import SSHEngine
internal import SSHWire

extension ClientIdentity {
    /// A node of a site is believed by a certificate of the site's own authority. A site without one is listed in our cluster: its nodes are known by
    /// the keys that were listed when we logged in, or by a certificate of our cluster that names `NODE.SITE`.
    package func judgeNode(_ host: KeyIdentity, name: String, site: String, now: UnixTime) -> HostKeyAnswer {
        let verdict = judge(host, name: name, cluster: site, now: now)
        guard case .reject = verdict, site != cluster else { return verdict }
        // The bare name is not enough where the authority speaks for other hosts, too.
        let qualified = "\(name).\(site)"
        for authority in [site, cluster] {
            if case .accept = judge(host, name: qualified, cluster: authority, now: now) { return .accept }
        }
        return hostKeys.hostKeys(host: qualified).contains(host.publicKey) ? .accept : verdict
    }
}
