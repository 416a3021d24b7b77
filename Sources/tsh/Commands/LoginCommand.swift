import ArgumentParser
import AuthAPI
import Base
import ClientKit
import ClusterModel
import Crypto
import EventLoop
import Programs

struct LoginCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login", abstract: "Logs in with password and one-time code; the certificate is kept under ~/.tsh.",
        discussion: """
            Whoever is logged in already changes with `tsh login SITE` the site that commands go to.

            Example: tsh login --proxy=proxy.example.com --user=alice --ca-pin=sha256:…
            Example: tsh login east
            """)
    @OptionGroup var client: ClientOptions
    @OptionGroup var trust: TrustOptions
    @OptionGroup var secrets: SecretOptions
    @Argument(help: "The site that commands go to from now on.") var site: String?

    /// What is asked for; roles may allow less.
    private static let certificateSeconds: Int64 = 12 * 3600

    func run() throws {
        let home = try Home.directory()
        let store = KeyStore(home: home)
        let wishes = client.wishes
        guard wishes.identity == nil else { throw ValidationError("-i is an identity already: there is nothing to log in to") }
        let site = site ?? wishes.site
        let address = try wishes.proxyAddress
        let known = try store.profile(proxy: address?.host)
        if let profile = known, let site, wishes.user == nil || wishes.user == profile.user, try store.isLoggedIn(profile) {
            let identity = try store.identity(of: profile)
            if identity.expires > SystemClock().wallTime() { return try Self.change(profile, to: site, identity, store) }
        }
        guard let host = address?.host ?? known?.proxy else {
            throw TeleportError.badParameter("say which proxy: --proxy=HOST or TELEPORT_PROXY")
        }
        guard let user = try wishes.user ?? known?.user ?? LocalUser.name() else {
            throw TeleportError.badParameter("say as whom: --user=NAME or TELEPORT_USER")
        }
        let server = HostPort(host: host, port: address?.webPort ?? known?.webPort ?? ProxyAddress.defaultWebPort)
        // Who was told the pin once is not asked for it at each login.
        let pin = trust.caPin ?? known?.caPin
        let trust: ProxyWeb.Trust = client.insecure ? .anybody : pin.map { .pin($0) } ?? .system
        let (passwordFile, otp, sshPort) = (secrets.passwordFile, secrets.otp, address?.sshPort)
        let agent = ProcessEnvironment.value("SSH_AUTH_SOCK")
        try Program.onLoop { loop in
            let web = try await ProxyWeb(server, trust: trust, on: loop)
            // Before anything is asked for, so that nobody types a password for a proxy that is not there.
            let ping = try await web.ping()
            let (password, code) = try await loop.work {
                (try SecretOptions.password(file: passwordFile, isNew: false), try SecretOptions.code(otp))
            }
            let keys = UserKeys(randomness: SystemRandomness())
            let answer = try await web.auth.login(
                LoginRequest(
                    user: user, password: password, code: code, publicKey: keys.sshPublicKey, ttlSeconds: Self.certificateSeconds))
            let profile = Profile(
                proxy: host, webPort: server.port, sshPort: sshPort ?? ping.sshPort, user: user, cluster: answer.cluster,
                site: site == answer.cluster ? nil : site, caPin: pin)
            let identity = try await loop.work {
                try store.save(
                    profile, privateKey: keys.sshPrivateKey, publicKey: keys.sshPublicKey, certificate: answer.sshCertificate,
                    authorities: answer.authorities, hostKeys: answer.knownHosts)
                return try store.identity(of: profile)
            }
            if let agent, !agent.isEmpty {
                do {
                    try await LocalAgent.add(identity, path: agent, loop)
                } catch {
                    Program.complain("WARNING: the certificate was not added to the SSH agent: \(error)")
                }
            }
            print(
                "logged in to \(answer.cluster) as \(user); logins: \(answer.logins.joined(separator: ", ")); valid until \(answer.expires.text)"
            )
        }
    }
}

extension LoginCommand {
    /// Who is logged in already needs no new certificate for another site.
    private static func change(_ profile: Profile, to site: String, _ identity: ClientIdentity, _ store: KeyStore) throws {
        let proxy = HostPort(host: profile.proxy, port: profile.sshPort)
        try Program.onLoop { loop in
            let sites = try SiteList(json: try await ProxyQuestion.ask("proxysites", proxy: proxy, identity: identity, loop)).sites
            guard sites.contains(where: { $0.name == site }) else {
                throw TeleportError.notFound("site \(site) is not known to the proxy; `tsh clusters` lists those that are")
            }
        }
        var changed = profile
        changed.site = site == profile.cluster ? nil : site
        try store.save(changed)
        print("commands go to site \(site)")
    }
}

/// The operating system's name for whoever runs this.
enum LocalUser {
    static func name() throws(TeleportError) -> String? {
        try UserAccounts.name(identifier: UserAccounts.effectiveIdentifier)
    }
}

struct LogoutCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logout", abstract: "Removes keys and certificates: of all proxies, or of the one that --proxy names.",
        discussion: "Example: tsh logout")
    @OptionGroup var client: ClientOptions

    func run() throws {
        let store = KeyStore(home: try Home.directory())
        let address = try client.wishes.proxyAddress
        let profiles = try address == nil ? store.profiles() : [store.profile(proxy: address?.host)].compactMap { $0 }
        guard !profiles.isEmpty else {
            print("not logged in")
            return
        }
        // An identity that cannot be read, or is not there, is in no agent and keeps no connection.
        let logins = profiles.compactMap { profile in (try? store.identity(of: profile)).map { (profile, $0) } }
        try Program.onLoop { loop in
            for (profile, identity) in logins {
                store.control(identity, at: HostPort(host: profile.proxy, port: profile.sshPort)).stop(on: loop.inside)
                if let agent = ProcessEnvironment.value("SSH_AUTH_SOCK"), !agent.isEmpty {
                    try? await LocalAgent.remove(identity, path: agent, loop)
                }
            }
        }
        for profile in profiles {
            try store.logout(proxy: profile.proxy)
            print("logged out of \(profile.proxy)")
        }
    }
}

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows where you are logged in, as whom and until when.",
        discussion: "Example: tsh status --format=json")
    @OptionGroup var client: ClientOptions
    @Option(help: "text or json.") var format = OutputFormat.text

    struct Line: Encodable {
        let proxy: String
        let user: String
        let cluster: String
        let site: String
        let logins: [String]
        let valid_until: String
        let expired: Bool
    }

    func run() throws {
        let store = KeyStore(home: try Home.directory())
        guard let profile = try store.profile(proxy: try client.wishes.proxyAddress?.host) else {
            throw TeleportError.accessDenied("not logged in; run `tsh login --proxy=HOST --user=NAME`")
        }
        let identity = try store.identity(of: profile)
        let expired = identity.expires <= SystemClock().wallTime()
        let line = Line(
            proxy: "\(HostPort(host: profile.proxy, port: profile.webPort))", user: identity.user, cluster: profile.cluster,
            site: profile.site ?? profile.cluster, logins: identity.logins, valid_until: identity.expires.text, expired: expired)
        switch format {
        case .json: print(try JSONOutput.text(line))
        case .text:
            print("Proxy:    \(line.proxy)")
            print("User:     \(line.user)")
            print("Cluster:  \(line.cluster)")
            print("Site:     \(line.site)")
            print("Logins:   \(line.logins.joined(separator: ", "))")
            print("Valid:    until \(line.valid_until)\(expired ? ", expired: run `tsh login`" : "")")
        }
    }
}
