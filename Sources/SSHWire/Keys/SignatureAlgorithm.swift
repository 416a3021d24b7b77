/// What kind of key: the name that starts its blob.
package enum KeyType: String, CaseIterable, Sendable {
    case ed25519 = "ssh-ed25519"
    case ecdsaP256 = "ecdsa-sha2-nistp256"
    case ecdsaP384 = "ecdsa-sha2-nistp384"
    case ecdsaP521 = "ecdsa-sha2-nistp521"
    case rsa = "ssh-rsa"
    case skEd25519 = "sk-ssh-ed25519@openssh.com"

    /// The name that starts the blob of a certificate for such a key.
    package var certificateName: String {
        switch self {
        case .ed25519: "ssh-ed25519-cert-v01@openssh.com"
        case .ecdsaP256: "ecdsa-sha2-nistp256-cert-v01@openssh.com"
        case .ecdsaP384: "ecdsa-sha2-nistp384-cert-v01@openssh.com"
        case .ecdsaP521: "ecdsa-sha2-nistp521-cert-v01@openssh.com"
        case .rsa: "ssh-rsa-cert-v01@openssh.com"
        case .skEd25519: "sk-ssh-ed25519-cert-v01@openssh.com"
        }
    }

    package init?(certificateName: String) {
        guard let type = Self.allCases.first(where: { $0.certificateName == certificateName }) else { return nil }
        self = type
    }

    /// The algorithms that may sign with such a key, best first. SHA-1 (`ssh-rsa`) is none of them.
    package var signatureAlgorithms: [SignatureAlgorithm] {
        SignatureAlgorithm.allCases.filter { $0.keyType == self }
    }
}

/// A signature algorithm that we make or verify; there is no SHA-1 among them.
package enum SignatureAlgorithm: String, CaseIterable, Sendable {
    case ed25519 = "ssh-ed25519"
    case ecdsaP256 = "ecdsa-sha2-nistp256"
    case ecdsaP384 = "ecdsa-sha2-nistp384"
    case ecdsaP521 = "ecdsa-sha2-nistp521"
    case rsaSHA512 = "rsa-sha2-512"
    case rsaSHA256 = "rsa-sha2-256"
    case skEd25519 = "sk-ssh-ed25519@openssh.com"

    package var keyType: KeyType {
        switch self {
        case .ed25519: .ed25519
        case .ecdsaP256: .ecdsaP256
        case .ecdsaP384: .ecdsaP384
        case .ecdsaP521: .ecdsaP521
        case .rsaSHA512, .rsaSHA256: .rsa
        case .skEd25519: .skEd25519
        }
    }

    /// The public key algorithm's name when a certificate is used with this signature.
    package var certificateName: String {
        switch self {
        case .rsaSHA512: "rsa-sha2-512-cert-v01@openssh.com"
        case .rsaSHA256: "rsa-sha2-256-cert-v01@openssh.com"
        case .ed25519, .ecdsaP256, .ecdsaP384, .ecdsaP521, .skEd25519: keyType.certificateName
        }
    }

    /// All that a host key may sign with, best first; security keys are for people.
    package static let hostKeyPreference: [SignatureAlgorithm] = [.ed25519, .ecdsaP256, .ecdsaP384, .ecdsaP521, .rsaSHA512, .rsaSHA256]
}

/// A public key algorithm as KEXINIT and userauth requests name it: how it signs, and whether its key is a certificate.
package struct PublicKeyAlgorithm: Hashable, Sendable {
    package let signature: SignatureAlgorithm
    package let isCertificate: Bool

    package init(_ signature: SignatureAlgorithm, isCertificate: Bool) {
        self.signature = signature
        self.isCertificate = isCertificate
    }

    /// nil for a name that we neither make nor verify, `ssh-rsa` among them.
    package init?(name: String) {
        if let plain = SignatureAlgorithm(rawValue: name) {
            self.init(plain, isCertificate: false)
        } else if let certified = SignatureAlgorithm.allCases.first(where: { $0.certificateName == name }) {
            self.init(certified, isCertificate: true)
        } else {
            return nil
        }
    }

    package var name: String { isCertificate ? signature.certificateName : signature.rawValue }
}
