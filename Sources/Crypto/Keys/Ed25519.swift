package import Base
internal import COpenSSL

/// Ed25519 signatures (RFC 8032 §5.1; RFC 8709 in SSH).
package enum Ed25519 {
    package static let signatureBytes = 64

    package struct PrivateKey: Sendable {
        /// The 32 secret bytes that all else follows from.
        package let seed: [UInt8]
        package let publicKey: PublicKey
        let handle: KeyHandle

        package init(seed: [UInt8]) throws(CryptoError) {
            guard seed.count == 32 else { throw .badKey("an Ed25519 seed has 32 bytes") }
            self.seed = seed
            handle = try unsafe KeyHandle(EVP_PKEY_new_raw_private_key_ex(nil, "ED25519", nil, seed, seed.count))
            publicKey = try PublicKey(handle.rawPublicKey())
        }

        package static func generate(randomness: any Randomness) -> PrivateKey {
            do throws(CryptoError) {
                return try PrivateKey(seed: randomness.bytes(32))
            } catch {
                preconditionFailure("a fresh key is refused: \(error)")
            }
        }

        /// 64 bytes.
        package func sign(_ message: [UInt8]) -> [UInt8] {
            handle.sign(message, digest: nil)
        }
    }

    package struct PublicKey: Sendable, Hashable {
        package let bytes: [UInt8]
        private let handle: KeyHandle

        package init(_ bytes: [UInt8]) throws(CryptoError) {
            guard bytes.count == 32 else { throw .badKey("an Ed25519 public key has 32 bytes") }
            self.bytes = bytes
            handle = try unsafe KeyHandle(EVP_PKEY_new_raw_public_key_ex(nil, "ED25519", nil, bytes, bytes.count))
        }

        package func isValid(signature: [UInt8], for message: [UInt8]) -> Bool {
            signature.count == signatureBytes && handle.isValid(signature, for: message, digest: nil)
        }

        package static func == (left: PublicKey, right: PublicKey) -> Bool { left.bytes == right.bytes }

        package func hash(into hasher: inout Hasher) { hasher.combine(bytes) }
    }
}
