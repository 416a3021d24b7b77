internal import Crypto

/// How one direction's packets are sealed: a cipher that authenticates by itself, or one with a MAC.
enum PacketAlgorithm: Equatable, Sendable {
    /// RFC 5647 with OpenSSH's names (PROTOCOL, "AES-GCM").
    case aesGCM(keyBytes: Int)
    /// draft-ietf-sshm-chacha20-poly1305.
    case chaChaPoly
    /// RFC 4344 with RFC 6668; `encryptThenMAC` is OpenSSH's `-etm` (PROTOCOL).
    case aesCTR(keyBytes: Int, mac: HMAC.Algorithm, encryptThenMAC: Bool)

    init?(authenticatedCipher name: String) {
        switch name {
        case "aes128-gcm@openssh.com": self = .aesGCM(keyBytes: 16)
        case "aes256-gcm@openssh.com": self = .aesGCM(keyBytes: 32)
        case "chacha20-poly1305@openssh.com": self = .chaChaPoly
        default: return nil
        }
    }

    init?(cipher: String, mac: String) {
        let keyBytes: Int
        switch cipher {
        case "aes128-ctr": keyBytes = 16
        case "aes192-ctr": keyBytes = 24
        case "aes256-ctr": keyBytes = 32
        default: return nil
        }
        switch mac {
        case "hmac-sha2-256": self = .aesCTR(keyBytes: keyBytes, mac: .sha256, encryptThenMAC: false)
        case "hmac-sha2-512": self = .aesCTR(keyBytes: keyBytes, mac: .sha512, encryptThenMAC: false)
        case "hmac-sha2-256-etm@openssh.com": self = .aesCTR(keyBytes: keyBytes, mac: .sha256, encryptThenMAC: true)
        case "hmac-sha2-512-etm@openssh.com": self = .aesCTR(keyBytes: keyBytes, mac: .sha512, encryptThenMAC: true)
        default: return nil
        }
    }

    /// The cipher's name, for the log.
    var name: String {
        switch self {
        case .aesGCM(let keyBytes): "aes\(keyBytes * 8)-gcm@openssh.com"
        case .chaChaPoly: "chacha20-poly1305@openssh.com"
        case .aesCTR(let keyBytes, _, _): "aes\(keyBytes * 8)-ctr"
        }
    }

    var nonceBytes: Int {
        switch self {
        case .aesGCM: AESGCM.nonceBytes
        case .chaChaPoly: 0
        case .aesCTR: AESCTR.blockBytes
        }
    }

    var keyBytes: Int {
        switch self {
        case .aesGCM(let keyBytes): keyBytes
        case .chaChaPoly: ChaChaPoly.keyBytes
        case .aesCTR(let keyBytes, _, _): keyBytes
        }
    }

    var macKeyBytes: Int {
        switch self {
        case .aesGCM, .chaChaPoly: 0
        case .aesCTR(_, let mac, _): mac.byteCount
        }
    }
}

/// One direction's cipher with its keys.
enum PacketProtection {
    case clear
    case aesGCM(AESGCM)
    case chaChaPoly(ChaChaPoly)
    case aesCTR(AESCTR, HMAC, tagBytes: Int, encryptThenMAC: Bool)

    init(_ algorithm: PacketAlgorithm, keys: PacketKeys, isSealing: Bool) {
        switch algorithm {
        case .aesGCM:
            self = .aesGCM(AESGCM(key: keys.key, nonce: keys.nonce, encrypting: isSealing))
        case .chaChaPoly:
            self = .chaChaPoly(ChaChaPoly(key: keys.key))
        case .aesCTR(_, let mac, let encryptThenMAC):
            self = .aesCTR(
                AESCTR(key: keys.key, counter: keys.nonce), HMAC(mac, key: keys.mac), tagBytes: mac.byteCount,
                encryptThenMAC: encryptThenMAC)
        }
    }

    var isClear: Bool {
        switch self {
        case .clear: true
        case .aesGCM, .chaChaPoly, .aesCTR: false
        }
    }

    /// What a packet is padded to a multiple of (RFC 4253 §6).
    var blockBytes: Int {
        switch self {
        case .clear, .chaChaPoly: 8
        case .aesGCM, .aesCTR: 16
        }
    }

    var tagBytes: Int {
        switch self {
        case .clear: 0
        case .aesGCM: AESGCM.tagBytes
        case .chaChaPoly: ChaChaPoly.tagBytes
        case .aesCTR(_, _, let tagBytes, _): tagBytes
        }
    }

    /// Whether the 4 bytes of length count into the multiple of the block.
    var padsLength: Bool {
        switch self {
        case .clear: true
        case .aesGCM, .chaChaPoly: false
        case .aesCTR(_, _, _, let encryptThenMAC): !encryptThenMAC
        }
    }

    /// What must be there before a packet's length can be read.
    var headerBytes: Int {
        switch self {
        case .clear, .aesGCM, .chaChaPoly: 4
        case .aesCTR(_, _, _, let encryptThenMAC): encryptThenMAC ? 4 : AESCTR.blockBytes
        }
    }
}
