package import Base

/// What a join token admits.
package enum JoinRole: String, CaseIterable, Codable, Sendable {
    case node, proxy, auth
    case trustedCluster = "trusted_cluster"

    /// The role that the joiner's certificates bear; none for a cluster, which gets no identity here.
    package var systemRole: SystemRole? {
        switch self {
        case .node: .node
        case .proxy: .proxy
        case .auth: .auth
        case .trustedCluster: nil
        }
    }
}

/// A secret that lets a host or a cluster join. The store holds its digest alone; the value is shown once, when it is made.
package struct ProvisionToken: ResourceBody {
    package static let kind = ResourceKind.token

    /// The value in a file that creates it; elsewhere the first characters of its digest, enough to name it.
    package var name: String
    package var roles: [JoinRole]
    package var expires: UnixTime
    /// A token for clusters is always used once.
    package var singleUse: Bool

    package init(name: String, roles: [JoinRole], expires: UnixTime, singleUse: Bool) {
        self.name = name
        self.roles = roles
        self.expires = expires
        self.singleUse = singleUse || roles.contains(.trustedCluster)
    }

    package func isExpired(at now: UnixTime) -> Bool { now >= expires }

    /// A value that may stand on a command line and in a URL: nothing is trimmed or folded, so a stray space is another token.
    package static func checkValue(_ value: String) throws(TeleportError) {
        guard (16...128).contains(value.utf8.count) else { throw .badParameter("a token has 16 to 128 characters") }
        guard value.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "%") }) else {
            throw .badParameter("a token has printable ASCII characters only, and no space, '/' or '%'")
        }
    }

    private enum SpecKeys: String, CodingKey, CaseIterable {
        case roles, expires
        case singleUse = "single_use"
    }

    package init(from decoder: any Decoder) throws {
        let (name, spec) = try decoder.resource(Self.kind, keys: SpecKeys.self)
        self.init(
            name: name, roles: try spec.decode([JoinRole].self, forKey: .roles), expires: try spec.decode(UnixTime.self, forKey: .expires),
            singleUse: try spec.decodeIfPresent(Bool.self, forKey: .singleUse) ?? false)
        guard !roles.isEmpty, roles.count <= JoinRole.allCases.count else { throw TeleportError.badParameter("a token needs a role") }
    }

    package func encode(to encoder: any Encoder) throws {
        var spec = try encoder.resource(Self.kind, name: name, keys: SpecKeys.self)
        try spec.encode(roles, forKey: .roles)
        try spec.encode(expires, forKey: .expires)
        try spec.encode(singleUse, forKey: .singleUse)
    }
}
