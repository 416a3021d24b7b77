package import Base
internal import Crypto

/// One-time passwords of RFC 6238 as authenticator apps make them: HMAC-SHA-1, six digits, steps of 30 seconds.
package enum TimeBasedPassword {
    package static let stepSeconds: Int64 = 30
    package static let digits = 6
    /// RFC 4226 §4 asks for 128 bits at least and recommends 160.
    package static let secretBytes = 20

    /// The step that a moment belongs to.
    package static func step(at time: UnixTime) -> Int64 { time.seconds / stepSeconds }

    /// RFC 4226 §5.3.
    package static func code(secret: [UInt8], step: Int64) -> String {
        let counter = (0..<8).map { UInt8(truncatingIfNeeded: step >> Int64(56 - 8 * $0)) }
        let tag = HMAC.authenticate(counter, key: secret, with: .sha1)
        let offset = Int(tag[tag.count - 1] & 0x0f)
        let word = tag[offset..<offset + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } & 0x7fff_ffff
        let number = String(word % 1_000_000)
        return String(repeating: "0", count: digits - number.count) + number
    }

    /// The step whose code this is, among the present one and its two neighbours; nil for any other text.
    ///
    /// - Parameter lastUsed: the newest step whose code was accepted: neither it nor an older one is accepted again, so whoever stores the
    ///   answer, by compare and swap, lets each code in once.
    package static func acceptedStep(_ code: String, secret: [UInt8], at time: UnixTime, lastUsed: Int64?) -> Int64? {
        let typed = Array(code.utf8)
        guard typed.count == digits, typed.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        let now = step(at: time)
        var accepted: Int64?
        for candidate in [now - 1, now, now + 1] where constantTimeEqual(typed, Array(self.code(secret: secret, step: candidate).utf8)) {
            if candidate > lastUsed ?? .min { accepted = candidate }
        }
        return accepted
    }

    /// What the QR code says (`otpauth://`, Key URI Format).
    package static func uri(secret: [UInt8], user: String, cluster: String) -> String {
        let account = user.utf8.map { byte -> String in
            switch byte {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): String(UnicodeScalar(byte))
            default: "%" + Hex.encode([byte]).uppercased()
            }
        }.joined()
        return "otpauth://totp/\(cluster):\(account)?secret=\(Base64.encode32(secret))&issuer=\(cluster)&algorithm=SHA1&digits=6&period=30"
    }
}
