package import Base
package import Crypto

/// How a server shows itself and what it bears with.
package struct HTTPServerConfiguration: Sendable {
    /// nil for plain HTTP, which only loopback and diagnostics may have.
    package var identity: HTTPServerIdentity?
    package var clientCertificates: HTTPClientCertificates
    package var limits: HTTPServerLimits

    package init(
        identity: HTTPServerIdentity?, clientCertificates: HTTPClientCertificates = .ignored, limits: HTTPServerLimits = HTTPServerLimits()
    ) {
        self.identity = identity
        self.clientCertificates = clientCertificates
        self.limits = limits
    }
}

/// A server's own certificate and key.
package struct HTTPServerIdentity: Sendable {
    /// PEM, the leaf first.
    package let certificates: String
    /// PEM.
    package let privateKey: SecretBytes

    package init(certificates: String, privateKey: SecretBytes) {
        self.certificates = certificates
        self.privateKey = privateKey
    }
}

/// Whether a server asks who its clients are.
package enum HTTPClientCertificates: Sendable {
    /// Clients are not asked.
    case ignored
    /// Who shows a certificate must be vouched for by one of these, at every request; who shows none is ``HTTPRequest/peer`` nil.
    case optional(authorities: [X509Certificate])
    /// As `optional`, and who shows none gets no further than TLS.
    case required(authorities: [X509Certificate])
}

/// What a server's clients may take of it.
package struct HTTPServerLimits: Sendable {
    package var connectionsMax = 1024
    package var connectionsPerAddressMax = 128
    /// All fields of a request together; more ends the connection.
    package var headerBytesMax = 16 << 10
    /// From the connection to the end of the first request's header, TLS included.
    package var headerTimeout: Duration = .seconds(10)
    /// From the end of the header to the end of the body.
    package var bodyTimeout: Duration = .seconds(30)
    /// From one answer to the end of the next request's header; the answer has to be taken in this time too.
    package var idleTimeout: Duration = .seconds(60)

    package init() {}
}
