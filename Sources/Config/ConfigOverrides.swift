package import Base
package import ClusterModel

/// What flags say: each goes over the file.
package struct ConfigOverrides: Equatable, Sendable {
    /// Exactly these services run.
    package var roles: [ServiceRole]?
    package var authServers: [HostPort] = []
    package var proxyServer: HostPort?
    package var token: String?
    package var caPins: [CAPin] = []
    package var nodename: String?
    /// Added to the file's.
    package var labels: Labels = [:]
    package var dataDir: String?
    /// In place of the address of every listener; ports stay.
    package var listenIP: IPAddress?
    package var advertiseIP: IPAddress?
    package var pidFile: String?
    /// The address alone where the port is the usual one.
    package var diagnostics: ListenAddress?
    package var logSeverity: LogSeverity?

    package init() {}

    /// From the texts of the flags of `teleport start`.
    ///
    /// - Throws: `BadParameter` that names the flag.
    package init(
        roles: String? = nil, authServer: String? = nil, proxy: String? = nil, token: String? = nil, caPin: String? = nil,
        nodename: String? = nil,
        labels: String? = nil, dataDir: String? = nil, listenIP: String? = nil, advertiseIP: String? = nil, pidFile: String? = nil,
        diagAddr: String? = nil, debug: Bool = false
    ) throws(TeleportError) {
        self.roles = try Self.flag("roles", roles, ServiceRole.parse)
        authServers =
            try Self.flag("auth-server", authServer) { (text) throws(TeleportError) in
                [try RemoteAddress(parsing: text).with(defaultPort: ConfigDefaults.authPort)]
            } ?? []
        proxyServer = try Self.flag("proxy", proxy) { (text) throws(TeleportError) in
            try RemoteAddress(parsing: text).with(defaultPort: ConfigDefaults.webPort)
        }
        self.token = token
        caPins = try Self.flag("ca-pin", caPin) { (text) throws(TeleportError) in [try CAPin(parsing: text)] } ?? []
        self.nodename = nodename
        self.labels = try Self.flag("labels", labels, parseLabels) ?? [:]
        self.dataDir = dataDir
        self.listenIP = try Self.flag("listen-ip", listenIP, Self.address)
        self.advertiseIP = try Self.flag("advertise-ip", advertiseIP, Self.address)
        self.pidFile = pidFile
        diagnostics = try Self.flag("diag-addr", diagAddr) { (text) throws(TeleportError) in try ListenAddress(parsing: text) }
        logSeverity = debug ? .debug : nil
    }

    private static func flag<Value>(
        _ name: String, _ text: String?, _ parse: (String) throws(TeleportError) -> Value
    ) throws(TeleportError) -> Value? {
        guard let text else { return nil }
        do throws(TeleportError) {
            return try parse(text)
        } catch {
            throw TeleportError(error.kind, "--\(name): \(error.message)", cause: error)
        }
    }

    private static func address(_ text: String) throws(TeleportError) -> IPAddress {
        guard let ip = IPAddress(text) else { throw .badParameter("\(Names.quoted(text)) is not an IP address") }
        return ip
    }
}
