import ArgumentParser
import AuthAPI
import Base
import ClientKit
import ClusterModel
import Programs
import SSHWire

/// What `authorities … export` and `auth export` share.
struct ExportOptions: ParsableArguments {
    enum Kind: String, ExpressibleByArgument, CaseIterable, Sendable { case user, host }

    @Option(help: "user: lines for sshd's TrustedUserCAKeys; host: lines for known_hosts.") var type: Kind
    @Option(help: ArgumentHelp("Only this cluster's; by default those of every cluster that is trusted for it.", valueName: "name"))
    var cluster: String?
    @Flag(help: "Fingerprints instead of keys.") var fingerprint = false

    func export(_ admin: AdminOptions) throws {
        let (type, cluster, fingerprint) = (type, cluster, fingerprint)
        try admin.run { client, _ in
            let all = try await client.resources(.certificateAuthority).compactMap { resource -> CertificateAuthority? in
                if case .certificateAuthority(let authority) = resource { authority } else { nil }
            }
            let wanted = all.filter { $0.type.rawValue == type.rawValue && (cluster == nil || $0.cluster == cluster) }
            let proxies = try await Self.proxyHosts(client)
            let hosts = type == .host && !fingerprint ? try await Self.siteHosts(client, cluster: cluster, reserved: Set(proxies)) : []
            guard !wanted.isEmpty || !hosts.isEmpty else {
                throw TeleportError.notFound(
                    "no \(type.rawValue) authority of cluster \(cluster ?? "") is known here; `tctl clusters ls` lists the clusters")
            }
            let clusters = Set(all.filter { $0.type == .host }.map(\.cluster))
            let own = try await client.ping().cluster
            for authority in wanted {
                for key in authority.keys {
                    if fingerprint {
                        print("\(authority.cluster) \(type.rawValue) \(key.fingerprint)")
                    } else {
                        switch type {
                        case .user: print(key.text(comment: authority.cluster))
                        case .host:
                            print(
                                AuthorityLines.knownHosts(
                                    key, cluster: authority.cluster, others: clusters.subtracting([authority.cluster]),
                                    reserved: authority.cluster == own ? [] : proxies))
                        }
                    }
                }
            }
            for host in hosts { print(host) }
        }
    }

    /// The hosts of sites that are listed here and sign no certificates.
    private static func siteHosts(_ client: AuthClient, cluster: String?, reserved: Set<String>) async throws -> [String] {
        try await client.resources(.opensshSite).flatMap { resource -> [String] in
            guard case .opensshSite(let site) = resource, cluster == nil || cluster == site.name else { return [] }
            return site.knownHosts(reserved: reserved).map(\.line)
        }
    }

    /// Under which names and addresses this cluster's proxies are reached: another cluster's host must never pass for one of them.
    private static func proxyHosts(_ client: AuthClient) async throws -> [String] {
        var hosts: Set<String> = []
        for case .proxy(let proxy) in try await client.resources(.proxy) {
            for address in [proxy.sshAddr, proxy.tunnelAddr, proxy.webAddr] {
                if let pair = HostPort(address) { hosts.insert(pair.host) }
            }
        }
        return hosts.sorted()
    }
}

struct AuthoritiesCommand: ParsableCommand {
    enum Action: String, ExpressibleByArgument { case export }

    static let configuration = CommandConfiguration(
        commandName: "authorities", abstract: "Exports certificate authorities for OpenSSH.",
        discussion: "Example: tctl authorities --type=host export >> ~/.ssh/known_hosts")
    @OptionGroup var admin: AdminOptions
    @OptionGroup var options: ExportOptions
    @Argument(help: "export") var action: Action

    func run() throws {
        try options.export(admin)
    }
}
