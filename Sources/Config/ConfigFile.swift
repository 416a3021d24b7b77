package import Base
internal import ClusterModel

/// The keys of `teleport.yaml`, as they stand in the file: nothing is filled in.
package struct ConfigFile: Equatable, Sendable {
    var teleport: TeleportSection?
    var auth: AuthSection?
    var node: NodeSection?
    var proxy: ProxySection?

    struct TeleportSection: Equatable, Sendable, Decodable {
        var nodename: String?
        var dataDir: String?
        var pidFile: String?
        var authToken: String?
        var authServers: OneOrMore<RemoteAddress>?
        var proxyServer: RemoteAddress?
        var caPin: OneOrMore<CAPin>?
        var advertiseIP: String?
        var log: LogSection?
        var connectionLimits: LimitsSection?
        var diagAddr: ListenAddress?

        enum CodingKeys: String, CodingKey {
            case nodename, log
            case dataDir = "data_dir"
            case pidFile = "pid_file"
            case authToken = "auth_token"
            case authServers = "auth_servers"
            case proxyServer = "proxy_server"
            case caPin = "ca_pin"
            case advertiseIP = "advertise_ip"
            case connectionLimits = "connection_limits"
            case diagAddr = "diag_addr"
        }
    }

    struct LogSection: Equatable, Sendable, Decodable {
        var output: LogOutput?
        var severity: LogSeverity?
        var format: LogFormat?
    }

    struct LimitsSection: Equatable, Sendable, Decodable {
        var maxConnections: PositiveCount?
        var maxPerAddress: PositiveCount?
        var maxUnauthenticated: PositiveCount?
        var authenticationDeadline: ConfigDuration?

        enum CodingKeys: String, CodingKey {
            case maxConnections = "max_connections"
            case maxPerAddress = "max_per_address"
            case maxUnauthenticated = "max_unauthenticated"
            case authenticationDeadline = "authentication_deadline"
        }
    }

    struct AuthSection: Equatable, Sendable, Decodable {
        var enabled: Bool?
        var listenAddr: ListenAddress?
        var publicAddr: OneOrMore<RemoteAddress>?
        var clusterName: String?
        var tokens: [StaticToken]?

        enum CodingKeys: String, CodingKey {
            case enabled, tokens
            case listenAddr = "listen_addr"
            case publicAddr = "public_addr"
            case clusterName = "cluster_name"
        }
    }

    struct NodeSection: Equatable, Sendable, Decodable {
        var enabled: Bool?
        var listenAddr: ListenAddress?
        var publicAddr: OneOrMore<RemoteAddress>?
        var labels: [String: String]?

        enum CodingKeys: String, CodingKey {
            case enabled, labels
            case listenAddr = "listen_addr"
            case publicAddr = "public_addr"
        }
    }

    struct ProxySection: Equatable, Sendable, Decodable {
        var enabled: Bool?
        var listenAddr: ListenAddress?
        var tunnelListenAddr: ListenAddress?
        var webListenAddr: ListenAddress?
        var publicAddr: OneOrMore<RemoteAddress>?
        var sshPublicAddr: OneOrMore<RemoteAddress>?
        var tunnelPublicAddr: OneOrMore<RemoteAddress>?
        var httpsKeyFile: String?
        var httpsCertFile: String?

        enum CodingKeys: String, CodingKey {
            case enabled
            case listenAddr = "listen_addr"
            case tunnelListenAddr = "tunnel_listen_addr"
            case webListenAddr = "web_listen_addr"
            case publicAddr = "public_addr"
            case sshPublicAddr = "ssh_public_addr"
            case tunnelPublicAddr = "tunnel_public_addr"
            case httpsKeyFile = "https_key_file"
            case httpsCertFile = "https_cert_file"
        }
    }

    /// What a file without a single key says.
    package init() {}

    /// - Parameter file: what errors call the text.
    /// - Throws: `BadParameter` with file, line and path of what is wrong.
    package init(parsing text: [UInt8], file: String) throws(TeleportError) {
        guard let document = try YAMLDocument.parse(text, file: file) else { return }
        self = try YAMLDecoder.decode(ConfigFile.self, from: document)
    }

    /// The file that was named, else the usual one if there is one, else nothing.
    ///
    /// - Parameter read: the bytes of a file; `NotFound` where there is none.
    package static func load(_ path: String?, read: (String) throws(TeleportError) -> [UInt8]) throws(TeleportError) -> ConfigFile {
        let file = path ?? ConfigDefaults.file
        let text: [UInt8]
        do throws(TeleportError) {
            text = try read(file)
        } catch {
            guard path == nil, error.kind == .notFound else { throw error }
            return ConfigFile()
        }
        return try ConfigFile(parsing: text, file: file)
    }
}

extension ConfigFile: Decodable {
    private enum CodingKeys: String, CodingKey {
        case teleport
        case auth = "auth_service"
        case node = "ssh_service"
        case proxy = "proxy_service"
    }
}
