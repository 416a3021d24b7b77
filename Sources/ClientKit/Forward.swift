package import Base

/// One `-L`, `-R` or `-D` of a command line, as ssh(1) has them: where to listen, and where each connection goes.
///
/// Fields stand between colons, IPv6 addresses in brackets; a field that begins with `/` is the path of a unix socket.
package struct Forward: Equatable, Sendable, CustomStringConvertible {
    package enum Direction: Equatable, Sendable {
        /// Listens here; the node connects (`-L`, `-D`).
        case local
        /// The node listens; we connect (`-R`).
        case remote
    }

    package enum Listener: Equatable, Sendable {
        /// - Parameter bind: nil where no address was named: loopback alone. Empty for every address.
        case tcp(bind: String?, port: UInt16)
        case unix(path: String)
    }

    package enum Target: Equatable, Sendable, CustomStringConvertible {
        case tcp(HostPort)
        case unix(path: String)
        /// Each connection says itself where it wants to go.
        case socks

        package var description: String {
            switch self {
            case .tcp(let place): "\(place)"
            case .unix(let path): path
            case .socks: "wherever SOCKS asks"
            }
        }
    }

    package let direction: Direction
    package let listener: Listener
    package let target: Target
    /// The option that it came from.
    package let description: String

    /// `-L [bind:]port:host:hostport`, with a path for either end.
    package init(local text: String) throws(TeleportError) {
        self = try Self(.local, text, option: "-L", takesTarget: true)
    }

    /// `-R [bind:]port:host:hostport`, with a path for either end; `-R [bind:]port` is SOCKS at this end.
    package init(remote text: String) throws(TeleportError) {
        let fields = Self.fields(text) ?? []
        let isDynamic = fields.count <= 2 && !fields.contains { $0.hasPrefix("/") }
        self = try Self(.remote, text, option: "-R", takesTarget: !isDynamic)
    }

    /// `-D [bind:]port`.
    package init(dynamic text: String) throws(TeleportError) {
        self = try Self(.local, text, option: "-D", takesTarget: false)
    }

    private init(_ direction: Direction, _ text: String, option: String, takesTarget: Bool) throws(TeleportError) {
        let form = takesTarget ? "[BIND:]PORT:HOST:HOSTPORT, or a path for either end" : "[BIND:]PORT"
        let malformed = TeleportError.badParameter("\(option) \(text) is not \(form)")
        guard var fields = Self.fields(text)?[...], !fields.isEmpty else { throw malformed }
        if !takesTarget {
            target = .socks
        } else if let last = fields.last, last.hasPrefix("/") {
            target = .unix(path: last)
            fields.removeLast()
        } else {
            guard let last = fields.popLast(), let port = UInt16(last), port > 0, let host = fields.popLast(), !host.isEmpty else {
                throw malformed
            }
            target = .tcp(HostPort(host: host, port: port))
        }
        switch fields.count {
        case 1 where fields[0].hasPrefix("/") && takesTarget:
            listener = .unix(path: fields[0])
        case 1, 2:
            guard let last = fields.last, let port = UInt16(last) else { throw malformed }
            let bind = fields.count == 2 ? fields[0] : nil
            listener = .tcp(bind: bind == "*" ? "" : bind, port: port)
        default: throw malformed
        }
        self.direction = direction
        description = "\(option) \(text)"
    }

    /// What stands between the colons, without brackets; nil where a bracket is not closed.
    private static func fields(_ text: String) -> [String]? {
        var fields: [String] = []
        var rest = text[...]
        while true {
            if rest.hasPrefix("[") {
                guard let end = rest.firstIndex(of: "]") else { return nil }
                fields.append(String(rest[rest.index(after: rest.startIndex)..<end]))
                rest = rest[rest.index(after: end)...]
                guard rest.isEmpty || rest.hasPrefix(":") else { return nil }
            } else {
                let end = rest.firstIndex(of: ":") ?? rest.endIndex
                fields.append(String(rest[..<end]))
                rest = rest[end...]
            }
            guard !rest.isEmpty else { return fields }
            rest.removeFirst()
        }
    }
}
