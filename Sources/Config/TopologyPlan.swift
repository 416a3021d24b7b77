package import Base
package import ClusterModel

/// What runs a topology: a file for every host, and what has to be made in the clusters once they run.
///
/// A cluster's hosts join by a token that stands in its auth server's file. The pin is known only when that server has run once, so the
/// auth hosts are written and started first.
package struct TopologyPlan: Sendable {
    package struct Host: Sendable {
        package let cluster: String
        package let name: String
        /// nil for a node that listens nowhere and dials its cluster's proxy.
        package let address: IPAddress?
        package let roles: [ServiceRole]
        /// `DATA_DIR/CLUSTER/HOST`: the host's data directory, with its file, log and pid file in it.
        package let directory: String
        fileprivate let labels: Labels
        fileprivate let hasDiagnostics: Bool
        fileprivate let joinToken: String
        fileprivate let authServer: IPAddress
        fileprivate let proxy: IPAddress?

        package var configPath: String { directory + "/teleport.yaml" }
        package var logPath: String { directory + "/teleport.log" }
        package var pidPath: String { directory + "/teleport.pid" }
        package var servesAuth: Bool { roles.contains(.auth) }

        /// nil where it serves none.
        package var diagnostics: HostPort? { hasDiagnostics ? listen(ConfigDefaults.diagnosticsPort) : nil }

        package func listen(_ port: UInt16) -> HostPort {
            guard let address else { preconditionFailure("host \(name) listens nowhere") }
            return HostPort(host: "\(address)", port: port)
        }
    }

    /// Create `token` in the root, then `trustedCluster`, with the root's pin filled in, in the leaf.
    package struct Trust: Sendable {
        package let root: String
        package let leaf: String
        package let token: ProvisionToken
        package let trustedCluster: TrustedCluster
    }

    /// How long the tokens of trusts are good for: longer than a slow machine needs to start everything.
    package static let tokenLifetime: Duration = .seconds(3600)

    package let dataDir: String
    package let hosts: [Host]
    package let trusts: [Trust]
    package let users: [(cluster: String, user: User)]
    package let sites: [TopologySite]
    private let topology: Topology

    /// - Parameter dataDir: an absolute path.
    package init(_ topology: Topology, dataDir: String, randomness: any Randomness, now: UnixTime) {
        self.topology = topology
        self.dataDir = dataDir
        hosts = topology.clusters.flatMap { cluster in
            let token = Hex.encode(randomness.bytes(16))
            return cluster.hosts.map { host in
                Host(
                    cluster: cluster.name, name: host.name, address: host.address, roles: host.roles,
                    directory: "\(dataDir)/\(cluster.name)/\(host.name)", labels: host.labels,
                    hasDiagnostics: host.diagnostics, joinToken: token, authServer: cluster.address(of: .auth),
                    proxy: cluster.anyAddress(of: .proxy))
            }
        }
        sites = topology.sites.compactMap { site in
            topology.clusters.first { $0.name == site.hub }.map { hub in
                TopologySite(site, tunnel: HostPort(host: "\(hub.address(of: .proxy))", port: ConfigDefaults.tunnelPort), dataDir: dataDir)
            }
        }
        users = topology.clusters.flatMap { cluster in cluster.users.map { (cluster.name, $0) } }
        trusts = topology.trusts.compactMap { trust in
            guard let root = topology.clusters.first(where: { $0.name == trust.root }) else { return nil }
            let token = Hex.encode(randomness.bytes(16))
            let proxy = root.address(of: .proxy)
            return Trust(
                root: trust.root, leaf: trust.leaf,
                token: ProvisionToken(name: token, roles: [.trustedCluster], expires: now + TopologyPlan.tokenLifetime, singleUse: true),
                trustedCluster: TrustedCluster(
                    name: trust.root, token: token, webProxyAddr: "\(HostPort(host: "\(proxy)", port: ConfigDefaults.webPort))",
                    tunnelAddr: "\(HostPort(host: "\(proxy)", port: ConfigDefaults.tunnelPort))", roleMap: trust.roleMap))
        }
    }

    /// The text of `topology.json`: what scripts find everything by.
    package func summaryText() throws(TeleportError) -> [UInt8] {
        do {
            return try JSONText.encodeBytes(summary, pretty: true) + [UInt8(ascii: "\n")]
        } catch {
            throw TeleportError(.systemError, "topology.json cannot be made", cause: error)
        }
    }

    package var summaryPath: String { dataDir + "/topology.json" }

    package var summary: TopologySummary {
        TopologySummary(
            clusters: topology.clusters.map { cluster in
                let hosts = hosts.filter { $0.cluster == cluster.name }
                let auth = hosts.first(where: \.servesAuth)
                return TopologySummary.Cluster(
                    name: cluster.name, root: !topology.trusts.contains { $0.leaf == cluster.name },
                    proxies: hosts.filter { $0.roles.contains(.proxy) }.map { host in
                        TopologySummary.Proxy(
                            host: host.name, ssh: "\(host.listen(ConfigDefaults.proxyPort))",
                            tunnel: "\(host.listen(ConfigDefaults.tunnelPort))",
                            web: "\(host.listen(ConfigDefaults.webPort))")
                    },
                    auth: auth.map { "\($0.listen(ConfigDefaults.authPort))" } ?? "", config: auth?.configPath ?? "",
                    nodes: hosts.filter { $0.roles.contains(.node) }.map { host in
                        TopologySummary.Node(
                            name: host.name, addr: host.address == nil ? "" : "\(host.listen(ConfigDefaults.nodePort))")
                    },
                    hosts: hosts.map { TopologySummary.Host($0) })
            } + sites.map(\.summary))
    }
}

