package import Base
package import ClusterModel

package struct LoginRequest: Codable, Sendable {
    package var user: String
    package var password: String
    package var code: String
    /// The public key to certify: `ssh-ed25519 AAAA…`.
    package var publicKey: String
    /// SubjectPublicKeyInfo DER of a P-256 key in base 64, where an X.509 certificate is wanted too.
    package var tlsPublicKey: String?
    package var ttlSeconds: Int64

    package init(user: String, password: String, code: String, publicKey: String, tlsPublicKey: String? = nil, ttlSeconds: Int64) {
        self.user = user
        self.password = password
        self.code = code
        self.publicKey = publicKey
        self.tlsPublicKey = tlsPublicKey
        self.ttlSeconds = ttlSeconds
    }

    private enum CodingKeys: String, CodingKey {
        case user, password, code
        case publicKey = "public_key"
        case tlsPublicKey = "tls_public_key"
        case ttlSeconds = "ttl_seconds"
    }
}

package struct UserCertificates: Codable, Equatable, Sendable {
    package var user: String
    package var cluster: String
    /// `ssh-ed25519-cert-v01@openssh.com AAAA…`
    package var sshCertificate: String
    /// PEM.
    package var tlsCertificate: String?
    package var logins: [String]
    package var roles: [String]
    package var expires: UnixTime
    /// Host authorities of this cluster and its leaves, and this cluster's TLS authority.
    package var authorities: [CertificateAuthority]
    /// Lines of `known_hosts` for hosts of OpenSSH sites that have no certificate of these authorities.
    package var knownHosts: [String]

    package init(
        user: String, cluster: String, sshCertificate: String, tlsCertificate: String?, logins: [String], roles: [String],
        expires: UnixTime,
        authorities: [CertificateAuthority], knownHosts: [String]
    ) {
        self.user = user
        self.cluster = cluster
        self.sshCertificate = sshCertificate
        self.tlsCertificate = tlsCertificate
        self.logins = logins
        self.roles = roles
        self.expires = expires
        self.authorities = authorities
        self.knownHosts = knownHosts
    }

    private enum CodingKeys: String, CodingKey {
        case user, cluster, logins, roles, expires, authorities
        case knownHosts = "known_hosts"
        case sshCertificate = "ssh_certificate"
        case tlsCertificate = "tls_certificate"
    }
}

package typealias LoginResponse = UserCertificates

package struct InviteRequest: Codable, Sendable {
    package var user: User
    package var ttlSeconds: Int64
    /// Whether the user exists and is to choose a new password and second factor.
    package var reset: Bool

    package init(user: User, ttlSeconds: Int64, reset: Bool = false) {
        self.user = user
        self.ttlSeconds = ttlSeconds
        self.reset = reset
    }

    private enum CodingKeys: String, CodingKey {
        case user, reset
        case ttlSeconds = "ttl_seconds"
    }
}

package struct InviteResponse: Codable, Sendable {
    package var token: String
    /// `https://PROXY:3080/web/newuser/TOKEN`
    package var url: String
    package var expires: UnixTime

    package init(token: String, url: String, expires: UnixTime) {
        self.token = token
        self.url = url
        self.expires = expires
    }
}

package struct SignupToken: Codable, Sendable {
    package var token: String

    package init(token: String) {
        self.token = token
    }
}

/// Given once for a token.
package struct SignupDescription: Codable, Equatable, Sendable {
    package var user: String
    package var cluster: String
    /// `otpauth://totp/…`, for the QR code.
    package var otpURI: String
    /// The same secret in base 32, to be typed.
    package var otpSecret: String

    package init(user: String, cluster: String, otpURI: String, otpSecret: String) {
        self.user = user
        self.cluster = cluster
        self.otpURI = otpURI
        self.otpSecret = otpSecret
    }

    private enum CodingKeys: String, CodingKey {
        case user, cluster
        case otpURI = "otp_uri"
        case otpSecret = "otp_secret"
    }
}

package struct SignupRequest: Codable, Sendable {
    package var token: String
    package var password: String
    package var code: String

    package init(token: String, password: String, code: String) {
        self.token = token
        self.password = password
        self.code = code
    }
}
