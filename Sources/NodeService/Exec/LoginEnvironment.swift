package import Base
package import EventLoop

/// The variables a login program starts with: ours, then what the client may set.
package struct LoginEnvironment: Sendable {
    /// Names of variables that one session may bring along: the locale's categories and a few more.
    package static let clientVariablesMax = 64

    /// What OpenSSH gives where nothing else is configured (`_PATH_STDPATH`, `SUPERUSER_PATH` of Debian).
    static let userPath = "/usr/local/bin:/usr/bin:/bin:/usr/games"
    static let rootPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// Whose session it is and where from.
    package struct Session: Sendable {
        package var client: SocketAddress
        package var server: SocketAddress
        package var identifier: String
        /// The name in the certificate, which need not be the login.
        package var user: String
        package var cluster: String
        package var hostUUID: String
        package var webProxyAddress: String?

        package init(
            client: SocketAddress, server: SocketAddress, identifier: String, user: String, cluster: String, hostUUID: String,
            webProxyAddress: String? = nil
        ) {
            self.client = client
            self.server = server
            self.identifier = identifier
            self.user = user
            self.cluster = cluster
            self.hostUUID = hostUUID
            self.webProxyAddress = webProxyAddress
        }
    }

    private var client: [(name: String, value: String)] = []

    package init() {}

    /// Takes a variable of the client's (`env`, RFC 4254 §6.4) if it is one that cannot change what programs do.
    ///
    /// - Returns: whether it was taken.
    package mutating func accept(name: String, value: String) -> Bool {
        guard Self.isAccepted(name), !value.utf8.contains(0) else { return false }
        client.removeAll { $0.name == name }
        guard client.count < Self.clientVariablesMax else { return false }
        client.append((name, value))
        return true
    }

    /// Names on this list say how to talk to a person. Names not on it may change what is executed (`LD_PRELOAD`, `PATH`, `BASH_ENV`,
    /// `IFS`, `PERL5OPT` and a hundred more), so nothing is decided by what is forbidden.
    package static func isAccepted(_ name: String) -> Bool {
        switch name {
        case "LANG", "LANGUAGE", "TERM", "COLORTERM", "NO_COLOR", "GIT_PROTOCOL": true
        default:
            name.hasPrefix("LC_") && name.utf8.count > 3 && name.utf8.count <= 64
                && name.utf8.dropFirst(3).allSatisfy { (0x41...0x5a).contains($0) || $0 == 0x5f || (0x30...0x39).contains($0) }
        }
    }

    /// The whole environment as `NAME=value`, each name once.
    ///
    /// - Parameter terminal: the type that the client named and the device's path, where there is one.
    package func variables(account: UserAccount, session: Session, terminal: (type: String, path: String)?) -> [String] {
        var variables: [(name: String, value: String)] = [
            ("USER", account.name), ("LOGNAME", account.name), ("HOME", account.home), ("SHELL", account.shell),
            ("PATH", account.identifier == 0 ? Self.rootPath : Self.userPath), ("MAIL", "/var/mail/\(account.name)"),
        ]
        variables += client.filter { $0.name != "TERM" || terminal == nil }
        if let terminal {
            if !terminal.type.isEmpty { variables.append(("TERM", terminal.type)) }
            variables.append(("SSH_TTY", terminal.path))
        }
        let (client, server) = (Self.parts(session.client), Self.parts(session.server))
        variables.append(("SSH_CLIENT", "\(client.host) \(client.port) \(server.port)"))
        variables.append(("SSH_CONNECTION", "\(client.host) \(client.port) \(server.host) \(server.port)"))
        variables.append(("SSH_SESSION_ID", session.identifier))
        variables.append(("SSH_TELEPORT_USER", session.user))
        variables.append(("SSH_TELEPORT_CLUSTER_NAME", session.cluster))
        variables.append(("SSH_TELEPORT_HOST_UUID", session.hostUUID))
        if let address = session.webProxyAddress { variables.append(("SSH_SESSION_WEBPROXY_ADDR", address)) }
        return variables.map { "\($0.name)=\($0.value)" }
    }

    private static func parts(_ address: SocketAddress) -> (host: String, port: UInt16) {
        switch address {
        case .ip(let ip, let port): (ip.unmapped.description, port)
        case .unix: ("UNKNOWN", 65535)
        }
    }
}
