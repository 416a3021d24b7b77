/// The names that we offer, best first, and nothing weaker than what a current OpenSSH accepts.
package enum AlgorithmNames {
    package static let keyExchange = [
        "curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
    ]
    package static let ciphers = [
        "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr",
    ]
    /// Only for the `ctr` ciphers: the others authenticate by themselves.
    package static let macs = [
        "hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512",
    ]
    package static let compression = ["none"]

    /// Host keys that we verify as a client: certificates before bare keys.
    package static let clientHostKeys =
        SignatureAlgorithm.hostKeyPreference.map(\.certificateName)
        + SignatureAlgorithm.hostKeyPreference.map(\.rawValue)

    /// What a server sends in `server-sig-algs` (RFC 8308 §3.1).
    package static let serverSignatureAlgorithms = SignatureAlgorithm.allCases.map(\.rawValue)

    /// Pseudo-algorithms in the first KEXINIT's key exchange list: strict key exchange (PROTOCOL) and EXT_INFO (RFC 8308 §2.1).
    package static let strictClient = "kex-strict-c-v00@openssh.com"
    package static let strictServer = "kex-strict-s-v00@openssh.com"
    package static let extensionInfoClient = "ext-info-c"
}
