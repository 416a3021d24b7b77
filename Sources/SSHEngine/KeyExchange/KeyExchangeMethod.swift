internal import Base
internal import Crypto

/// How the two sides come to a secret: one curve and one hash (RFC 8731, RFC 5656 §4 and §6.2.1).
enum KeyExchangeMethod: Equatable, Sendable {
    case curve25519
    case nistp256
    case nistp384
    case nistp521

    init?(name: String) {
        switch name {
        case "curve25519-sha256", "curve25519-sha256@libssh.org": self = .curve25519
        case "ecdh-sha2-nistp256": self = .nistp256
        case "ecdh-sha2-nistp384": self = .nistp384
        case "ecdh-sha2-nistp521": self = .nistp521
        default: return nil
        }
    }

    var curve: AgreementCurve {
        switch self {
        case .curve25519: .x25519
        case .nistp256: .nistp256
        case .nistp384: .nistp384
        case .nistp521: .nistp521
        }
    }

    var hash: DigestAlgorithm {
        switch self {
        case .curve25519, .nistp256: .sha256
        case .nistp384: .sha384
        case .nistp521: .sha512
        }
    }
}
