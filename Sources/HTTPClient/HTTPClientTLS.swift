package import Base

/// Whom a client believes and who it says it is.
package struct HTTPClientTLS: Sendable {
    package enum ServerCheck: Sendable, Equatable {
        /// The system's authorities.
        case system
        /// These authorities alone, as PEM.
        case authorities(String)
        /// Anybody: what comes back proves nothing.
        case none
    }

    package struct Identity: Sendable {
        /// PEM, the leaf first.
        package let certificates: String
        /// PEM.
        package let privateKey: SecretBytes

        package init(certificates: String, privateKey: SecretBytes) {
            self.certificates = certificates
            self.privateKey = privateKey
        }
    }

    package var server: ServerCheck
    /// Off for a server that is known by its authority and not by its name.
    package var checksHostName: Bool
    /// SHA-256 of the server's SubjectPublicKeyInfo; checked whatever ``server`` says.
    package var pinnedPublicKey: [UInt8]?
    package var identity: Identity?

    package init(server: ServerCheck, checksHostName: Bool = true, pinnedPublicKey: [UInt8]? = nil, identity: Identity? = nil) {
        self.server = server
        self.checksHostName = checksHostName
        self.pinnedPublicKey = pinnedPublicKey
        self.identity = identity
    }
}
