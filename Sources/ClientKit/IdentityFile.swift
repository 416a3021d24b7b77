package import Base
package import ClusterModel
internal import SSHWire

/// One file with all that a script needs to log in: the private key, the certificate over it and the host authorities to trust.
///
/// An `openssh-key-v1` block, a `…-cert-v01@openssh.com` line, and lines of `known_hosts`: `@cert-authority` ones, each with its cluster as the
/// comment, and those of hosts that are known by their keys. For the auth API, a PKCS #8 block, the X.509 certificate over it and those of the authorities may follow.
package struct IdentityFile: Equatable, Sendable {
    /// What the auth API asks of its callers, all PEM.
    package struct TLS: Equatable, Sendable {
        package let privateKey: String
        package let certificate: String
        package let authorities: [String]

        package init(privateKey: String, certificate: String, authorities: [String]) {
            self.privateKey = privateKey
            self.certificate = certificate
            self.authorities = authorities
        }
    }

    package let privateKey: String
    package let certificate: String
    /// Lines of `known_hosts`: host authorities, and keys of hosts that have no certificate of theirs.
    package let knownHosts: [String]
    package let tls: TLS?

    private static let privateKeyLabel = "PRIVATE KEY"
    private static let certificateLabel = "CERTIFICATE"

    package init(privateKey: String, certificate: String, authorities: [CertificateAuthority], hostKeys: [String] = [], tls: TLS? = nil) {
        self.privateKey = privateKey
        self.certificate = certificate
        knownHosts = Self.lines(authorities) + hostKeys
        self.tls = tls
    }

    package init(parsing text: String) throws(TeleportError) {
        let all = text.split(whereSeparator: \.isNewline).map(String.init)
        guard let begin = all.firstIndex(where: { $0.hasPrefix("-----BEGIN ") }),
            let end = all[begin...].firstIndex(where: { $0.hasPrefix("-----END ") })
        else { throw .badParameter("the identity holds no private key") }
        privateKey = Self.text(all[begin...end])
        let lines = all[(end + 1)...]
        certificate = lines.first { $0.contains("-cert-v01@openssh.com ") && !$0.hasPrefix("@") } ?? ""
        knownHosts = lines.filter { (try? KnownHostsLine(line: $0)) != nil }
        let certificates = Self.blocks(Self.certificateLabel, in: lines)
        if let key = Self.blocks(Self.privateKeyLabel, in: lines).first, let own = certificates.first {
            tls = TLS(privateKey: key, certificate: own, authorities: Array(certificates.dropFirst()))
        } else {
            tls = nil
        }
    }

    package var text: String {
        var text = privateKey + certificate + "\n" + knownHosts.map { $0 + "\n" }.joined()
        if let tls {
            for block in [tls.privateKey, tls.certificate] + tls.authorities { text += block.hasSuffix("\n") ? block : block + "\n" }
        }
        return text
    }

    private static func blocks(_ label: String, in lines: ArraySlice<String>) -> [String] {
        var blocks: [String] = []
        var rest = lines
        while let begin = rest.firstIndex(of: "-----BEGIN \(label)-----"), let end = rest[begin...].firstIndex(of: "-----END \(label)-----")
        {
            blocks.append(text(rest[begin...end]))
            rest = rest[(end + 1)...]
        }
        return blocks
    }

    private static func text(_ lines: ArraySlice<String>) -> String {
        lines.map { $0 + "\n" }.joined()
    }

    /// `known_hosts` lines of all host authorities.
    package static func lines(_ authorities: [CertificateAuthority]) -> [String] {
        let hosts = authorities.filter { $0.type == .host }
        let clusters = Set(hosts.map(\.cluster))
        return hosts.flatMap { authority in
            authority.keys.map {
                AuthorityLines.knownHosts($0, cluster: authority.cluster, others: clusters.subtracting([authority.cluster]))
            }
        }
    }
}
