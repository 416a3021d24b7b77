package import Base
internal import ClusterModel
internal import EventLoop
package import SSHEngine
package import SSHWire

/// Who we are and whom we believe: a key, the certificate over it, and the host authorities of the clusters.
package struct ClientIdentity: Sendable {
    package let key: PrivateKey
    package let certificate: Certificate
    package let hostAuthorities: TrustedAuthorities
    /// Keys of hosts that are known without a certificate, as `NODE.SITE`.
    package let hostKeys: KnownHosts
    /// The cluster that issued the certificate.
    package let cluster: String

    package init(
        key: PrivateKey, certificate: Certificate, hostAuthorities: TrustedAuthorities, hostKeys: KnownHosts = KnownHosts()
    ) throws(TeleportError) {
        guard certificate.publicKey == key.publicKey else { throw .badParameter("the certificate is not over the private key beside it") }
        self.key = key
        self.certificate = certificate
        self.hostAuthorities = hostAuthorities
        self.hostKeys = hostKeys
        cluster = certificate.extensions[CertificateExtension.authority] ?? hostAuthorities.first?.cluster ?? ""
    }

    /// The clusters whose hosts we can verify.
    package var knownClusters: Set<String> { Set(hostAuthorities.map(\.cluster)) }
    package var user: String { certificate.keyID }
    package var logins: [String] { certificate.validPrincipals }
    package var expires: UnixTime { UnixTime(seconds: Int64(clamping: certificate.validBefore)) }

    /// What the engine logs in with.
    package var credential: UserCredential {
        UserCredential(identity: .certificate(certificate), signer: .key(key))
    }

    /// - Throws: an error that says how to get a new one.
    package func checkTime(now: UnixTime) throws(TeleportError) {
        guard UInt64(max(0, now.seconds)) < certificate.validBefore else {
            throw .accessDenied(
                "the certificate of \(user) expired at \(expires.text); run `tsh login`, or `tctl auth sign` for a new identity")
        }
    }

    /// Reads `PATH` as an identity file, or `PATH` and `PATH-cert.pub` as OpenSSH has them. For the worker pool, or before a loop runs.
    ///
    /// - Parameter knownHosts: where to find the host authorities when the identity holds none.
    package init(file path: String, knownHosts: String?) throws(TeleportError) {
        let text = String(decoding: try FileIO.read(path, max: 1 << 20), as: UTF8.self)
        let file = try IdentityFile(parsing: text)
        var certificateText = file.certificate
        if certificateText.isEmpty {
            let beside = "\(path)-cert.pub"
            guard try FileIO.status(beside) != nil else {
                throw .badParameter("\(path) holds no certificate, and there is no \(beside) beside it")
            }
            certificateText = String(decoding: try FileIO.read(beside, max: 1 << 20), as: UTF8.self)
        }
        var entries = Self.entries(file.knownHosts)
        // A key in the form of OpenSSH brings no authorities.
        if entries.isEmpty, let knownHosts, try FileIO.status(knownHosts) != nil {
            let text = String(decoding: try FileIO.read(knownHosts, max: 1 << 20), as: UTF8.self)
            entries = Self.entries(text.split(whereSeparator: \.isNewline).map(String.init))
        }
        try self.init(privateKey: file.privateKey, certificate: certificateText, entries: entries, name: path)
    }

    /// - Parameter knownHosts: lines of `known_hosts`; others among them are passed over.
    package init(privateKey: String, certificate: String, knownHosts: [String], name: String) throws(TeleportError) {
        try self.init(privateKey: privateKey, certificate: certificate, entries: Self.entries(knownHosts), name: name)
    }

    private static func entries(_ lines: [String]) -> [KnownHostsLine] {
        lines.compactMap { try? KnownHostsLine(line: $0) }
    }

    private init(privateKey: String, certificate: String, entries: [KnownHostsLine], name: String) throws(TeleportError) {
        let key: PrivateKey
        let parsed: Certificate
        do throws(KeyError) {
            key = try PrivateKeyFile(text: privateKey).key
            parsed = try Certificate(text: String(certificate.split(whereSeparator: \.isNewline).first ?? ""))
        } catch {
            throw .badParameter("\(name) cannot be read as an identity: \(error.explanation)", cause: error)
        }
        let authorities = entries.compactMap { entry -> TrustedAuthority? in
            guard entry.marker == .certAuthority, !entry.comment.isEmpty else { return nil }
            return TrustedAuthority(key: entry.key, use: .host, cluster: entry.comment)
        }
        var hostKeys = KnownHosts()
        for entry in entries where entry.marker == nil { hostKeys.add(entry) }
        try self.init(key: key, certificate: parsed, hostAuthorities: TrustedAuthorities(authorities), hostKeys: hostKeys)
    }
}