extension Topology.Cluster {
    /// A topology that was read has a host with every role that is asked for here.
    fileprivate func address(of role: ServiceRole) -> IPAddress {
        guard let address = anyAddress(of: role) else { preconditionFailure("no host of \(name) is \(role)") }
        return address
    }

    fileprivate func anyAddress(of role: ServiceRole) -> IPAddress? {
        hosts.first { $0.roles.contains(role) && $0.address != nil }?.address
    }
}

extension TopologyPlan.Host {
    /// The `teleport.yaml` that a real host would have; with a token in it, so for its owner alone.
    ///
    /// - Parameter caPin: of the host's cluster; an auth host needs none.
    package func configText(caPin: CAPin?) -> String {
        let joins = !servesAuth
        let dials = address == nil
        func listen(_ port: UInt16) -> YAMLValue? { dials ? nil : .text("\(self.listen(port))") }
        let teleport = YAMLValue.map([
            "nodename": .text(name),
            "data_dir": .text(directory),
            "pid_file": .text(pidPath),
            "auth_token": joins ? .text(joinToken) : nil,
            "auth_servers": joins && !dials ? .list([.text("\(HostPort(host: "\(authServer)", port: ConfigDefaults.authPort))")]) : nil,
            "proxy_server": dials ? proxy.map { .text("\(HostPort(host: "\($0)", port: ConfigDefaults.webPort))") } : nil,
            "ca_pin": joins ? caPin.map { .text("\($0)") } : nil,
            "log": .map(["output": .text(logPath)]),
            "diag_addr": diagnostics.map { .text("\($0)") },
        ])
        let disabled = YAMLValue.map(["enabled": .plain("no")])
        let auth = YAMLValue.map([
            "enabled": .plain("yes"), "listen_addr": listen(ConfigDefaults.authPort), "cluster_name": .text(cluster),
            "tokens": .list([.text("proxy,node:\(joinToken)")]),
        ])
        let node = YAMLValue.map([
            "enabled": .plain("yes"), "listen_addr": listen(ConfigDefaults.nodePort),
            "labels": labels.isEmpty
                ? nil
                : YAMLValue(.mapping(labels.sorted { $0.key < $1.key }.map { YAMLPair(key: $0.key, line: 0, value: .text($0.value)) })),
        ])
        let proxy = YAMLValue.map([
            "enabled": .plain("yes"), "listen_addr": listen(ConfigDefaults.proxyPort),
            "tunnel_listen_addr": listen(ConfigDefaults.tunnelPort),
            "web_listen_addr": listen(ConfigDefaults.webPort),
        ])
        return "# Written from a topology; changes are lost when it starts again.\n"
            + YAMLWriter.write(
                .map([
                    "teleport": teleport,
                    "auth_service": roles.contains(.auth) ? auth : disabled,
                    "ssh_service": roles.contains(.node) ? node : disabled,
                    "proxy_service": roles.contains(.proxy) ? proxy : disabled,
                ]))
    }
}

/// `topology.json`.
package struct TopologySummary: Codable, Equatable, Sendable {
    package struct Cluster: Codable, Equatable, Sendable {
        package let name: String
        package let root: Bool
        package let proxies: [Proxy]
        package let auth: String
        /// Of the auth server's host; empty for a site that has none.
        package let config: String
        package let nodes: [Node]
        package let hosts: [Host]
    }

    package struct Proxy: Codable, Equatable, Sendable {
        package let host: String
        package let ssh: String
        package let tunnel: String
        package let web: String
    }

    package struct Node: Codable, Equatable, Sendable {
        package let name: String
        /// Empty for one that holds a tunnel.
        package let addr: String
    }

    package struct Host: Codable, Equatable, Sendable {
        package let name: String
        package let roles: [ServiceRole]
        package let config: String
        /// `HOST:PORT` of its health and metrics; absent where it serves none.
        package let diag: String?

        init(_ host: TopologyPlan.Host) {
            name = host.name
            roles = host.roles
            config = host.configPath
            diag = host.diagnostics.map { "\($0)" }
        }

        init(_ host: TopologySite.Host) {
            name = host.name
            roles = []
            config = host.configPath
            diag = nil
        }
    }

    package let clusters: [Cluster]
}
