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

    package init(privateKey: String, certificate: String, authorities: [CertificateAuthority], hostKeys: [String] = [], tls: TLS? = nil) {
        self.privateKey = privateKey
        self.certificate = certificate
        knownHosts = Self.lines(authorities) + hostKeys
        self.tls = tls
    }

    /// What stands outside the blocks and is no certificate is taken for lines of `known_hosts`, and not looked at here.
    package init(parsing text: String) throws(TeleportError) {
        var blocks: [(begin: String, text: String)] = []
        var lines: [String] = []
        var open: [String] = []
        for line in text.split(whereSeparator: \.isNewline).map(String.init) {
            if open.isEmpty, !line.hasPrefix("-----BEGIN ") {
                lines.append(line)
                continue
            }
            open.append(line)
            guard line.hasPrefix("-----END ") else { continue }
            blocks.append((open[0], open.map { $0 + "\n" }.joined()))
            open = []
        }
        guard let first = blocks.first else { throw .badParameter("the identity holds no private key") }
        privateKey = first.text
        let isCertificate = { (line: String) in !line.hasPrefix("@") && line.contains("-cert-v01@openssh.com ") }
        certificate = lines.first(where: isCertificate) ?? ""
        knownHosts = lines.filter { !isCertificate($0) }
        let certificates = blocks.filter { $0.begin == "-----BEGIN CERTIFICATE-----" }.map(\.text)
        if let key = blocks.dropFirst().first(where: { $0.begin == "-----BEGIN PRIVATE KEY-----" }), let own = certificates.first {
            tls = TLS(privateKey: key.text, certificate: own, authorities: Array(certificates.dropFirst()))
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
