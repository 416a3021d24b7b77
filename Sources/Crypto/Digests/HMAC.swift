internal import COpenSSL

/// HMAC (RFC 2104) with a key that is set once, for one-time passwords and for SSH packets (RFC 6668).
///
/// Bound to one user at a time: not Sendable.
@safe
package final class HMAC {
    package enum Algorithm: Sendable {
        /// For one-time passwords (RFC 6238) alone.
        case sha1
        case sha256, sha512

        /// Bytes of a tag, and of a key for SSH.
        package var byteCount: Int {
            switch self {
            case .sha1: 20
            case .sha256: 32
            case .sha512: 64
            }
        }

        fileprivate var name: StaticString {
            switch self {
            case .sha1: "SHA1"
            case .sha256: "SHA2-256"
            case .sha512: "SHA2-512"
            }
        }
    }

    private let context: OpaquePointer
    private let byteCount: Int

    package init(_ algorithm: Algorithm, key: [UInt8]) {
        guard let context = unsafe EVP_MAC_CTX_new(Fetched.hmac.pointer) else { preconditionFailure("EVP_MAC_CTX_new") }
        unsafe self.context = context
        byteCount = algorithm.byteCount
        var name = Array("\(algorithm.name)".utf8CString)
        // An empty array may have no address, and no address means "keep the key".
        let padded = key + [0]
        unsafe name.withUnsafeMutableBufferPointer { name in
            var parameters = unsafe [
                OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.baseAddress, 0), OSSL_PARAM_construct_end(),
            ]
            OpenSSLError.require(unsafe EVP_MAC_init(context, padded, key.count, &parameters), "EVP_MAC_init")
        }
    }

    deinit { unsafe EVP_MAC_CTX_free(context) }

    package static func authenticate(_ bytes: [UInt8], key: [UInt8], with algorithm: Algorithm) -> [UInt8] {
        let mac = HMAC(algorithm, key: key)
        mac.update(bytes.span)
        var tag = [UInt8](repeating: 0, count: algorithm.byteCount)
        OpenSSLError.require(unsafe EVP_MAC_final(mac.context, &tag, nil, tag.count), "EVP_MAC_final")
        return tag
    }

    /// The MAC of `sequenceNumber` and `packet` (RFC 4253 §6.4), written to the first bytes of `tag`.
    package func authenticate(_ packet: Span<UInt8>, sequenceNumber: UInt32, into tag: inout MutableSpan<UInt8>) {
        precondition(tag.count >= byteCount, "no room for the tag")
        begin(sequenceNumber)
        update(packet)
        unsafe tag.withUnsafeMutableBufferPointer { tag in
            OpenSSLError.require(unsafe EVP_MAC_final(context, tag.baseAddress, nil, byteCount), "EVP_MAC_final")
        }
    }

    /// Whether `tag` is that of ``authenticate(_:sequenceNumber:into:)``, found out in constant time.
    package func isValid(_ tag: Span<UInt8>, for packet: Span<UInt8>, sequenceNumber: UInt32) -> Bool {
        guard tag.count == byteCount else { return false }
        begin(sequenceNumber)
        update(packet)
        return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: byteCount) { expected in
            OpenSSLError.require(unsafe EVP_MAC_final(context, expected.baseAddress, nil, byteCount), "EVP_MAC_final")
            return unsafe tag.withUnsafeBufferPointer { unsafe CRYPTO_memcmp($0.baseAddress, expected.baseAddress, byteCount) } == 0
        }
    }

    private func begin(_ sequenceNumber: UInt32) {
        OpenSSLError.require(unsafe EVP_MAC_init(context, nil, 0, nil), "EVP_MAC_init")
        unsafe withUnsafeBytes(of: sequenceNumber.bigEndian) { bytes in
            OpenSSLError.require(unsafe EVP_MAC_update(context, bytes.bindMemory(to: UInt8.self).baseAddress, 4), "EVP_MAC_update")
        }
    }

    private func update(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { bytes in
            OpenSSLError.require(unsafe EVP_MAC_update(context, bytes.baseAddress, bytes.count), "EVP_MAC_update")
        }
    }
}
