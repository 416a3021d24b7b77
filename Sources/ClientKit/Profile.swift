package import Base
package import ClusterModel
internal import Crypto
internal import EventLoop
internal import FoundationEssentials
internal import SSHWire

/// Where the user is logged in: what `tsh login` leaves behind for the commands after it.
package struct Profile: Codable, Sendable {
    /// The proxy's host name or address.
    package var proxy: String
    package var webPort: UInt16
    package var sshPort: UInt16
    package var user: String
    /// The proxy's own cluster.
    package var cluster: String
    /// The site that commands go to where they name none.
    package var site: String?
    /// What the proxy proved itself with at the login, where it was not a certificate that the system knows.
    package var caPin: String?

    package init(
        proxy: String, webPort: UInt16, sshPort: UInt16, user: String, cluster: String, site: String? = nil, caPin: String? = nil
    ) {
        self.proxy = proxy
        self.webPort = webPort
        self.sshPort = sshPort
        self.user = user
        self.cluster = cluster
        self.site = site
        self.caPin = caPin
    }

    private enum CodingKeys: String, CodingKey {
        case proxy, user, cluster, site
        case webPort = "web_port"
        case sshPort = "ssh_port"
        case caPin = "ca_pin"
    }
}

/// `~/.tsh`: profiles, keys, certificates and known authorities, for this user's eyes alone. Every call blocks.
///
///     current-profile           the proxy that commands use where they name none
///     PROXY.json                a profile
///     keys/PROXY/USER           the private key; USER-cert.pub and USER.pub beside it
///     keys/PROXY/known_hosts    host authorities of the proxy's clusters, and host keys of its OpenSSH sites
///     control/ID                the socket of whoever keeps a connection to a proxy
package struct KeyStore: Sendable {
    package let directory: String

    /// - Parameter home: the user's home directory.
    package init(home: String) {
        directory = "\(home)/.tsh"
    }

    /// - Parameter proxy: nil for the one of the last login.
    package func profile(proxy: String?) throws(TeleportError) -> Profile? {
        if let proxy { try profile(named: proxy) } else { try currentProfile() }
    }

    private func currentProfile() throws(TeleportError) -> Profile? {
        let path = "\(directory)/current-profile"
        guard try FileIO.status(path) != nil else { return nil }
        let proxy = String(decoding: try FileIO.read(path, max: 1024), as: UTF8.self)
        return try profile(named: String(proxy.prefix { !$0.isNewline }))
    }

    private func profile(named proxy: String) throws(TeleportError) -> Profile? {
        let path = try profilePath(proxy)
        guard try FileIO.status(path) != nil else { return nil }
        do {
            return try JSONDecoder().decode(Profile.self, from: Data(try FileIO.read(path, max: 1 << 16)))
        } catch {
            throw .badParameter("\(path) cannot be read; remove it and run `tsh login` again", cause: error)
        }
    }

    /// Keeps a login and makes it the current one.
    package func save(
        _ profile: Profile, privateKey: String, publicKey: String, certificate: String, authorities: [CertificateAuthority],
        hostKeys: [String]
    )
        throws(TeleportError)
    {
        let keys = try keyDirectory(profile.proxy)
        try FileIO.createDirectory(keys, mode: 0o700)
        let files = try files(of: profile)
        try FileIO.write(Array(privateKey.utf8), to: files.key)
        try FileIO.write(Array((publicKey + "\n").utf8), to: "\(files.key).pub")
        try FileIO.write(Array((certificate + "\n").utf8), to: files.certificate)
        try FileIO.write(Array((IdentityFile.lines(authorities) + hostKeys).map { $0 + "\n" }.joined().utf8), to: "\(keys)/known_hosts")
        try save(profile)
    }

    package func save(_ profile: Profile) throws(TeleportError) {
        let json: [UInt8]
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            json = Array(try encoder.encode(profile))
        } catch {
            throw .badParameter("the profile cannot be written", cause: error)
        }
        try FileIO.write(json, to: try profilePath(profile.proxy))
        try FileIO.write(Array((profile.proxy + "\n").utf8), to: "\(directory)/current-profile")
    }

    /// All that are kept, by name of their proxy.
    package func profiles() throws(TeleportError) -> [Profile] {
        guard try FileIO.status(directory) != nil else { return [] }
        var profiles: [Profile] = []
        for name in try FileIO.list(directory).sorted() where name.hasSuffix(".json") {
            if let profile = try profile(proxy: String(name.dropLast(".json".count))) { profiles.append(profile) }
        }
        return profiles
    }

    /// Of one proxy and one certificate: a new login has a connection of its own.
    package func control(_ identity: ClientIdentity, at proxy: HostPort) -> ControlSocket {
        let digest = Digest.sha256(identity.certificate.blob + Array("\(proxy)".utf8))
        return ControlSocket(directory: "\(directory)/control", name: Hex.encode(Array(digest.prefix(8))))
    }

    /// Whether the profile's key is still there.
    package func isLoggedIn(_ profile: Profile) throws(TeleportError) -> Bool {
        try FileIO.status(try files(of: profile).key) != nil
    }

    /// Where a login's files are.
    package struct Files: Equatable, Sendable {
        package let key: String
        package let certificate: String
        /// nil: the key came without host authorities.
        package let knownHosts: String?

        package init(key: String, certificate: String, knownHosts: String?) {
            self.key = key
            self.certificate = certificate
            self.knownHosts = knownHosts
        }
    }

    package func files(of profile: Profile) throws(TeleportError) -> Files {
        let keys = try keyDirectory(profile.proxy)
        let key = "\(keys)/\(profile.user)"
        return Files(key: key, certificate: "\(key)-cert.pub", knownHosts: "\(keys)/known_hosts")
    }

    package func identity(of profile: Profile) throws(TeleportError) -> ClientIdentity {
        let files = try files(of: profile)
        guard try FileIO.status(files.key) != nil else {
            throw .accessDenied("not logged in to \(profile.proxy); run `tsh login --proxy=\(profile.proxy)`")
        }
        return try ClientIdentity(file: files.key, knownHosts: files.knownHosts)
    }

    /// Removes keys, certificates and profile of one proxy.
    package func logout(proxy: String) throws(TeleportError) {
        try FileIO.removeTree(try keyDirectory(proxy))
        try FileIO.remove(try profilePath(proxy))
        let current = "\(directory)/current-profile"
        if try FileIO.status(current) != nil, String(decoding: try FileIO.read(current, max: 1024), as: UTF8.self) == proxy + "\n" {
            try FileIO.remove(current)
        }
    }

    private func profilePath(_ proxy: String) throws(TeleportError) -> String {
        "\(directory)/\(try Self.fileName(proxy)).json"
    }

    private func keyDirectory(_ proxy: String) throws(TeleportError) -> String {
        "\(directory)/keys/\(try Self.fileName(proxy))"
    }

    /// A host name or address that is safe as the name of a file.
    private static func fileName(_ proxy: String) throws(TeleportError) -> String {
        guard !proxy.isEmpty, proxy.utf8.count <= 255, !proxy.hasPrefix("."), !proxy.contains("/"), !proxy.utf8.contains(0) else {
            throw .badParameter("\(proxy) is no proxy's name")
        }
        return proxy
    }
}
