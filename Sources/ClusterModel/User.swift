package import Base

/// A user of this cluster. The password and the one-time-password secret are kept apart and never leave the auth server.
package struct User: ResourceBody {
    package static let kind = ResourceKind.user

    package var name: String
    package var roles: [String]
    /// What they may be on a node, as far as a role refers to the user's own logins.
    package var logins: [String]
    /// What else is known of them, for the certificate.
    package var traits: [String: [String]]

    package init(name: String, roles: [String], logins: [String], traits: [String: [String]] = [:]) {
        self.name = name
        self.roles = roles
        self.logins = logins
        self.traits = traits
    }

    private enum SpecKeys: String, CodingKey, CaseIterable { case roles, logins, traits }

    package init(from decoder: any Decoder) throws {
        let (name, spec) = try decoder.resource(Self.kind, keys: SpecKeys.self)
        self.name = name
        roles = try spec.decodeIfPresent([String].self, forKey: .roles) ?? []
        logins = try spec.decodeIfPresent([String].self, forKey: .logins) ?? []
        traits = try spec.decodeIfPresent([String: [String]].self, forKey: .traits) ?? [:]
        try check()
    }

    package func encode(to encoder: any Encoder) throws {
        var spec = try encoder.resource(Self.kind, name: name, keys: SpecKeys.self)
        try spec.encode(roles, forKey: .roles)
        try spec.encode(logins, forKey: .logins)
        if !traits.isEmpty { try spec.encode(traits, forKey: .traits) }
    }

    package func check() throws(TeleportError) {
        try Names.checkUser(name)
        guard roles.count <= 64, logins.count <= 256 else { throw .limitExceeded("user \(name) has too many roles or logins") }
        for role in roles { try Names.checkRole(role) }
        for login in logins { try Names.checkLogin(login) }
    }
}
