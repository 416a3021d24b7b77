package import Base

/// What the users who bear it may do, and may not.
package struct Role: ResourceBody {
    package static let kind = ResourceKind.role

    package var name: String
    package var allow: RoleConditions
    /// Wins over what any role allows.
    package var deny: RoleConditions
    package var options: RoleOptions

    package init(name: String, allow: RoleConditions, deny: RoleConditions = RoleConditions(), options: RoleOptions = RoleOptions()) {
        self.name = name
        self.allow = allow
        self.deny = deny
        self.options = options
    }

    /// The administrators' role, and the only one that the auth API knows by name.
    package static let adminName = "admin"
    package static let accessName = "access"

    /// What a new cluster starts with: both give the user's own logins on every node.
    package static let defaults = [
        Role(name: adminName, allow: RoleConditions(logins: [RoleConditions.ownLogins], nodeLabels: .everything)),
        Role(name: accessName, allow: RoleConditions(logins: [RoleConditions.ownLogins], nodeLabels: .everything)),
    ]

    private enum SpecKeys: String, CodingKey, CaseIterable { case allow, deny, options }

    package init(from decoder: any Decoder) throws {
        let (name, spec) = try decoder.resource(Self.kind, keys: SpecKeys.self)
        try Names.checkRole(name)
        self.name = name
        allow = try spec.decodeIfPresent(RoleConditions.self, forKey: .allow) ?? RoleConditions()
        deny = try spec.decodeIfPresent(RoleConditions.self, forKey: .deny) ?? RoleConditions()
        options = try spec.decodeIfPresent(RoleOptions.self, forKey: .options) ?? RoleOptions()
    }

    package func encode(to encoder: any Encoder) throws {
        var spec = try encoder.resource(Self.kind, name: name, keys: SpecKeys.self)
        try spec.encode(allow, forKey: .allow)
        try spec.encode(deny, forKey: .deny)
        try spec.encode(options, forKey: .options)
    }
}

/// Logins and nodes that one side of a role speaks of.
package struct RoleConditions: Codable, Hashable, Sendable {
    /// In a role's logins, stands for the logins that the user's certificate lists.
    package static let ownLogins = "{{internal.logins}}"

    /// Compared whole; `*` is a login only where a `deny` names it: then it is every login.
    package var logins: [String]
    package var nodeLabels: LabelSelector

    package init(logins: [String] = [], nodeLabels: LabelSelector = .nothing) {
        self.logins = logins
        self.nodeLabels = nodeLabels
    }

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case logins
        case nodeLabels = "node_labels"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        logins = try container.decodeIfPresent([String].self, forKey: .logins) ?? []
        nodeLabels = try container.decodeIfPresent(LabelSelector.self, forKey: .nodeLabels) ?? .nothing
        for login in logins where login != Self.ownLogins && login != "*" { try Names.checkLogin(login) }
    }
}

/// What a session under a role may use. With several roles, a feature needs one that permits it; file copy needs all to permit it, and the
/// shortest lifetime wins.
package struct RoleOptions: Codable, Hashable, Sendable {
    /// The longest a certificate may live.
    package var maxSessionTTL: Duration
    package var permitPTY: Bool
    package var permitPortForwarding: Bool
    package var permitAgentForwarding: Bool
    /// SFTP and `scp`. What a shell can do with its own input and output is not meant.
    package var permitFileCopy: Bool

    /// The longest any user certificate may live, whatever roles say: 30 hours covers a long day and its night.
    package static let maxSessionTTLDefault = Duration.seconds(30 * 3600)

    package init(
        maxSessionTTL: Duration = maxSessionTTLDefault, permitPTY: Bool = true, permitPortForwarding: Bool = true,
        permitAgentForwarding: Bool = true, permitFileCopy: Bool = true
    ) {
        self.maxSessionTTL = maxSessionTTL
        self.permitPTY = permitPTY
        self.permitPortForwarding = permitPortForwarding
        self.permitAgentForwarding = permitAgentForwarding
        self.permitFileCopy = permitFileCopy
    }

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case maxSessionTTL = "max_session_ttl"
        case permitPTY = "permit_pty"
        case permitPortForwarding = "port_forwarding"
        case permitAgentForwarding = "forward_agent"
        case permitFileCopy = "ssh_file_copy"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
        let text = try container.decodeIfPresent(String.self, forKey: .maxSessionTTL)
        maxSessionTTL = try text.map { try DurationText.parse($0) } ?? Self.maxSessionTTLDefault
        permitPTY = try container.decodeIfPresent(Bool.self, forKey: .permitPTY) ?? true
        permitPortForwarding = try container.decodeIfPresent(Bool.self, forKey: .permitPortForwarding) ?? true
        permitAgentForwarding = try container.decodeIfPresent(Bool.self, forKey: .permitAgentForwarding) ?? true
        permitFileCopy = try container.decodeIfPresent(Bool.self, forKey: .permitFileCopy) ?? true
        guard maxSessionTTL > .zero else { throw TeleportError.badParameter("max_session_ttl must be longer than 0") }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(DurationText.format(maxSessionTTL), forKey: .maxSessionTTL)
        try container.encode(permitPTY, forKey: .permitPTY)
        try container.encode(permitPortForwarding, forKey: .permitPortForwarding)
        try container.encode(permitAgentForwarding, forKey: .permitAgentForwarding)
        try container.encode(permitFileCopy, forKey: .permitFileCopy)
    }
}

/// Durations as people write them: `30s`, `15m`, `12h`, `1h30m`, `7d`.
package enum DurationText {
    private static let units: [(Character, Int64)] = [("d", 86400), ("h", 3600), ("m", 60), ("s", 1)]

    package static func parse(_ text: String) throws(TeleportError) -> Duration {
        var total: Int64 = 0
        var number: Int64?
        var nextUnit = 0
        for character in text {
            if character.isASCII, let digit = character.wholeNumberValue {
                number = (number ?? 0) * 10 + Int64(digit)
                guard number ?? 0 < 1_000_000_000 else { throw wrong(text) }
            } else if let count = number, let unit = units[nextUnit...].firstIndex(where: { $0.0 == character }) {
                total += count * units[unit].1
                nextUnit = unit + 1
                number = nil
            } else {
                throw wrong(text)
            }
        }
        guard number == nil, !text.isEmpty else { throw wrong(text) }
        return .seconds(total)
    }

    package static func format(_ duration: Duration) -> String {
        var rest = duration.components.seconds
        var text = ""
        for (unit, seconds) in units where rest >= seconds {
            text += "\(rest / seconds)\(unit)"
            rest %= seconds
        }
        return text.isEmpty ? "0s" : text
    }

    private static func wrong(_ text: String) -> TeleportError {
        .badParameter("\(Names.quoted(text)) is not a duration such as 30s, 15m, 12h or 1h30m")
    }
}
