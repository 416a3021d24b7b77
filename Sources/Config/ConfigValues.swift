package import Base
package import ClusterModel

/// What a process of ours serves.
package enum ServiceRole: String, CaseIterable, Codable, Sendable {
    case auth, proxy, node

    /// The roles of `--roles=auth,proxy,node`.
    package static func parse(_ text: String) throws(TeleportError) -> [ServiceRole] {
        var roles: [ServiceRole] = []
        for name in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let role = ServiceRole(rawValue: String(name)) else {
                throw .badParameter("role \(Names.quoted(String(name))) is none of auth, proxy, node")
            }
            guard !roles.contains(role) else { throw .badParameter("role \(name) is given twice") }
            roles.append(role)
        }
        return roles
    }
}

/// `IP:PORT`, or an address alone where the port is the usual one. `localhost` is 127.0.0.1.
package struct ListenAddress: Equatable, Sendable, Decodable {
    package let ip: IPAddress
    package let port: UInt16?

    package init(parsing text: String) throws(TeleportError) {
        let pair = try OptionalPort(parsing: text)
        guard let ip = pair.host == "localhost" ? .loopback4 : IPAddress(pair.host) else {
            throw .badParameter("\(Names.quoted(text)) is not an IP address and port to listen on, such as 0.0.0.0:3022")
        }
        self.ip = ip
        port = pair.port
    }

    package init(from decoder: any Decoder) throws {
        try self.init(parsing: try decoder.singleValueContainer().decode(String.self))
    }
}

/// `HOST:PORT`, or a host alone where the port is the usual one.
package struct RemoteAddress: Equatable, Sendable, Decodable {
    package let host: String
    package let port: UInt16?

    package init(parsing text: String) throws(TeleportError) {
        let pair = try OptionalPort(parsing: text)
        if IPAddress(pair.host) == nil { try Names.checkNode(pair.host) }
        guard pair.port != 0 else { throw .badParameter("\(Names.quoted(text)): nothing can be reached at port 0") }
        host = pair.host
        port = pair.port
    }

    package init(from decoder: any Decoder) throws {
        try self.init(parsing: try decoder.singleValueContainer().decode(String.self))
    }

    package func with(defaultPort: UInt16) -> HostPort {
        HostPort(host: host, port: port ?? defaultPort)
    }
}

private struct OptionalPort {
    let host: String
    let port: UInt16?

    init(parsing text: String) throws(TeleportError) {
        if IPAddress(text) != nil {
            host = text
            port = nil
        } else if let pair = HostPort(text) {
            host = pair.host
            port = pair.port
        } else if !text.contains(":"), !text.isEmpty {
            host = text
            port = nil
        } else if text.hasPrefix("["), text.hasSuffix("]"), IPAddress(String(text.dropFirst().dropLast())) != nil {
            host = String(text.dropFirst().dropLast())
            port = nil
        } else {
            throw .badParameter("\(Names.quoted(text)) is not HOST:PORT")
        }
    }
}

/// A join token that stands in the file: `node,proxy:SECRET`. It never expires.
package struct StaticToken: Equatable, Sendable, Decodable {
    package let roles: [JoinRole]
    package let value: String

    package init(parsing text: String) throws(TeleportError) {
        // The text has a secret in it: no message repeats it.
        guard let colon = text.firstIndex(of: ":") else { throw .badParameter("a token is written as ROLE[,ROLE…]:SECRET") }
        var roles: [JoinRole] = []
        for name in text[..<colon].split(separator: ",", omittingEmptySubsequences: false) {
            guard let role = JoinRole(rawValue: String(name)) else {
                throw .badParameter(
                    "the token's role \(Names.quoted(String(name))) is none of \(JoinRole.allCases.map(\.rawValue).joined(separator: ", "))"
                )
            }
            roles.append(role)
        }
        value = String(text[text.index(after: colon)...])
        try ProvisionToken.checkValue(value)
        self.roles = roles
    }

    package init(from decoder: any Decoder) throws {
        try self.init(parsing: try decoder.singleValueContainer().decode(String.self))
    }
}

/// What the TLS authority of a cluster must hash to: `sha256:HEX`.
package struct CAPin: Equatable, Hashable, Sendable, Decodable, CustomStringConvertible {
    /// SHA-256 of the authority's public key.
    package let digest: [UInt8]

    package init(parsing text: String) throws(TeleportError) {
        let prefix = "sha256:"
        guard text.hasPrefix(prefix), let digest = Hex.decode(text.dropFirst(prefix.count)), digest.count == 32 else {
            throw .badParameter("the pin \(Names.quoted(text)) is not sha256: and 64 hexadecimal digits, as `tctl status` prints it")
        }
        self.digest = digest
    }

    package init(from decoder: any Decoder) throws {
        try self.init(parsing: try decoder.singleValueContainer().decode(String.self))
    }

    package var description: String { "sha256:" + Hex.encode(digest) }
}

/// A value, or a list of them.
struct OneOrMore<Element: Decodable & Equatable & Sendable>: Equatable, Sendable, Decodable {
    let values: [Element]

    init(from decoder: any Decoder) throws {
        // Which of the two stands there decides what errors say.
        if (try? decoder.unkeyedContainer()) != nil {
            values = try [Element](from: decoder)
        } else {
            values = [try decoder.singleValueContainer().decode(Element.self)]
        }
    }
}

/// A duration such as `30s` or `12h`.
struct ConfigDuration: Equatable, Sendable, Decodable {
    let duration: Duration

    init(from decoder: any Decoder) throws {
        duration = try DurationText.parse(try decoder.singleValueContainer().decode(String.self))
    }
}

/// A number above zero.
struct PositiveCount: Equatable, Sendable, Decodable {
    let count: Int

    init(from decoder: any Decoder) throws {
        count = try decoder.singleValueContainer().decode(Int.self)
        guard count > 0 else { throw TeleportError.badParameter("a number above 0 is expected, found \(count)") }
    }
}

/// Where the log goes.
package enum LogOutput: Equatable, Sendable, Decodable {
    case standardError, standardOutput
    case file(String)

    package init(parsing text: String) throws(TeleportError) {
        switch text {
        case "stderr": self = .standardError
        case "stdout": self = .standardOutput
        default:
            guard text.hasPrefix("/") else {
                throw .badParameter("\(Names.quoted(text)) is none of stderr, stdout, or the path of a file from /")
            }
            self = .file(text)
        }
    }

    package init(from decoder: any Decoder) throws {
        try self.init(parsing: try decoder.singleValueContainer().decode(String.self))
    }
}

/// How a log line looks.
package enum LogFormat: String, CaseIterable, Sendable, Decodable {
    case text, json
}

/// The least that is logged, as swift-log orders it.
package enum LogSeverity: String, CaseIterable, Sendable, Decodable {
    case trace, debug, info, warning, error

    /// In any case, with the short names that users know.
    package init(parsing text: String) throws(TeleportError) {
        let name = text.lowercased()
        guard let severity = LogSeverity(rawValue: ["warn": "warning", "err": "error"][name] ?? name) else {
            throw .badParameter("severity \(Names.quoted(text)) is none of \(LogSeverity.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        self = severity
    }

    package init(from decoder: any Decoder) throws {
        try self.init(parsing: try decoder.singleValueContainer().decode(String.self))
    }
}
