package import Base
package import Crypto

/// One request, read to its end.
package struct HTTPRequest: Sendable {
    package enum Method: String, Sendable, CaseIterable {
        case get = "GET"
        case head = "HEAD"
        case post = "POST"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"
    }

    package var method: Method
    /// Begins with a slash; percent escapes are decoded, dot segments resolved.
    package var path: String
    /// Decoded; of fields with the same name the last.
    package var query: [String: String]
    /// The fields that services read (``RequestHeader``), by lower-case name.
    package var headers: [String: String]
    package var body: [UInt8]
    package var peerAddress: SocketAddress
    /// Who shows a client certificate that one of the server's authorities vouches for; nil who shows none.
    package var peer: HTTPPeer?
    /// What the route's pattern names: `/v1/users/:name` gives `name`.
    package var parameters: [String: String] = [:]

    package init(
        _ method: Method, _ path: String, query: [String: String] = [:], headers: [String: String] = [:], body: [UInt8] = [],
        peerAddress: SocketAddress, peer: HTTPPeer? = nil
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.peerAddress = peerAddress
        self.peer = peer
    }

    /// A parameter of the route's pattern; empty where the pattern has none of that name.
    package func parameter(_ name: String) -> String { parameters[name] ?? "" }
}

/// The other side of a connection with mutual TLS, checked against the authorities of the moment.
package struct HTTPPeer: Sendable, Hashable {
    package let certificate: X509Certificate
    /// Who vouches for it: tells one cluster's peers from another's.
    package let authority: X509Certificate

    package init(certificate: X509Certificate, authority: X509Certificate) {
        self.certificate = certificate
        self.authority = authority
    }
}
