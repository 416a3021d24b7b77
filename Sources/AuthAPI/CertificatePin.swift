package import Base
internal import Crypto

/// What a stranger knows of a cluster beforehand: `sha256:HEX` of its TLS authority's public key.
package enum CertificatePin {
    /// Those of the certificates that the pin stands for; all of them where there is no pin.
    ///
    /// - Throws: `AccessDenied` where none does; `BadParameter` for a pin that is none.
    package static func select(_ certificates: [String], pin: String) throws(TeleportError) -> [String] {
        guard (1...16).contains(certificates.count) else {
            throw .connectionProblem("the server answered with \(certificates.count) authorities")
        }
        if !pin.isEmpty {
            guard pin.hasPrefix("sha256:"), let digest = Hex.decode(pin.dropFirst(7)), digest.count == 32 else {
                throw .badParameter("a CA pin is sha256: and 64 hexadecimal digits")
            }
        }
        let believed = certificates.filter { pin.isEmpty || (try? X509Certificate(pem: $0).publicKeyPin) == pin.lowercased() }
        guard !believed.isEmpty else { throw .accessDenied("the server's authority is not the one of the CA pin \(pin)") }
        return believed
    }
}
