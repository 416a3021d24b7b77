/// A block of `ssh_config` with which plain OpenSSH reaches the nodes of all sites: `ssh root@db1.east`.
package struct OpenSSHConfig: Equatable, Sendable {
    /// The proxy's own cluster and the sites.
    package var clusters: [String]
    /// As whom, where `ssh` is told no login.
    package var login: String
    package var identityFile: String
    package var certificateFile: String
    /// nil: where OpenSSH looks anyway.
    package var knownHostsFile: String?
    /// The words of `tsh proxy ssh` and its options.
    package var proxyCommand: [String]

    package init(
        clusters: [String], login: String, identityFile: String, certificateFile: String, knownHostsFile: String?, proxyCommand: [String]
    ) {
        self.clusters = clusters
        self.login = login
        self.identityFile = identityFile
        self.certificateFile = certificateFile
        self.knownHostsFile = knownHostsFile
        self.proxyCommand = proxyCommand
    }

    /// No port is named: OpenSSH's 22 stands for whichever the node has.
    package var text: String {
        var lines = [
            "Host " + clusters.map { "*.\($0)" }.joined(separator: " "),
            "    User \(Self.quoted(login))",
            "    IdentityFile \(Self.quoted(Self.literal(identityFile)))",
            "    CertificateFile \(Self.quoted(Self.literal(certificateFile)))",
            "    IdentitiesOnly yes",
        ]
        if let knownHostsFile { lines.append("    UserKnownHostsFile \(Self.quoted(Self.literal(knownHostsFile)))") }
        lines.append("    StrictHostKeyChecking yes")
        lines.append("    ProxyCommand " + (proxyCommand.map { Self.literal(Self.shellWord($0)) } + ["%r@%h:%p"]).joined(separator: " "))
        return lines.map { $0 + "\n" }.joined()
    }

    /// No token of ssh_config(5).
    private static func literal(_ text: String) -> String { text.replacing("%", with: "%%") }

    /// One word of ssh_config(5).
    private static func quoted(_ text: String) -> String {
        guard text.contains(where: { " \t\"'\\#".contains($0) }) else { return text }
        return "\"\(text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\""
    }

    /// One word of a POSIX shell.
    private static func shellWord(_ text: String) -> String {
        let isPlain =
            !text.isEmpty
            && text.utf8.allSatisfy { byte in
                byte > 0x7f || (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                    || "@%+=:,./-_".utf8.contains(byte)
            }
        return isPlain ? text : "'\(text.replacing("'", with: #"'\''"#))'"
    }
}
