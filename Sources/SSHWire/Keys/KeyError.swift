package import Base
internal import Crypto

/// Why a key, signature or certificate cannot be used.
package enum KeyError: Error, Equatable, Sendable {
    case malformed(WireError)
    /// The text is no line, file or PEM block of this kind.
    case badText(String)
    case unsupportedKeyType(String)
    /// RSA below 2048 or above 16384 bits.
    case unacceptableKeySize(bits: Int)
    /// The bytes are no valid key of their type.
    case invalidKey
    /// Not on the caller's list; SHA-1 never is.
    case signatureAlgorithmNotAllowed(String)
    /// The signature's algorithm is for another type of key.
    case signatureAlgorithmDoesNotFitKey(String)
    case badSignature
    /// A security key that signed without being touched.
    case userNotPresent
    case signingFailed
    /// The private key file is encrypted, which is not supported.
    case encrypted
    /// The CA key of a certificate is itself a certificate.
    case signatureKeyIsCertificate
    /// `certificateType` is neither user nor host.
    case unknownCertificateType(UInt32)
    case notACertificate
    /// An option or extension that comes twice, or out of order.
    case optionsNotInOrder(String)
    /// A certificate cannot be made of this request.
    case badRequest(String)
}

extension KeyError {
    /// Runs what reads bytes; what is wrong with them is ``malformed(_:)``.
    static func reading<Fields>(_ body: @autoclosure () throws(WireError) -> Fields) throws(KeyError) -> Fields {
        do throws(WireError) { return try body() } catch { throw .malformed(error) }
    }

    /// Runs what makes a key of numbers; those that are none are ``invalidKey``.
    static func making<Key>(_ body: @autoclosure () throws(CryptoError) -> Key) throws(KeyError) -> Key {
        do throws(CryptoError) { return try body() } catch { throw .invalidKey }
    }

    /// One sentence for people.
    package var explanation: String {
        switch self {
        case .malformed: "malformed"
        case .badText(let what): what
        case .unsupportedKeyType(let name): "key type \(name.debugDescription) is not supported"
        case .unacceptableKeySize(let bits): "an RSA key of \(bits) bits is not accepted (2048 to 16384)"
        case .invalidKey: "not a valid key"
        case .signatureAlgorithmNotAllowed(let name): "signature algorithm \(name.debugDescription) is not allowed"
        case .signatureAlgorithmDoesNotFitKey(let name): "signature algorithm \(name.debugDescription) does not fit the key"
        case .badSignature: "the signature is wrong"
        case .userNotPresent: "the security key was not touched"
        case .signingFailed: "signing failed"
        case .encrypted: "the private key is encrypted; remove its passphrase with ssh-keygen -p"
        case .signatureKeyIsCertificate: "its signature key is itself a certificate"
        case .unknownCertificateType(let type): "certificate type \(type) is unknown"
        case .notACertificate: "not a certificate"
        case .optionsNotInOrder(let name): "option \(name.debugDescription) is duplicated or out of order"
        case .badRequest(let what): what
        }
    }
}
