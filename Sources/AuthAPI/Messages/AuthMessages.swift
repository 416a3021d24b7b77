package struct Empty: Codable, Equatable, Sendable {
    package init() {}
}

package struct PingResponse: Codable, Equatable, Sendable {
    package var cluster: String
    package var version: String

    package init(cluster: String, version: String) {
        self.cluster = cluster
        self.version = version
    }
}

/// What a stranger needs before it can check anything: to be compared with a pin.
package struct TLSAuthorityResponse: Codable, Equatable, Sendable {
    package var cluster: String
    /// PEM.
    package var certificates: [String]

    package init(cluster: String, certificates: [String]) {
        self.cluster = cluster
        self.certificates = certificates
    }
}
