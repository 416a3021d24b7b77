package import Base
package import ClusterModel

/// Clusters on one machine, their hosts, and who trusts whom: `topologies/NAME.yaml`.
package struct Topology: Equatable, Sendable {
    package struct Cluster: Equatable, Sendable {
        package let name: String
        package let hosts: [Host]
        /// Made when the cluster first starts.
        package let users: [User]
    }

    /// One process: its services listen on one address, at the usual ports.
    package struct Host: Equatable, Sendable {
        package let name: String
        /// nil for a node behind a firewall, which listens nowhere and dials its cluster's proxy.
        package let address: IPAddress?
        package let roles: [ServiceRole]
        package let labels: Labels
        /// Whether it serves health and metrics, at their usual port.
        package let diagnostics: Bool
    }

    /// The leaf's proxy dials the root's; users of the root reach the nodes of the leaf under the roles that the map gives them.
    package struct Trust: Equatable, Sendable {
        package let leaf: String
        package let root: String
        package let roleMap: RoleMap
    }

    /// A site with nothing of ours: each of its hosts runs `sshd` on its address, and one `ssh -N -R 0` is its agent.
    package struct OpenSSHSite: Equatable, Sendable {
        package let name: String
        /// The cluster that lists it.
        package let hub: String
        /// Without roles.
        package let hosts: [Host]
    }

    package let clusters: [Cluster]
    package let sites: [OpenSSHSite]
    package let trusts: [Trust]

    /// - Parameter file: what errors call the text.
    /// - Throws: `BadParameter` with file, line and path of what is wrong.
    package init(parsing text: [UInt8], file: String) throws(TeleportError) {
        guard let document = try YAMLDocument.parse(text, file: file) else { throw .badParameter("\(file): no topology is in it") }
        let entries = try YAMLDecoder.decode(TopologyFile.self, from: document)
        try entries.check(file: file)
        clusters = entries.clusters.map(\.value).filter { $0.opensshSiteOf == nil }.map(\.cluster)
        sites = entries.clusters.map(\.value).compactMap { entry in
            entry.opensshSiteOf.map { OpenSSHSite(name: entry.name.text, hub: $0, hosts: entry.hosts.map(\.value.host)) }
        }
        trusts =
            entries.trust.map { entries in
                entries.map { Trust(leaf: $0.value.leaf, root: $0.value.root, roleMap: $0.value.roleMap) }
            } ?? []
    }
}

/// The keys of the file.
private struct TopologyFile: Decodable {
    struct Cluster: Decodable {
        let name: ClusterName
        let hosts: [Located<Host>]
        let users: [Located<User>]?
        /// The hub of a site that has nothing of ours.
        let opensshSiteOf: String?

        enum CodingKeys: String, CodingKey {
            case name, hosts, users
            case opensshSiteOf = "openssh_site_of"
        }

        var cluster: Topology.Cluster {
            Topology.Cluster(
                name: name.text, hosts: hosts.map(\.value.host),
                users: users.map { users in
                    users.map {
                        ClusterModel.User(name: $0.value.name.text, roles: $0.value.roles ?? [Role.accessName], logins: $0.value.logins)
                    }
                } ?? [])
        }
    }

    struct Host: Decodable {
        let name: HostName
        let address: Address?
        let roles: [ServiceRole]?
        let labels: Labels?
        let diagnostics: Bool?

        var host: Topology.Host {
            Topology.Host(
                name: name.text, address: address?.ip, roles: roles ?? [], labels: labels ?? [:], diagnostics: diagnostics ?? false)
        }

        func has(_ role: ServiceRole) -> Bool { roles?.contains(role) ?? false }
    }

    struct User: Decodable {
        let name: UserName
        let logins: [String]
        let roles: [String]?
    }

    struct Trust: Decodable {
        let leaf: String
        let root: String
        let roleMap: RoleMap

        enum CodingKeys: String, CodingKey {
            case leaf, root
            case roleMap = "role_map"
        }
    }

    struct ClusterName: Decodable {
        let text: String
        init(from decoder: any Decoder) throws {
            text = try decoder.singleValueContainer().decode(String.self)
            try Names.checkCluster(text)
        }
    }

    struct HostName: Decodable {
        let text: String
        init(from decoder: any Decoder) throws {
            text = try decoder.singleValueContainer().decode(String.self)
            try Names.checkNode(text)
        }
    }

    struct UserName: Decodable {
        let text: String
        init(from decoder: any Decoder) throws {
            text = try decoder.singleValueContainer().decode(String.self)
            try Names.checkUser(text)
        }
    }

