internal import COpenSSL

/// `aes128-gcm@openssh.com` and `aes256-gcm@openssh.com` (RFC 5647; OpenSSH's PROTOCOL, "AES-GCM").
///
///     packet:  length (4, in clear, authenticated) | cipher text | tag (16)
///
/// One context per direction: each packet sets the nonce only, whose last 8 bytes count packets.
@safe
package final class AESGCM {
    package static let tagBytes = 16
    package static let nonceBytes = 12
    private static let lengthBytes = 4

    private let context: OpaquePointer
    private let nonce: UnsafeMutablePointer<UInt8>

    /// - Parameters:
    ///   - key: 16 or 32 bytes.
    ///   - nonce: the 12 bytes of RFC 5647 §7.1 for the first packet.
    package init(key: [UInt8], nonce: [UInt8], encrypting: Bool) {
        precondition(key.count == 16 || key.count == 32, "an AES-GCM key has 16 or 32 bytes")
        precondition(nonce.count == Self.nonceBytes, "an AES-GCM nonce has 12 bytes")
        guard let context = unsafe EVP_CIPHER_CTX_new() else { preconditionFailure("EVP_CIPHER_CTX_new") }
        unsafe self.context = context
        unsafe self.nonce = .allocate(capacity: Self.nonceBytes)
        for index in 0..<Self.nonceBytes { unsafe self.nonce[index] = nonce[index] }
        let cipher = key.count == 16 ? Fetched.aes128GCM : Fetched.aes256GCM
        OpenSSLError.require(
            unsafe EVP_CipherInit_ex2(context, cipher.pointer, key, nil, encrypting ? 1 : 0, nil), "EVP_CipherInit_ex2")
    }

    deinit {
        unsafe EVP_CIPHER_CTX_free(context)
        unsafe nonce.deallocate()
    }

    /// Seals in place: 4 bytes of length, plain text, room for the tag.
    package func seal(_ packet: inout MutableSpan<UInt8>) {
        precondition(packet.count >= Self.lengthBytes + Self.tagBytes, "no room for length and tag")
        unsafe packet.withUnsafeMutableBufferPointer { packet in
            guard let base = packet.baseAddress else { return }
            unsafe begin(length: base)
            let end = unsafe base + packet.count - Self.tagBytes
            unsafe update(from: base + Self.lengthBytes, to: base + Self.lengthBytes, count: end - base - Self.lengthBytes)
            unsafe finishSealing(tag: end)
        }
    }

    /// Seals `header` (its first 4 bytes are the length and stay in clear), `body` and `padding`, one after another, into `packet`.
    package func seal(header: Span<UInt8>, body: Span<UInt8>, padding: Span<UInt8>, into packet: inout MutableSpan<UInt8>) {
        precondition(header.count >= Self.lengthBytes, "the header holds the length")
        precondition(packet.count == header.count + body.count + padding.count + Self.tagBytes, "the packet has another size")
        unsafe packet.withUnsafeMutableBufferPointer { packet in
            guard var output = packet.baseAddress else { return }
            unsafe header.withUnsafeBufferPointer { header in
                guard let base = header.baseAddress else { return }
                unsafe output.update(from: base, count: Self.lengthBytes)
                unsafe begin(length: output)
                unsafe output += Self.lengthBytes
                unsafe update(from: base + Self.lengthBytes, to: output, count: header.count - Self.lengthBytes)
                unsafe output += header.count - Self.lengthBytes
            }
            unsafe body.withUnsafeBufferPointer { body in
                unsafe update(from: body.baseAddress, to: output, count: body.count)
                unsafe output += body.count
            }
            unsafe padding.withUnsafeBufferPointer { padding in
                unsafe update(from: padding.baseAddress, to: output, count: padding.count)
                unsafe output += padding.count
            }
            unsafe finishSealing(tag: output)
        }
    }

    /// Opens in place: length, cipher text, tag.
    ///
    /// - Throws: ``CryptoError/authenticationFailed``; what stands in `packet` then must not be used.
    package func open(_ packet: inout MutableSpan<UInt8>) throws(CryptoError) {
        precondition(packet.count >= Self.lengthBytes + Self.tagBytes, "shorter than length and tag")
        let authentic = unsafe packet.withUnsafeMutableBufferPointer { packet in
            guard let base = packet.baseAddress else { return false }
            unsafe begin(length: base)
            let end = unsafe base + packet.count - Self.tagBytes
            unsafe update(from: base + Self.lengthBytes, to: base + Self.lengthBytes, count: end - base - Self.lengthBytes)
            OpenSSLError.require(
                unsafe EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagBytes), end), "EVP_CTRL_AEAD_SET_TAG")
            var count: Int32 = 0
            return unsafe EVP_CipherFinal_ex(context, end, &count) == 1
        }
        guard authentic else {
            ERR_clear_error()
            throw .authenticationFailed
        }
    }

    /// Sets the nonce, counts it on, and authenticates the length.
    private func begin(length: UnsafePointer<UInt8>) {
        OpenSSLError.require(unsafe EVP_CipherInit_ex2(context, nil, nil, nonce, -1, nil), "EVP_CipherInit_ex2")
        for index in stride(from: Self.nonceBytes - 1, through: 4, by: -1) {
            unsafe nonce[index] &+= 1
            if unsafe nonce[index] != 0 { break }
        }
        var count: Int32 = 0
        OpenSSLError.require(unsafe EVP_CipherUpdate(context, nil, &count, length, Int32(Self.lengthBytes)), "EVP_CipherUpdate")
    }

    private func update(from source: UnsafePointer<UInt8>?, to destination: UnsafeMutablePointer<UInt8>, count: Int) {
        guard count > 0 else { return }
        var written: Int32 = 0
        OpenSSLError.require(unsafe EVP_CipherUpdate(context, destination, &written, source, Int32(count)), "EVP_CipherUpdate")
    }

    private func finishSealing(tag: UnsafeMutablePointer<UInt8>) {
        var count: Int32 = 0
        OpenSSLError.require(unsafe EVP_CipherFinal_ex(context, tag, &count), "EVP_CipherFinal_ex")
        OpenSSLError.require(
            unsafe EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagBytes), tag), "EVP_CTRL_AEAD_GET_TAG")
    }
}
