internal import COpenSSL

/// `chacha20-poly1305@openssh.com` (OpenSSH's PROTOCOL.chacha20poly1305; draft-ietf-sshm-chacha20-poly1305).
///
///     packet:  length (4, encrypted with the second key) | cipher text (first key, from block 1) | tag (16)
///
/// The tag is Poly1305 over both encrypted parts, with the first key's block 0 as its key. The nonce is the sequence number.
@safe
package final class ChaChaPoly {
    package static let tagBytes = 16
    package static let keyBytes = 64
    private static let lengthBytes = 4
    private static let blockBytes = 64
    private static let polyKeyBytes = 32

    private let main: OpaquePointer
    private let header: OpaquePointer
    private let poly: OpaquePointer
    /// Counter (8, little-endian, always 0) and nonce (8, big-endian).
    private let nonce: UnsafeMutablePointer<UInt8>
    /// Block 0 of the key stream: the key of the tag, then 32 bytes that nobody needs.
    private let block: UnsafeMutablePointer<UInt8>
    private let zeros: UnsafeMutablePointer<UInt8>

    /// - Parameter key: 64 bytes, the key of the payload before that of the length.
    package init(key: [UInt8]) {
        precondition(key.count == Self.keyBytes, "a chacha20-poly1305@openssh.com key has 64 bytes")
        guard let main = unsafe EVP_CIPHER_CTX_new(), let header = unsafe EVP_CIPHER_CTX_new(),
            let poly = unsafe EVP_MAC_CTX_new(Fetched.poly1305.pointer)
        else { preconditionFailure("EVP_CIPHER_CTX_new") }
        unsafe self.main = main
        unsafe self.header = header
        unsafe self.poly = poly
        unsafe nonce = .allocate(capacity: 16)
        unsafe nonce.initialize(repeating: 0, count: 16)
        unsafe block = .allocate(capacity: Self.blockBytes)
        unsafe block.initialize(repeating: 0, count: Self.blockBytes)
        unsafe zeros = .allocate(capacity: Self.blockBytes)
        unsafe zeros.initialize(repeating: 0, count: Self.blockBytes)
        OpenSSLError.require(
            unsafe EVP_EncryptInit_ex2(main, Fetched.chaCha20.pointer, Array(key[..<32]), nil, nil), "EVP_EncryptInit_ex2")
        OpenSSLError.require(
            unsafe EVP_EncryptInit_ex2(header, Fetched.chaCha20.pointer, Array(key[32...]), nil, nil), "EVP_EncryptInit_ex2")
    }

    deinit {
        unsafe EVP_CIPHER_CTX_free(main)
        unsafe EVP_CIPHER_CTX_free(header)
        unsafe EVP_MAC_CTX_free(poly)
        unsafe nonce.deallocate()
        unsafe OPENSSL_cleanse(block, Self.blockBytes)
        unsafe block.deallocate()
        unsafe zeros.deallocate()
    }

    /// The packet length that 4 encrypted bytes hide. Nothing has vouched for it yet.
    package func packetLength(_ encrypted: Span<UInt8>, sequenceNumber: UInt32) -> UInt32 {
        precondition(encrypted.count == Self.lengthBytes, "a packet length has 4 bytes")
        setNonce(sequenceNumber)
        beginLength()
        var length: UInt32 = 0
        unsafe encrypted.withUnsafeBufferPointer { encrypted in
            unsafe withUnsafeMutableBytes(of: &length) { length in
                unsafe update(
                    header, from: encrypted.baseAddress, to: length.bindMemory(to: UInt8.self).baseAddress, count: Self.lengthBytes)
            }
        }
        return UInt32(bigEndian: length)
    }

    /// Seals in place: 4 bytes of length, plain text, room for the tag.
    package func seal(_ packet: inout MutableSpan<UInt8>, sequenceNumber: UInt32) {
        precondition(packet.count >= Self.lengthBytes + Self.tagBytes, "no room for length and tag")
        unsafe packet.withUnsafeMutableBufferPointer { packet in
            guard let base = packet.baseAddress else { return }
            begin(sequenceNumber)
            unsafe update(header, from: base, to: base, count: Self.lengthBytes)
            let end = unsafe base + packet.count - Self.tagBytes
            unsafe update(main, from: base + Self.lengthBytes, to: base + Self.lengthBytes, count: end - base - Self.lengthBytes)
            unsafe authenticate(base, count: end - base, tag: end)
        }
    }

    /// Seals `header` (its first 4 bytes are the length), `body` and `padding`, one after another, into `packet`.
    package func seal(
        header: Span<UInt8>, body: Span<UInt8>, padding: Span<UInt8>, into packet: inout MutableSpan<UInt8>, sequenceNumber: UInt32
    ) {
        precondition(header.count >= Self.lengthBytes, "the header holds the length")
        precondition(packet.count == header.count + body.count + padding.count + Self.tagBytes, "the packet has another size")
        unsafe packet.withUnsafeMutableBufferPointer { packet in
            guard let start = packet.baseAddress else { return }
            var output = unsafe start
            begin(sequenceNumber)
            unsafe header.withUnsafeBufferPointer { header in
                guard let base = header.baseAddress else { return }
                unsafe update(self.header, from: base, to: output, count: Self.lengthBytes)
                unsafe update(
                    main, from: base + Self.lengthBytes, to: output + Self.lengthBytes, count: header.count - Self.lengthBytes)
                unsafe output += header.count
            }
            unsafe body.withUnsafeBufferPointer { body in
                unsafe update(main, from: body.baseAddress, to: output, count: body.count)
                unsafe output += body.count
            }
            unsafe padding.withUnsafeBufferPointer { padding in
                unsafe update(main, from: padding.baseAddress, to: output, count: padding.count)
                unsafe output += padding.count
            }
            unsafe authenticate(start, count: output - start, tag: output)
        }
    }

    /// Opens in place: encrypted length, cipher text, tag. The length stands there in clear afterwards, too.
    ///
    /// - Throws: ``CryptoError/authenticationFailed`` before anything is decrypted.
    package func open(_ packet: inout MutableSpan<UInt8>, sequenceNumber: UInt32) throws(CryptoError) {
        precondition(packet.count >= Self.lengthBytes + Self.tagBytes, "shorter than length and tag")
        let authentic = unsafe packet.withUnsafeMutableBufferPointer { packet in
            guard let base = packet.baseAddress else { return false }
            let end = unsafe base + packet.count - Self.tagBytes
            begin(sequenceNumber)
            let authentic = unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.tagBytes) { expected in
                guard let tag = expected.baseAddress else { return false }
                unsafe authenticate(base, count: end - base, tag: tag)
                return unsafe CRYPTO_memcmp(tag, end, Self.tagBytes) == 0
            }
            guard authentic else { return false }
            unsafe update(header, from: base, to: base, count: Self.lengthBytes)
            unsafe update(main, from: base + Self.lengthBytes, to: base + Self.lengthBytes, count: end - base - Self.lengthBytes)
            return true
        }
        guard authentic else { throw .authenticationFailed }
    }

    private func setNonce(_ sequenceNumber: UInt32) {
        for index in 0..<4 { unsafe nonce[12 + index] = UInt8(truncatingIfNeeded: sequenceNumber >> UInt32(24 - 8 * index)) }
    }

    private func beginLength() {
        OpenSSLError.require(unsafe EVP_EncryptInit_ex2(header, nil, nil, nonce, nil), "EVP_EncryptInit_ex2")
    }

    /// Sets the nonce of both ciphers and takes block 0 of the payload's, which leaves it at block 1.
    private func begin(_ sequenceNumber: UInt32) {
        setNonce(sequenceNumber)
        beginLength()
        OpenSSLError.require(unsafe EVP_EncryptInit_ex2(main, nil, nil, nonce, nil), "EVP_EncryptInit_ex2")
        unsafe update(main, from: zeros, to: block, count: Self.blockBytes)
    }

    private func update(
        _ context: OpaquePointer, from source: UnsafePointer<UInt8>?, to destination: UnsafeMutablePointer<UInt8>?, count: Int
    ) {
        guard count > 0 else { return }
        var written: Int32 = 0
        OpenSSLError.require(unsafe EVP_EncryptUpdate(context, destination, &written, source, Int32(count)), "EVP_EncryptUpdate")
    }

    private func authenticate(_ bytes: UnsafePointer<UInt8>, count: Int, tag: UnsafeMutablePointer<UInt8>) {
        OpenSSLError.require(unsafe EVP_MAC_init(poly, block, Self.polyKeyBytes, nil), "EVP_MAC_init")
        OpenSSLError.require(unsafe EVP_MAC_update(poly, bytes, count), "EVP_MAC_update")
        OpenSSLError.require(unsafe EVP_MAC_final(poly, tag, nil, Self.tagBytes), "EVP_MAC_final")
    }
}
