internal import COpenSSL

/// `aes128-ctr`, `aes192-ctr` and `aes256-ctr` (RFC 4344 §4): one key stream over all packets of a direction.
@safe
package final class AESCTR {
    package static let blockBytes = 16

    private let context: OpaquePointer

    /// - Parameters:
    ///   - key: 16, 24 or 32 bytes.
    ///   - counter: the first counter block, 16 bytes.
    package init(key: [UInt8], counter: [UInt8]) {
        precondition(counter.count == Self.blockBytes, "an AES-CTR counter has 16 bytes")
        guard let context = unsafe EVP_CIPHER_CTX_new() else { preconditionFailure("EVP_CIPHER_CTX_new") }
        unsafe self.context = context
        let cipher =
            switch key.count {
            case 16: Fetched.aes128CTR
            case 24: Fetched.aes192CTR
            case 32: Fetched.aes256CTR
            default: preconditionFailure("an AES key has 16, 24 or 32 bytes")
            }
        OpenSSLError.require(unsafe EVP_EncryptInit_ex2(context, cipher.pointer, key, counter, nil), "EVP_EncryptInit_ex2")
    }

    deinit { unsafe EVP_CIPHER_CTX_free(context) }

    /// Encrypts or decrypts the next bytes of the stream in place.
    package func apply(_ bytes: inout MutableSpan<UInt8>) {
        guard !bytes.isEmpty else { return }
        unsafe bytes.withUnsafeMutableBufferPointer { bytes in
            var written: Int32 = 0
            OpenSSLError.require(
                unsafe EVP_EncryptUpdate(context, bytes.baseAddress, &written, bytes.baseAddress, Int32(bytes.count)), "EVP_EncryptUpdate")
        }
    }

    /// Encrypts or decrypts the next bytes of the stream into the beginning of `destination`.
    package func apply(_ source: Span<UInt8>, into destination: inout MutableSpan<UInt8>) {
        precondition(destination.count >= source.count, "no room for the bytes")
        guard !source.isEmpty else { return }
        unsafe destination.withUnsafeMutableBufferPointer { destination in
            unsafe source.withUnsafeBufferPointer { source in
                var written: Int32 = 0
                OpenSSLError.require(
                    unsafe EVP_EncryptUpdate(context, destination.baseAddress, &written, source.baseAddress, Int32(source.count)),
                    "EVP_EncryptUpdate")
            }
        }
    }
}