    struct Address: Decodable {
        let ip: IPAddress
        init(from decoder: any Decoder) throws {
            let text = try decoder.singleValueContainer().decode(String.self)
            guard let ip = IPAddress(text), !ip.isUnspecified else {
                throw TeleportError.badParameter("\(Names.quoted(text)) is not the IP address of a host, such as 127.0.1.1")
            }
            self.ip = ip
        }
    }

    let clusters: [Located<Cluster>]
    let trust: [Located<Trust>]?

    func check(file: String) throws(TeleportError) {
        guard !clusters.isEmpty else { throw .badParameter("\(file): clusters: a topology has at least one") }
        var names: Set<String> = []
        var listeners: [String: String] = [:]
        for entry in clusters {
            let cluster = entry.value
            guard names.insert(cluster.name.text).inserted else { throw entry.error("a second cluster is called \(cluster.name.text)") }
            if let hub = cluster.opensshSiteOf {
                try check(entry, siteOf: hub, listeners: &listeners)
                continue
            }
            let auths = cluster.hosts.count { $0.value.has(.auth) }
            guard auths == 1 else { throw entry.error("cluster \(cluster.name.text) has \(auths) hosts with the role auth, and needs one") }
            try check(cluster, listeners: &listeners)
        }
        var pairs: Set<String> = []
        for entry in trust ?? [] {
            let (leaf, root) = (entry.value.leaf, entry.value.root)
            for name in [leaf, root] {
                guard let cluster = clusters.first(where: { $0.value.name.text == name }) else {
                    throw entry.error("there is no cluster \(Names.quoted(name))")
                }
                guard cluster.value.hosts.contains(where: { $0.value.has(.proxy) }) else {
                    throw entry.error("cluster \(name) has no host with the role proxy, and a tunnel needs one at each end")
                }
            }
            guard leaf != root else { throw entry.error("cluster \(leaf) cannot be a leaf of itself") }
            guard pairs.insert(leaf + " " + root).inserted else { throw entry.error("that \(leaf) trusts \(root) is said twice") }
        }
    }

    private func check(_ entry: Located<Cluster>, siteOf hub: String, listeners: inout [String: String]) throws(TeleportError) {
        let site = entry.value
        guard let cluster = clusters.first(where: { $0.value.name.text == hub })?.value, cluster.opensshSiteOf == nil else {
            throw entry.error("openssh_site_of: there is no cluster \(Names.quoted(hub))")
        }
        guard cluster.hosts.contains(where: { $0.value.has(.proxy) }) else {
            throw entry.error("openssh_site_of: cluster \(hub) has no host with the role proxy")
        }
        guard site.users == nil else { throw entry.error("an OpenSSH site has no users of its own: they are those of \(hub)") }
        for host in site.hosts {
            guard host.value.roles == nil else { throw host.error("roles: a host of an OpenSSH site runs sshd and has none") }
            guard host.value.diagnostics == nil else { throw host.error("diagnostics: a host of an OpenSSH site runs sshd and has none") }
        }
        try check(site, listeners: &listeners)
    }

    private func check(_ cluster: Cluster, listeners: inout [String: String]) throws(TeleportError) {
        var names: Set<String> = []
        for entry in cluster.hosts {
            let host = entry.value
            guard names.insert(host.name.text).inserted else {
                throw entry.error("a second host of the cluster is called \(host.name.text)")
            }
            // An sshd listens where a node of ours would.
            let roles = cluster.opensshSiteOf == nil ? host.roles ?? [] : [.node]
            guard !roles.isEmpty, Set(roles).count == roles.count else {
                throw entry.error("roles: each host has one or more, each once")
            }
            guard let address = host.address?.ip else {
                guard host.roles == [.node] else {
                    throw entry.error(
                        "address: only a node may go without: it stands behind a firewall then, and dials the cluster's proxy")
                }
                guard cluster.hosts.contains(where: { $0.value.has(.proxy) }) else {
                    throw entry.error("address: cluster \(cluster.name.text) has no host with the role proxy for the node to dial")
                }
                guard host.diagnostics != true else { throw entry.error("diagnostics: a host without an address serves none") }
                continue
            }
            for role in roles {
                if let other = listeners.updateValue("\(cluster.name.text)/\(host.name.text)", forKey: "\(role) \(address)") {
                    throw entry.error("\(other) has the role \(role.rawValue) on the same address \(address)")
                }
            }
        }
        for entry in cluster.users ?? [] {
            let user = ClusterModel.User(name: entry.value.name.text, roles: entry.value.roles ?? [], logins: entry.value.logins)
            do throws(TeleportError) { try user.check() } catch { throw entry.error(error.message) }
        }
    }
}
