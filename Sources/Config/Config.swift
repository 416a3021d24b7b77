package import Base
package import ClusterModel

/// What a process runs with: the file, the flags over it, the defaults under it.
package struct Config: Equatable, Sendable {
    package var nodename: String
    package var dataDir: String
    package var pidFile: String?
    /// Whom to join and ask; the own auth server where one runs here.
    package var authServers: [HostPort]
    /// `HOST:3080` of the proxy that the node dials, where no auth server can be reached: it joins there, and holds a tunnel from then on.
    package var proxyServer: HostPort?
    package var authToken: String?
    /// One of them must fit; without any the first contact is not verified.
    package var caPins: [CAPin]
    package var advertiseIP: IPAddress?
    package var log: Log
    package var limits: Limits
    /// Where health and metrics are served; nil: nowhere.
    package var diagnostics: SocketAddress?
    /// Each is nil where this process does not serve it.
    package var auth: Auth?
    package var node: Node?
    package var proxy: Proxy?

    package struct Log: Equatable, Sendable {
        package var output: LogOutput
        package var severity: LogSeverity
        package var format: LogFormat
    }

    /// Of each listener.
    package struct Limits: Equatable, Sendable {
        package var maxConnections: Int
        package var maxPerAddress: Int
        package var maxUnauthenticated: Int
        package var authenticationDeadline: Duration
    }

    package struct Auth: Equatable, Sendable {
        package var listen: SocketAddress
        package var publicAddresses: [HostPort]
        package var clusterName: String
        package var tokens: [StaticToken]
    }

    package struct Node: Equatable, Sendable {
        /// nil for a node that is reached through a tunnel of its own: it listens nowhere.
        package var listen: SocketAddress?
        package var publicAddresses: [HostPort]
        package var labels: Labels
    }

    package struct Proxy: Equatable, Sendable {
        package var listen: SocketAddress
        package var tunnelListen: SocketAddress
        package var webListen: SocketAddress
        /// Where browsers and `tsh` reach 3080.
        package var publicAddresses: [HostPort]
        package var sshPublicAddresses: [HostPort]
        package var tunnelPublicAddresses: [HostPort]
        /// nil: a certificate of the cluster's own.
        package var https: HTTPSFiles?
    }

    package struct HTTPSFiles: Equatable, Sendable {
        package var keyFile: String
        package var certFile: String
    }

    package var roles: [ServiceRole] {
        ServiceRole.allCases.filter { role in
            switch role {
            case .auth: auth != nil
            case .proxy: proxy != nil
            case .node: node != nil
            }
        }
    }

    /// Where others reach what listens here: a public address, the advertised IP, or the listening address where it is one.
    ///
    /// nil where only those who see our connections can tell.
    package func announced(_ listen: SocketAddress, public addresses: [HostPort]) -> HostPort? {
        if let first = addresses.first { return first }
        guard case .ip(let ip, let port) = listen else { return nil }
        if let advertiseIP { return HostPort(host: "\(advertiseIP)", port: port) }
        return ip.isUnspecified ? nil : HostPort(host: "\(ip)", port: port)
    }

    /// - Parameters:
    ///   - hostname: of this machine: the node's name where neither file nor flag gives one.
    /// - Throws: `BadParameter` for what contradicts itself or is missing.
    package init(file: ConfigFile = ConfigFile(), overrides: ConfigOverrides = ConfigOverrides(), hostname: String) throws(TeleportError) {
        let general = file.teleport
        nodename = overrides.nodename ?? general?.nodename ?? ConfigDefaults.nodename(hostname: hostname)
        dataDir = overrides.dataDir ?? general?.dataDir ?? ConfigDefaults.dataDir
        pidFile = overrides.pidFile ?? general?.pidFile
        authToken = overrides.token ?? general?.authToken
        caPins = overrides.caPins.isEmpty ? general?.caPin?.values ?? [] : overrides.caPins
        if let text = general?.advertiseIP {
            guard let ip = IPAddress(text), !ip.isUnspecified else {
                throw .badParameter("teleport.advertise_ip: \(Names.quoted(text)) is not the IP address of a host")
            }
            advertiseIP = ip
        }
        if let ip = overrides.advertiseIP { advertiseIP = ip }
        log = Log(
            output: general?.log?.output ?? ConfigDefaults.logOutput,
            severity: overrides.logSeverity ?? general?.log?.severity ?? ConfigDefaults.logSeverity,
            format: general?.log?.format ?? ConfigDefaults.logFormat)
        limits = Limits(
            maxConnections: general?.connectionLimits?.maxConnections?.count ?? ConfigDefaults.maxConnections,
            maxPerAddress: general?.connectionLimits?.maxPerAddress?.count ?? ConfigDefaults.maxPerAddress,
            maxUnauthenticated: general?.connectionLimits?.maxUnauthenticated?.count ?? ConfigDefaults.maxUnauthenticated,
            authenticationDeadline: general?.connectionLimits?.authenticationDeadline?.duration ?? ConfigDefaults.authenticationDeadline)
        diagnostics = (overrides.diagnostics ?? general?.diagAddr).map {
            SocketAddress($0.ip, port: $0.port ?? ConfigDefaults.diagnosticsPort)
        }

        func serves(_ role: ServiceRole, _ enabled: Bool?) -> Bool {
            overrides.roles.map { $0.contains(role) } ?? enabled ?? true
        }
        func listen(_ address: ListenAddress?, port: UInt16) -> SocketAddress {
            SocketAddress(overrides.listenIP ?? address?.ip ?? ConfigDefaults.listenIP, port: address?.port ?? port)
        }
        func hosts(_ addresses: OneOrMore<RemoteAddress>?, port: UInt16) -> [HostPort] {
            addresses?.values.map { $0.with(defaultPort: port) } ?? []
        }
        authServers = overrides.authServers.isEmpty ? hosts(general?.authServers, port: ConfigDefaults.authPort) : overrides.authServers
        proxyServer = overrides.proxyServer ?? general?.proxyServer?.with(defaultPort: ConfigDefaults.webPort)
        // Who is told of another auth server or of a proxy wants none here, unless they say so.
        if serves(.auth, file.auth?.enabled ?? (file.auth != nil || authServers.isEmpty && proxyServer == nil)) {
            guard !authServers.isEmpty || (authToken ?? "").isEmpty || proxyServer != nil else {
                throw .badParameter(
                    "a token joins a cluster that exists, and this process would start its own: name that cluster's auth server with "
                        + "--auth-server or in teleport.auth_servers, or its proxy with --proxy or in teleport.proxy_server, or leave the "
                        + "token out")
            }
            auth = Auth(
                listen: listen(file.auth?.listenAddr, port: ConfigDefaults.authPort),
                publicAddresses: hosts(file.auth?.publicAddr, port: ConfigDefaults.authPort),
                clusterName: file.auth?.clusterName ?? ConfigDefaults.clusterName(nodename: nodename),
                tokens: file.auth?.tokens ?? [])
        }
        if serves(.node, file.node?.enabled) {
            node = Node(
                listen: proxyServer == nil ? listen(file.node?.listenAddr, port: ConfigDefaults.nodePort) : nil,
                publicAddresses: hosts(file.node?.publicAddr, port: ConfigDefaults.nodePort),
                labels: (file.node?.labels ?? [:]).merging(overrides.labels) { _, flag in flag })
        }
        if serves(.proxy, file.proxy?.enabled ?? (file.proxy != nil || proxyServer == nil)) {
            proxy = Proxy(
                listen: listen(file.proxy?.listenAddr, port: ConfigDefaults.proxyPort),
                tunnelListen: listen(file.proxy?.tunnelListenAddr, port: ConfigDefaults.tunnelPort),
                webListen: listen(file.proxy?.webListenAddr, port: ConfigDefaults.webPort),
                publicAddresses: hosts(file.proxy?.publicAddr, port: ConfigDefaults.webPort),
                sshPublicAddresses: hosts(file.proxy?.sshPublicAddr, port: ConfigDefaults.proxyPort),
                tunnelPublicAddresses: hosts(file.proxy?.tunnelPublicAddr, port: ConfigDefaults.tunnelPort),
                https: try Config.httpsFiles(key: file.proxy?.httpsKeyFile, cert: file.proxy?.httpsCertFile))
        }
        if proxyServer != nil { try checkDialling(file, overrides) }
        if authServers.isEmpty, case .ip(let ip, let port)? = auth?.listen {
            let reachable = ip == .any4 ? IPAddress.loopback4 : ip == .any6 ? .loopback6 : ip
            authServers = [HostPort(host: "\(reachable)", port: port)]
        }
        try validate()
    }

    private static func httpsFiles(key: String?, cert: String?) throws(TeleportError) -> HTTPSFiles? {
        switch (key, cert) {
        case (let key?, let cert?): return HTTPSFiles(keyFile: key, certFile: cert)
        case (nil, nil): return nil
        case (_, nil): throw .badParameter("proxy_service.https_key_file is given without https_cert_file")
        case (nil, _): throw .badParameter("proxy_service.https_cert_file is given without https_key_file")
        }
    }
}
