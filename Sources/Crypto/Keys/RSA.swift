internal import COpenSSL

/// RSASSA-PKCS1-v1_5 with SHA-2 (RFC 8332); SHA-1 does not exist here.
package enum RSA {
    package enum Hash: Sendable, Hashable {
        case sha256, sha512

        fileprivate var digest: DigestAlgorithm {
            switch self {
            case .sha256: .sha256
            case .sha512: .sha512
            }
        }
    }

    /// What anybody may ask to be checked costs time; more bits than OpenSSH takes are refused, fewer are no key.
    package static let modulusBits = 1024...16384
    /// The least that is made here.
    package static let generatedBitsMin = 2048

    /// Magnitudes, by their names in OpenSSH's key format.
    package struct PrivateComponents: Sendable, Equatable {
        package var n, e, d, p, q, iqmp: [UInt8]

        package init(n: [UInt8], e: [UInt8], d: [UInt8], p: [UInt8], q: [UInt8], iqmp: [UInt8]) {
            self.n = n
            self.e = e
            self.d = d
            self.p = p
            self.q = q
            self.iqmp = iqmp
        }
    }

    package struct PrivateKey: Sendable {
        package let components: PrivateComponents
        package let publicKey: PublicKey
        let handle: KeyHandle

        /// - Throws: ``CryptoError/badKey(_:)`` where the parts do not belong together.
        package init(_ components: PrivateComponents) throws(CryptoError) {
            let publicKey = try PublicKey(n: components.n, e: components.e)
            let (dmp1, dmq1) = try Self.exponents(components)
            let handle = try KeyHandle(
                type: "RSA", isPrivate: true,
                [
                    .number("n", components.n), .number("e", components.e), .number("d", components.d),
                    .number("rsa-factor1", components.p), .number("rsa-factor2", components.q),
                    .number("rsa-exponent1", dmp1), .number("rsa-exponent2", dmq1),
                    .number("rsa-coefficient1", components.iqmp),
                ])
            self.components = components
            self.publicKey = publicKey
            self.handle = handle
            let probe = [UInt8]("probe".utf8)
            guard publicKey.isValid(signature: sign(probe, with: .sha256), for: probe, with: .sha256) else {
                throw .badKey("the parts of the RSA key do not belong together")
            }
        }

        init(_ key: KeyHandle) throws(CryptoError) {
            try self.init(
                PrivateComponents(
                    n: key.number("n"), e: key.number("e"), d: key.number("d"), p: key.number("rsa-factor1"),
                    q: key.number("rsa-factor2"), iqmp: key.number("rsa-coefficient1")))
        }

        /// Slow: some 100 ms for 2048 bits. OpenSSL's own generator finds the primes.
        package static func generate(bits: Int) throws(CryptoError) -> PrivateKey {
            guard bits >= generatedBitsMin, bits <= modulusBits.upperBound else {
                throw .badKey("an RSA key of \(bits) bits is not made here")
            }
            let context = try unsafe Handle(EVP_PKEY_CTX_new_from_name(nil, "RSA", nil), free: { unsafe EVP_PKEY_CTX_free($0) })
            OpenSSLError.require(unsafe EVP_PKEY_keygen_init(context.pointer), "EVP_PKEY_keygen_init")
            OpenSSLError.require(
                unsafe EVP_PKEY_CTX_set_rsa_keygen_bits(context.pointer, Int32(bits)), "EVP_PKEY_CTX_set_rsa_keygen_bits")
            var key: OpaquePointer?
            OpenSSLError.require(unsafe EVP_PKEY_generate(context.pointer, &key), "EVP_PKEY_generate")
            return try unsafe PrivateKey(KeyHandle(key))
        }

        /// As long as the modulus.
        package func sign(_ message: [UInt8], with hash: Hash) -> [UInt8] {
            handle.sign(message, digest: hash.digest)
        }

        /// `d mod (p-1)` and `d mod (q-1)`, which OpenSSH's format leaves out.
        private static func exponents(_ components: PrivateComponents) throws(CryptoError) -> (dmp1: [UInt8], dmq1: [UInt8]) {
            let scratch = try unsafe Handle(BN_CTX_new(), free: { unsafe BN_CTX_free($0) })
            let n = try BigNumber.make(components.n)
            let d = try BigNumber.make(components.d)
            let p = try BigNumber.make(components.p)
            let q = try BigNumber.make(components.q)
            let result = try BigNumber.make()
            OpenSSLError.require(unsafe BN_mul(result.pointer, p.pointer, q.pointer, scratch.pointer), "BN_mul")
            guard unsafe BN_cmp(result.pointer, n.pointer) == 0, unsafe BN_is_odd(p.pointer) == 1, unsafe BN_is_odd(q.pointer) == 1,
                unsafe BN_is_one(p.pointer) == 0, unsafe BN_is_one(q.pointer) == 0, unsafe BN_cmp(d.pointer, n.pointer) < 0
            else { throw .badKey("the parts of the RSA key do not belong together") }
            OpenSSLError.require(unsafe BN_sub_word(p.pointer, 1), "BN_sub_word")
            OpenSSLError.require(unsafe BN_sub_word(q.pointer, 1), "BN_sub_word")
            OpenSSLError.require(unsafe BN_div(nil, result.pointer, d.pointer, p.pointer, scratch.pointer), "BN_div")
            let dmp1 = unsafe BigNumber.bytes(result.pointer)
            OpenSSLError.require(unsafe BN_div(nil, result.pointer, d.pointer, q.pointer, scratch.pointer), "BN_div")
            return unsafe (dmp1, BigNumber.bytes(result.pointer))
        }
    }

    package struct PublicKey: Sendable, Hashable {
        package let n: [UInt8]
        package let e: [UInt8]
        package let bitCount: Int
        private let handle: KeyHandle

        /// - Throws: ``CryptoError/badKey(_:)`` for a modulus outside ``RSA/modulusBits``, an even one, or an exponent that is even, 1 or above
        ///   64 bits. Callers have their own minimum.
        package init(n: [UInt8], e: [UInt8]) throws(CryptoError) {
            self.n = Array(n.drop { $0 == 0 })
            self.e = Array(e.drop { $0 == 0 })
            bitCount = self.n.count * 8 - (self.n.first?.leadingZeroBitCount ?? 0)
            guard modulusBits.contains(bitCount), let last = self.n.last, last & 1 == 1 else {
                throw .badKey("an RSA modulus of \(bitCount) bits")
            }
            guard let lowest = self.e.last, lowest & 1 == 1, self.e != [1], self.e.count <= 8 else { throw .badKey("a bad RSA exponent") }
            handle = try KeyHandle(type: "RSA", isPrivate: false, [.number("n", self.n), .number("e", self.e)])
        }

        /// - Parameter signature: exactly as long as the modulus (RFC 8017 §8.2.2).
        package func isValid(signature: [UInt8], for message: [UInt8], with hash: Hash) -> Bool {
            signature.count == n.count && handle.isValid(signature, for: message, digest: hash.digest)
        }

        package static func == (left: PublicKey, right: PublicKey) -> Bool { left.n == right.n && left.e == right.e }

        package func hash(into hasher: inout Hasher) { hasher.combine(n) }
    }
}
