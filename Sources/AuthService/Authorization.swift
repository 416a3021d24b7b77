package import AuthAPI
package import ClusterModel
internal import Base

/// Who calls: what the client certificate says, or nobody that is known.
package struct Caller: Sendable {
    /// nil without a client certificate.
    package let identity: TLSIdentity?
    /// The address it calls from, without the port.
    package let peer: String

    package init(identity: TLSIdentity?, peer: String) {
        self.identity = identity
        self.peer = peer
    }

    /// A stranger may do what a token permits.
    package var systemRoles: Set<SystemRole> { identity?.systemRoles ?? [.provisionToken] }
}

/// Which role may do what: the one table. What it does not name is forbidden.
package enum Authorization {
    package static let table: [AuthAction: Set<SystemRole>] = [
        .ping: Set(SystemRole.allCases),
        .tlsAuthority: Set(SystemRole.allCases),
        .register: [.provisionToken, .proxy],
        .renewHost: [.node, .proxy, .auth],
        .snapshot: [.node, .proxy, .auth, .admin],
        .heartbeatNode: [.node],
        .heartbeatProxy: [.proxy],
        .reportTunnels: [.proxy],
        .login: [.proxy],
        .describeSignup: [.proxy, .signup],
        .completeSignup: [.proxy, .signup],
        .exchangeTrust: [.proxy],
        .listNodes: [.user, .web, .admin],
        .status: [.admin],
        .inviteUser: [.admin],
        .createToken: [.admin],
        .signUser: [.admin],
        .signHost: [.admin],
        .signSite: [.admin],
        .getResources: [.admin],
        .putResource: [.admin],
        .deleteResource: [.admin],
    ]

    package static func mayCall(_ action: AuthAction, as roles: Set<SystemRole>) -> Bool {
        table[action].map { !$0.isDisjoint(with: roles) } ?? false
    }

    static func check(_ action: AuthAction, _ caller: Caller) throws(TeleportError) {
        guard mayCall(action, as: caller.systemRoles) else {
            throw .accessDenied(caller.identity == nil ? "a client certificate is needed" : "your role may not do this")
        }
    }
}
