import ArgumentParser
import AuthAPI
import Base
import ClientKit
import ClusterModel
import EventLoop
import Programs

struct TokensCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokens", abstract: "Tokens with which hosts and clusters join.",
        discussion: "Example: tctl tokens add --type=node --ttl=30m",
        subcommands: [Add.self, List.self, Remove.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Makes a token and prints what to run on the joining host.",
            discussion: "Example: tctl tokens add --type=node,proxy --ttl=30m")
        @OptionGroup var admin: AdminOptions
        @Option(help: "node, proxy, auth, trusted_cluster; several are separated by commas.") var type = "node"
        @Option(help: "How long the token is good for.") var ttl = DurationText(.seconds(1800))
        @Option(help: "The token itself; by default a random one.") var value: String?
        @Option(help: "text or json.") var format = OutputFormat.text

        func run() throws {
            try TokensCommand.add(admin, type: type, ttl: ttl, value: value, format: format)
        }
    }

    static func add(_ admin: AdminOptions, type: String, ttl: DurationText, value: String?, format: OutputFormat) throws {
        let roles = try commaList(type).map { word in
            guard let role = JoinRole(rawValue: word) else {
                throw ValidationError("--type has no \(word); it knows \(JoinRole.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            return role
        }
        guard !roles.isEmpty else { throw ValidationError("--type names no role") }
        let authServer = admin.authServer
        let config = admin.identity == nil ? admin.config : nil
        let isLocal = admin.identity == nil
        try admin.run { client, loop in
            let token = try await client.createToken(TokenRequest(roles: roles, ttlSeconds: ttl.seconds, value: value))
            switch format {
            case .json:
                print(try JSONOutput.text(TokenLine(token, roles: roles)))
            case .text:
                let local = isLocal ? try await loop.work { reachable(try AdminConnection.local(config).authServers.first) } : nil
                let proxies = try await client.resources(.proxy).compactMap { resource -> HostPort? in
                    if case .proxy(let proxy) = resource { HostPort(proxy.webAddr) } else { nil }
                }
                print(
                    instructions(
                        token, roles: roles, ttl: ttl, authServer: authServer ?? local ?? "AUTH_HOST:3025",
                        proxy: reachable(proxies.first) ?? "PROXY_HOST:3080"))
            }
        }
    }

    private struct TokenLine: Encodable {
        let token: String
        let ca_pin: String
        let roles: [String]
        let expires: String

        init(_ token: TokenResponse, roles: [JoinRole]) {
            self.token = token.token
            ca_pin = token.caPin
            self.roles = roles.map(\.rawValue)
            expires = token.expires.text
        }
    }

    /// A server as another host reaches it: where the configuration knows this machine's loopback address alone, the machine's name.
    private static func reachable(_ server: HostPort?) -> String? {
        guard let server else { return nil }
        guard ["127.0.0.1", "::1", "localhost"].contains(server.host) else { return server.description }
        return HostPort(host: SystemName.hostname(), port: server.port).description
    }

    private static func instructions(_ token: TokenResponse, roles: [JoinRole], ttl: DurationText, authServer: String, proxy: String)
        -> String
    {
        let hosts = roles.filter { $0 != .trustedCluster }
        var text = "The token, good for \(ttl): \(token.token)\nThe CA pin: \(token.caPin)\n"
        if !hosts.isEmpty {
            text += """

                On the joining host:

                    teleport start --roles=\(hosts.map(\.rawValue).joined(separator: ",")) --auth-server=\(authServer) \\
                        --token=\(token.token) --ca-pin=\(token.caPin)

                """
        }
        if hosts.contains(.node) {
            text += """

                On a node that reaches nothing but the proxy:

                    teleport start --roles=node --proxy=\(proxy) \\
                        --token=\(token.token) --ca-pin=\(token.caPin)

                """
        }
        if roles.contains(.trustedCluster) {
            text += """

                In the leaf cluster, `tctl create` of:

                    kind: trusted_cluster
                    metadata: {name: NAME_OF_THIS_CLUSTER}
                    spec:
                      token: \(token.token)
                      ca_pin: \(token.caPin)
                      web_proxy_addr: PROXY_HOST:3080
                      tunnel_addr: PROXY_HOST:3024
                      role_map: [{remote: access, local: [access]}]

                """
        }
        return text
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "Lists the tokens; their values are not shown.", discussion: "Example: tctl tokens ls")
        @OptionGroup var admin: AdminOptions
        @Option(help: "text or json.") var format = OutputFormat.text

        struct Line: Encodable {
            let name: String
            let roles: [String]
            let expires: String
        }

        func run() throws {
            let format = format
            try admin.run { client, _ in
                let lines = try await client.resources(.token).compactMap { resource -> Line? in
                    guard case .token(let token) = resource else { return nil }
                    return Line(name: token.name, roles: token.roles.map(\.rawValue), expires: token.expires.text)
                }
                try format.show(lines) {
                    var table = Table(["Token", "Roles", "Expires (UTC)"])
                    for line in lines { table.add([line.name, line.roles.joined(separator: ","), line.expires]) }
                    return table
                }
            }
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "rm", abstract: "Removes a token.", discussion: "Example: tctl tokens rm 5f2c9a")
        @OptionGroup var admin: AdminOptions
        @Argument(help: "The token, or its name in `tctl tokens ls`.") var token: String

        func run() throws {
            let token = token
            try admin.run { client, _ in
                try await client.delete(.token, name: token)
                print("the token is removed")
            }
        }
    }
}
