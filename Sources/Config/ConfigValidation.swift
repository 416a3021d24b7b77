internal import Base
internal import ClusterModel

extension Config {
    /// The rules across keys.
    func validate() throws(TeleportError) {
        try Names.checkNode(nodename)
        guard !dataDir.isEmpty else { throw .badParameter("teleport.data_dir is empty") }
        guard !roles.isEmpty else {
            throw .badParameter("no service is enabled: enable auth_service, proxy_service or ssh_service, or name them with --roles")
        }
        guard !authServers.isEmpty || proxyServer != nil else {
            throw TeleportError(
                .missingParameter,
                "no auth server is known: name one in teleport.auth_servers or with --auth-server, or for a node that reaches none a proxy "
                    + "in teleport.proxy_server or with --proxy, or enable auth_service here")
        }
        if let authToken {
            guard !authToken.isEmpty, authToken.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
                throw .badParameter("teleport.auth_token is empty or has characters that no token has")
            }
        }
        if let auth { try Names.checkCluster(auth.clusterName) }
        if let node {
            // As the auth server will judge it when it is announced.
            try ClusterModel.Node(uuid: nodename, hostname: nodename, addr: "", labels: node.labels, cluster: "").check()
        }
        guard limits.authenticationDeadline > .zero else {
            throw .badParameter("teleport.connection_limits.authentication_deadline must be longer than 0")
        }
        try validateListeners()
    }

    /// What a node that dials a proxy cannot be or have besides.
    func checkDialling(_ file: ConfigFile, _ overrides: ConfigOverrides) throws(TeleportError) {
        guard authServers.isEmpty else {
            throw .badParameter(
                "--proxy and --auth-server (teleport.proxy_server and teleport.auth_servers) are two ways into a cluster: a host that reaches "
                    + "the auth server needs no tunnel, and one that does not has no use for its address; leave one out")
        }
        guard auth == nil, proxy == nil else {
            throw .badParameter(
                "a host that dials a proxy (--proxy, teleport.proxy_server) can only be a node: auth servers and proxies have to be reached "
                    + "by others; use --roles=node, or disable auth_service and proxy_service")
        }
        guard dataDir.utf8.count <= Self.diallingDataDirBytesMax else {
            throw .badParameter(
                "teleport.data_dir is longer than \(Self.diallingDataDirBytesMax) bytes, and a node that dials a proxy has a unix socket there"
            )
        }
        let useless = [
            ("ssh_service.listen_addr", file.node?.listenAddr != nil), ("ssh_service.public_addr", file.node?.publicAddr != nil),
            ("teleport.advertise_ip", file.teleport?.advertiseIP != nil), ("--listen-ip", overrides.listenIP != nil),
            ("--advertise-ip", overrides.advertiseIP != nil),
        ]
        if let (name, _) = useless.first(where: \.1) {
            throw .badParameter(
                "\(name) has no use beside --proxy or teleport.proxy_server: the node listens nowhere, and is reached through its tunnel alone"
            )
        }
    }

    /// `/auth.sock` goes behind it, and the path of a unix socket has 107 bytes (unix(7)).
    private static let diallingDataDirBytesMax = 97

    private func validateListeners() throws(TeleportError) {
        var listeners: [(key: String, address: SocketAddress)] = []
        if let auth { listeners.append(("auth_service.listen_addr", auth.listen)) }
        if let listen = node?.listen { listeners.append(("ssh_service.listen_addr", listen)) }
        if let proxy {
            listeners.append(("proxy_service.listen_addr", proxy.listen))
            listeners.append(("proxy_service.tunnel_listen_addr", proxy.tunnelListen))
            listeners.append(("proxy_service.web_listen_addr", proxy.webListen))
        }
        if let diagnostics { listeners.append(("teleport.diag_addr", diagnostics)) }
        for (index, second) in listeners.enumerated() {
            for first in listeners[..<index] where overlap(first.address, second.address) {
                throw .badParameter("\(first.key) and \(second.key) are both \(second.address)")
            }
        }
    }

    private func overlap(_ left: SocketAddress, _ right: SocketAddress) -> Bool {
        guard let leftIP = left.ip, let rightIP = right.ip, left.port == right.port, left.port != 0 else { return false }
        return leftIP == rightIP || leftIP.isUnspecified || rightIP.isUnspecified
    }
}
