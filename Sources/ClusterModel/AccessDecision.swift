package import Base

/// Whom a user certificate speaks for, as this cluster sees it.
///
/// A name means nothing without its cluster: `alice` of another cluster is never `alice` of this one.
package struct AccessIdentity: Hashable, Sendable {
    package let cluster: String
    package let name: String
    /// Roles of this cluster: the certificate's own, or what the role map gives for them.
    package let roles: [String]
    /// The logins that the certificate lists.
    package let logins: [String]

    package init(cluster: String, name: String, roles: [String], logins: [String]) {
        self.cluster = cluster
        self.name = name
        self.roles = roles
        self.logins = logins
    }
}

/// Whether someone may log in somewhere; the node and the proxy ask the same function.
package enum AccessDecision: Equatable, Sendable {
    case allowed(AccessOptions)
    /// For the log, and fit for the user to read.
    case denied(reason: String)
}

/// What a session may use.
package struct AccessOptions: Hashable, Sendable {
    package var permitPTY: Bool
    package var permitPortForwarding: Bool
    package var permitAgentForwarding: Bool
    package var permitFileCopy: Bool

    package init(permitPTY: Bool, permitPortForwarding: Bool, permitAgentForwarding: Bool, permitFileCopy: Bool) {
        self.permitPTY = permitPTY
        self.permitPortForwarding = permitPortForwarding
        self.permitAgentForwarding = permitAgentForwarding
        self.permitFileCopy = permitFileCopy
    }
}

/// The roles of one identity, resolved.
package struct RoleSet: Sendable {
    package let roles: [Role]

    /// - Throws: where a role is not known: it may be one that denies.
    package init(names: [String], known: [String: Role]) throws(TeleportError) {
        var roles: [Role] = []
        for name in names {
            guard let role = known[name] else { throw .accessDenied("role \(Names.quoted(name)) does not exist in this cluster") }
            roles.append(role)
        }
        self.roles = roles
    }

    /// Every login that some role allows and none denies, in order.
    package func logins(own: [String]) -> [String] {
        var logins: [String] = []
        for role in roles {
            for login in role.allow.logins.flatMap({ $0 == RoleConditions.ownLogins ? own : [$0] })
            where login != "*" && !logins.contains(login) && !isDenied(login: login, own: own) {
                logins.append(login)
            }
        }
        return logins
    }

    /// The shortest lifetime that a role sets.
    package var maxSessionTTL: Duration {
        roles.map(\.options.maxSessionTTL).min() ?? .zero
    }

    package var options: AccessOptions {
        AccessOptions(
            permitPTY: roles.contains { $0.options.permitPTY },
            permitPortForwarding: roles.contains { $0.options.permitPortForwarding },
            permitAgentForwarding: roles.contains { $0.options.permitAgentForwarding },
            permitFileCopy: roles.allSatisfy { $0.options.permitFileCopy })
    }

    /// Whether one role allows this login on a node with these labels, and no role denies either.
    package func decide(login: String, own: [String], labels: Labels) -> AccessDecision {
        guard !roles.isEmpty else { return .denied(reason: "no role of this cluster") }
        guard !isDenied(login: login, own: own) else { return .denied(reason: "a role denies the login \(Names.quoted(login))") }
        guard !roles.contains(where: { $0.deny.nodeLabels.matches(labels) }) else {
            return .denied(reason: "a role denies nodes with these labels")
        }
        let allowing = roles.filter { $0.allow.nodeLabels.matches(labels) }
        guard !allowing.isEmpty else { return .denied(reason: "no role allows nodes with these labels") }
        let granted = allowing.filter { role in
            role.allow.logins.contains { $0 == RoleConditions.ownLogins ? own.contains(login) : $0 == login && login != "*" }
        }
        guard !granted.isEmpty else { return .denied(reason: "no role allows the login \(Names.quoted(login)) here") }
        return .allowed(
            AccessOptions(
                permitPTY: granted.contains { $0.options.permitPTY },
                permitPortForwarding: granted.contains { $0.options.permitPortForwarding },
                permitAgentForwarding: granted.contains { $0.options.permitAgentForwarding },
                permitFileCopy: roles.allSatisfy { $0.options.permitFileCopy }))
    }

    /// Whether any login at all may be used on a node with these labels: what a list shows.
    package func mayList(labels: Labels) -> Bool {
        roles.contains { $0.allow.nodeLabels.matches(labels) } && !roles.contains { $0.deny.nodeLabels.matches(labels) }
    }

    private func isDenied(login: String, own: [String]) -> Bool {
        roles.contains { role in
            role.deny.logins.contains { $0 == "*" || $0 == login || $0 == RoleConditions.ownLogins && own.contains(login) }
        }
    }
}
