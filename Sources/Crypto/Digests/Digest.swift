internal import COpenSSL

/// The hash functions in use: SHA-2 alone (FIPS 180-4).
package enum DigestAlgorithm: Sendable, Hashable {
    case sha256, sha384, sha512

    package var byteCount: Int {
        switch self {
        case .sha256: 32
        case .sha384: 48
        case .sha512: 64
        }
    }

    var fetched: Fetched {
        switch self {
        case .sha256: .sha256
        case .sha384: .sha384
        case .sha512: .sha512
        }
    }
}

/// One-shot hashes.
package enum Digest {
    package static func sha256(_ bytes: [UInt8]) -> [UInt8] { hash(bytes, with: .sha256) }
    package static func sha384(_ bytes: [UInt8]) -> [UInt8] { hash(bytes, with: .sha384) }
    package static func sha512(_ bytes: [UInt8]) -> [UInt8] { hash(bytes, with: .sha512) }

    package static func hash(_ bytes: [UInt8], with algorithm: DigestAlgorithm) -> [UInt8] {
        var stream = DigestStream(algorithm)
        stream.update(bytes)
        return stream.finish()
    }
}

/// A hash of bytes that come in pieces.
@safe
package struct DigestStream: ~Copyable {
    private let context: OpaquePointer
    private let byteCount: Int

    package init(_ algorithm: DigestAlgorithm) {
        guard let context = unsafe EVP_MD_CTX_new() else { preconditionFailure("EVP_MD_CTX_new") }
        OpenSSLError.require(unsafe EVP_DigestInit_ex2(context, algorithm.fetched.pointer, nil), "EVP_DigestInit_ex2")
        unsafe self.context = context
        byteCount = algorithm.byteCount
    }

    deinit { unsafe EVP_MD_CTX_free(context) }

    package mutating func update(_ bytes: [UInt8]) {
        update(bytes.span)
    }

    package mutating func update(_ bytes: Span<UInt8>) {
        unsafe bytes.withUnsafeBufferPointer { bytes in
            OpenSSLError.require(unsafe EVP_DigestUpdate(context, bytes.baseAddress, bytes.count), "EVP_DigestUpdate")
        }
    }

    package consuming func finish() -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: byteCount)
        OpenSSLError.require(unsafe EVP_DigestFinal_ex(context, &digest, nil), "EVP_DigestFinal_ex")
        return digest
    }
}
