package import Base
internal import COpenSSL

/// ECDSA over the NIST curves, each with the hash of its size (RFC 5656 §6.2.1).
package enum ECDSA {
    package typealias Curve = EllipticCurve

    /// Two magnitudes; they go over SSH as `mpint`s (RFC 5656 §3.1.2).
    package struct Signature: Sendable, Equatable {
        package let r: [UInt8]
        package let s: [UInt8]

        package init(r: [UInt8], s: [UInt8]) {
            self.r = r
            self.s = s
        }
    }

    package struct PrivateKey: Sendable {
        package let curve: Curve
        /// As wide as the field.
        package let scalar: [UInt8]
        package let publicKey: PublicKey
        let handle: KeyHandle

        /// - Parameter scalar: a magnitude in `1..<order`.
        package init(curve: Curve, scalar: [UInt8]) throws(CryptoError) {
            let trimmed = Array(scalar.drop { $0 == 0 })
            guard trimmed.count <= curve.fieldBytes else { throw .badKey("the scalar is outside 1..<order") }
            self.curve = curve
            self.scalar = [UInt8](repeating: 0, count: curve.fieldBytes - trimmed.count) + trimmed
            let point: [UInt8]
            (handle, point) = try curve.privateKey(scalar: self.scalar)
            publicKey = try PublicKey(curve: curve, point: point)
        }

        package static func generate(_ curve: Curve, randomness: any Randomness) -> PrivateKey {
            do throws(CryptoError) {
                return try PrivateKey(curve: curve, scalar: curve.randomScalar(randomness))
            } catch {
                preconditionFailure("a fresh key is refused: \(error)")
            }
        }

        package func sign(_ message: [UInt8]) -> Signature {
            let der = handle.sign(message, digest: curve.digest)
            return unsafe der.withUnsafeBufferPointer { der in
                var start = der.baseAddress
                guard let signature = unsafe d2i_ECDSA_SIG(nil, &start, der.count) else { preconditionFailure("d2i_ECDSA_SIG") }
                defer { unsafe ECDSA_SIG_free(signature) }
                guard let r = unsafe ECDSA_SIG_get0_r(signature), let s = unsafe ECDSA_SIG_get0_s(signature) else {
                    preconditionFailure("ECDSA_SIG_get0")
                }
                return unsafe Signature(r: BigNumber.bytes(r), s: BigNumber.bytes(s))
            }
        }
    }

    package struct PublicKey: Sendable, Hashable {
        package let curve: Curve
        /// Uncompressed: 4, x, y.
        package let point: [UInt8]
        let handle: KeyHandle

        /// - Throws: ``CryptoError/badKey(_:)`` for a point of another form or beside the curve.
        package init(curve: Curve, point: [UInt8]) throws(CryptoError) {
            handle = try curve.publicKey(point: point)
            self.curve = curve
            self.point = point
        }

        /// From a SubjectPublicKeyInfo.
        package init(der: [UInt8]) throws(CryptoError) {
            try self.init(
                unsafe der.withUnsafeBufferPointer { (der) throws(CryptoError) in
                    var start = der.baseAddress
                    let key = try unsafe KeyHandle(d2i_PUBKEY(nil, &start, der.count))
                    guard unsafe der.baseAddress.map({ unsafe $0 + der.count }) == start else { throw .badEncoding("bytes after the key") }
                    return key
                })
        }

        init(_ key: KeyHandle) throws(CryptoError) {
            guard key.isA("EC") else { throw .badKey("not an elliptic curve key") }
            let curve = try Curve(group: key.group())
            try self.init(curve: curve, point: [4] + key.number("qx", width: curve.fieldBytes) + key.number("qy", width: curve.fieldBytes))
        }

        /// SubjectPublicKeyInfo.
        package var der: [UInt8] {
            var output: UnsafeMutablePointer<UInt8>?
            let count = unsafe i2d_PUBKEY(handle.pointer, &output)
            OpenSSLError.require(count, "i2d_PUBKEY")
            defer { unsafe CRYPTO_free(output, #file, #line) }
            return unsafe Array(UnsafeBufferPointer(start: output, count: Int(count)))
        }

        package func isValid(_ signature: Signature, for message: [UInt8]) -> Bool {
            let limit = curve.fieldBytes + 1
            guard signature.r.count <= limit, signature.s.count <= limit, let der = Self.der(signature) else { return false }
            return handle.isValid(der, for: message, digest: curve.digest)
        }

        private static func der(_ signature: Signature) -> [UInt8]? {
            guard let encoded = unsafe ECDSA_SIG_new() else { return nil }
            defer { unsafe ECDSA_SIG_free(encoded) }
            let r = unsafe BN_bin2bn(signature.r, Int32(signature.r.count), nil)
            let s = unsafe BN_bin2bn(signature.s, Int32(signature.s.count), nil)
            OpenSSLError.require(unsafe ECDSA_SIG_set0(encoded, r, s), "ECDSA_SIG_set0")
            var output: UnsafeMutablePointer<UInt8>?
            let count = unsafe i2d_ECDSA_SIG(encoded, &output)
            OpenSSLError.require(count, "i2d_ECDSA_SIG")
            defer { unsafe CRYPTO_free(output, #file, #line) }
            return unsafe Array(UnsafeBufferPointer(start: output, count: Int(count)))
        }

        package static func == (left: PublicKey, right: PublicKey) -> Bool { left.curve == right.curve && left.point == right.point }

        package func hash(into hasher: inout Hasher) { hasher.combine(point) }
    }
}
