/// Where a socket listens or whom it speaks to: `1.2.3.4:22`, `[::1]:22` or `/run/a.sock`.
package enum SocketAddress: Hashable, Sendable, LosslessStringConvertible {
    case ip(IPAddress, port: UInt16)
    case unix(path: String)

    package init(_ address: IPAddress, port: UInt16) {
        self = .ip(address, port: port)
    }

    /// A text that begins with `/` is a path; an IPv6 address stands in brackets.
    package init?(_ text: String) {
        if text.hasPrefix("/") {
            self = .unix(path: text)
            return
        }
        guard let pair = HostPort(text), let address = IPAddress(pair.host) else { return nil }
        if case .v6 = address, !text.hasPrefix("[") { return nil }
        self = .ip(address, port: pair.port)
    }

    package var ip: IPAddress? {
        if case .ip(let address, _) = self { address } else { nil }
    }

    package var port: UInt16? {
        if case .ip(_, let port) = self { port } else { nil }
    }

    package var description: String {
        switch self {
        case .ip(let address, let port): HostPort(host: "\(address)", port: port).description
        case .unix(let path): path
        }
    }
}

/// A name or address and a port, not yet resolved: `db1:22`, `10.0.0.1:22`, `[::1]:22`.
package struct HostPort: Hashable, Sendable, LosslessStringConvertible {
    package let host: String
    package let port: UInt16

    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// - Parameter defaultPort: the port of a text that names none; without it such a text is nil.
    package init?(_ text: String, defaultPort: UInt16? = nil) {
        var host = text[...]
        var portText: Substring?
        if host.first == "[" {
            guard let end = host.firstIndex(of: "]") else { return nil }
            let rest = host[host.index(after: end)...]
            host = host[host.index(after: host.startIndex)..<end]
            guard rest.isEmpty || rest.first == ":" else { return nil }
            if !rest.isEmpty { portText = rest.dropFirst() }
        } else if let colon = host.lastIndex(of: ":") {
            if host.firstIndex(of: ":") == colon {
                portText = host[host.index(after: colon)...]
                host = host[..<colon]
            } else if defaultPort == nil {
                return nil
            }
        }
        guard !host.isEmpty else { return nil }
        self.host = String(host)
        if let portText {
            guard !portText.isEmpty, portText.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(portText) else {
                return nil
            }
            self.port = port
        } else {
            guard let defaultPort else { return nil }
            port = defaultPort
        }
    }

    package init?(_ text: String) {
        self.init(text, defaultPort: nil)
    }

    package var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
