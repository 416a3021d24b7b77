package import Base
internal import ClusterModel
internal import EventLoop

/// As whom we come, through which proxy, and to which site: what every command of `tsh` begins with.
package struct ClientLogin: Sendable {
    /// What was said about it: on the command line, or else in the environment.
    package struct Wishes: Equatable, Sendable {
        package var proxy: String?
        package var user: String?
        package var site: String?
        /// An identity file.
        package var identity: String?

        package init(proxy: String? = nil, user: String? = nil, site: String? = nil, identity: String? = nil) {
            self.proxy = proxy
            self.user = user
            self.site = site
            self.identity = identity
        }

        package var proxyAddress: ProxyAddress? {
            get throws(TeleportError) {
                guard let proxy else { return nil }
                return try ProxyAddress(proxy)
            }
        }

        /// - Parameter environment: `TELEPORT_PROXY` and the like; what is empty counts as absent.
        package func filled(from environment: (String) -> String?) -> Wishes {
            func value(_ name: String) -> String? { environment(name).flatMap { $0.isEmpty ? nil : $0 } }
            return Wishes(
                proxy: proxy ?? value("TELEPORT_PROXY"),
                // An identity file says itself whose it is.
                user: user ?? (identity == nil ? value("TELEPORT_USER") : nil), site: site ?? value("TELEPORT_SITE"), identity: identity)
        }
    }

    package let identity: ClientIdentity
    /// The proxy's SSH for users.
    package let proxy: HostPort
    package let site: String
    private let store: KeyStore

    /// Where a connection to the proxy is kept for us, if somebody does.
    package var control: ControlSocket { store.control(identity, at: proxy) }

    /// Blocks: for the time before the loop runs, or the worker pool.
    ///
    /// - Parameter home: where `~/.tsh` is, and `~/.ssh/known_hosts` for an identity that brings no authorities.
    package init(_ wishes: Wishes, home: String) throws(TeleportError) {
        store = KeyStore(home: home)
        let address = try wishes.proxyAddress
        let profile = try store.profile(proxy: address?.host)
        if let path = wishes.identity {
            identity = try ClientIdentity(file: path, knownHosts: "\(home)/.ssh/known_hosts")
            guard wishes.user == nil || wishes.user == identity.user else {
                throw .badParameter("\(path) is the identity of \(identity.user), not of \(wishes.user ?? "")")
            }
        } else if let profile {
            guard wishes.user == nil || wishes.user == profile.user else {
                throw .accessDenied(
                    "logged in to \(profile.proxy) as \(profile.user), not as \(wishes.user ?? ""); run `tsh login --proxy=\(profile.proxy) --user=\(wishes.user ?? "")`"
                )
            }
            identity = try store.identity(of: profile)
        } else if let address {
            throw .accessDenied("not logged in to \(address.host); run `tsh login --proxy=\(address.host)`")
        } else {
            throw .accessDenied("not logged in; run `tsh login --proxy=HOST --user=NAME`, or use -i IDENTITY with --proxy=HOST")
        }
        if let address {
            proxy = HostPort(host: address.host, port: address.sshPort ?? profile?.sshPort ?? ProxyAddress.defaultSSHPort)
        } else if let profile {
            proxy = HostPort(host: profile.proxy, port: profile.sshPort)
        } else {
            throw .badParameter("an identity file does not say where its proxy is; use --proxy=HOST or TELEPORT_PROXY")
        }
        site = wishes.site ?? profile?.site ?? identity.cluster
    }

    /// What a node is logged in to as: the name asked for, else the local user's where the certificate allows it, else the first that it allows.
    package func login(asked: String?, localUser: String?) throws(TeleportError) -> String {
        if let asked { return asked }
        let allowed = identity.logins.filter { !$0.hasPrefix("-") }
        if let localUser, allowed.contains(localUser) { return localUser }
        guard let first = allowed.first else { throw .accessDenied("the certificate of \(identity.user) allows no login") }
        return first
    }
}
