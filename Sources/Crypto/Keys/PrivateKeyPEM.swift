internal import COpenSSL

/// A private key as PEM text (RFC 7468): PKCS#8, SEC1 and PKCS#1 in, PKCS#8 out.
///
/// OpenSSH's own format is none of these: SSHWire reads it.
package enum PrivateKeyPEM: Sendable {
    case ed25519(Ed25519.PrivateKey)
    case ecdsa(ECDSA.PrivateKey)
    case rsa(RSA.PrivateKey)

    /// - Throws: ``CryptoError/badEncoding(_:)`` for text that is no such key or is protected by a password.
    package init(pem: String) throws(CryptoError) {
        let bio = try MemoryBIO(pem)
        guard let pointer = unsafe PEM_read_bio_PrivateKey(bio.handle.pointer, nil, refusePassword, nil) else {
            throw .badEncoding("not a private key in PEM without a password: " + OpenSSLError.take())
        }
        let key = try unsafe KeyHandle(pointer)
        if key.isA("ED25519") {
            var seed = [UInt8](repeating: 0, count: 32)
            var count = seed.count
            OpenSSLError.require(unsafe EVP_PKEY_get_raw_private_key(key.pointer, &seed, &count), "EVP_PKEY_get_raw_private_key")
            self = .ed25519(try Ed25519.PrivateKey(seed: seed))
        } else if key.isA("EC") {
            let curve = try EllipticCurve(group: key.group())
            let decoded = try ECDSA.PrivateKey(curve: curve, scalar: key.number("priv", width: curve.fieldBytes))
            guard try decoded.publicKey == ECDSA.PublicKey(key) else { throw .badKey("the public half belongs to another key") }
            self = .ecdsa(decoded)
        } else if key.isA("RSA") {
            self = .rsa(try RSA.PrivateKey(key))
        } else {
            throw .badKey("a kind of key that is not supported")
        }
    }

    /// PKCS#8, without a password.
    package var pem: String {
        do throws(CryptoError) {
            let bio = try MemoryBIO()
            OpenSSLError.require(
                unsafe PEM_write_bio_PKCS8PrivateKey(bio.handle.pointer, handle.pointer, nil, nil, 0, nil, nil),
                "PEM_write_bio_PKCS8PrivateKey")
            return bio.text
        } catch {
            preconditionFailure("a key is not encoded: \(error)")
        }
    }

    private var handle: KeyHandle {
        switch self {
        case .ed25519(let key): key.handle
        case .ecdsa(let key): key.handle
        case .rsa(let key): key.handle
        }
    }
}

/// In place of OpenSSL's own callback, which asks on the terminal.
private func refusePassword(
    _ buffer: UnsafeMutablePointer<CChar>?, _ size: Int32, _ writing: Int32, _ argument: UnsafeMutableRawPointer?
) -> Int32 {
    -1
}

/// OpenSSL's reader and writer over memory.
@safe
struct MemoryBIO: ~Copyable {
    let handle: Handle

    init() throws(CryptoError) {
        handle = try unsafe Handle(BIO_new(BIO_s_mem()), free: { unsafe BIO_free($0) })
    }

    init(_ text: String) throws(CryptoError) {
        try self.init()
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty else { return }
        OpenSSLError.require(unsafe BIO_write(handle.pointer, bytes, Int32(clamping: bytes.count)), "BIO_write")
    }

    var text: String {
        var start: UnsafeMutablePointer<CChar>?
        let count = unsafe BIO_ctrl(handle.pointer, BIO_CTRL_INFO, 0, &start)
        guard count > 0, let start = unsafe start else { return "" }
        return unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: count), as: UTF8.self)
    }
}
