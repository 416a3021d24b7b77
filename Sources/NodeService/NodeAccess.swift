package import Base
package import ClusterModel
package import SSHEngine
package import SSHWire

/// Whether a certificate lets a login into this node: the certificate's own truth, then the roles of whom it speaks for.
package struct NodeAccess: Sendable {
    private let snapshot: ClusterSnapshot
    private let labels: Labels

    /// Somebody who has been let in.
    package struct Grant: Sendable {
        package let identity: AccessIdentity
        package let login: String
        package let certificate: Certificate
        package let options: AccessOptions
        /// The only command that may run.
        package let forceCommand: String?
    }

    package init(snapshot: ClusterSnapshot, labels: Labels) {
        self.snapshot = snapshot
        self.labels = labels
    }

    /// - Throws: `AccessDenied` with a reason for the log.
    package func judge(_ identity: KeyIdentity, login: String, source: IPAddress?, now: UnixTime) throws(TeleportError) -> Grant {
        guard case .certificate(let certificate) = identity else { throw .accessDenied("a bare key is no certificate") }
        let accepted: AcceptedCertificate
        do {
            accepted = try UserCertificateCheck(authorities: snapshot.userAuthorities)
                .judge(certificate, wanted: .principal(login), source: source, now: now)
        } catch {
            throw .accessDenied(error.explanation, cause: error)
        }
        let user = try snapshot.identity(of: certificate, signedBy: accepted.authority.cluster)
        return try grant(user, login: login, certificate, forceCommand: accepted.forceCommand)
    }

    /// What somebody who was let in would be granted now, the time apart; nil for nothing: what a change of trust or roles asks.
    package func renewed(_ grant: Grant) -> Grant? {
        let authority = TrustedAuthority(key: grant.certificate.signatureKey, use: .user, cluster: grant.identity.cluster)
        guard snapshot.userAuthorities.contains(authority),
            let user = try? snapshot.identity(of: grant.certificate, signedBy: authority.cluster)
        else { return nil }
        return try? self.grant(user, login: grant.login, grant.certificate, forceCommand: grant.forceCommand)
    }

    private func grant(
        _ user: AccessIdentity, login: String, _ certificate: Certificate, forceCommand: String?
    ) throws(TeleportError) -> Grant {
        switch snapshot.decide(user, login: login, labels: labels) {
        case .denied(let reason):
            throw .accessDenied(reason)
        case .allowed(let allowed):
            return Grant(
                identity: user, login: login, certificate: certificate, options: Self.narrowed(allowed, by: certificate),
                forceCommand: forceCommand)
        }
    }

    /// Roles and certificate must both permit a thing (PROTOCOL.certkeys, extensions).
    private static func narrowed(_ options: AccessOptions, by certificate: Certificate) -> AccessOptions {
        func permits(_ name: String) -> Bool { certificate.extensions.contains(name) }
        return AccessOptions(
            permitPTY: options.permitPTY && permits(CertificateExtension.permitPTY),
            permitPortForwarding: options.permitPortForwarding && permits(CertificateExtension.permitPortForwarding),
            permitAgentForwarding: options.permitAgentForwarding && permits(CertificateExtension.permitAgentForwarding),
            permitFileCopy: options.permitFileCopy)
    }
}
