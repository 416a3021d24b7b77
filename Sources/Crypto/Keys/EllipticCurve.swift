internal import Base
internal import COpenSSL

/// The NIST curves of RFC 5656 §10.1.
package enum EllipticCurve: String, Sendable, Hashable, CaseIterable {
    case nistp256, nistp384, nistp521

    /// Bytes of a field element, and of a scalar.
    package var fieldBytes: Int {
        switch self {
        case .nistp256: 32
        case .nistp384: 48
        case .nistp521: 66
        }
    }

    /// The hash that goes with the curve's size (RFC 5656 §6.2.1).
    package var digest: DigestAlgorithm {
        switch self {
        case .nistp256: .sha256
        case .nistp384: .sha384
        case .nistp521: .sha512
        }
    }

    var group: StaticString {
        switch self {
        case .nistp256: "prime256v1"
        case .nistp384: "secp384r1"
        case .nistp521: "secp521r1"
        }
    }

    private var identifier: Int32 {
        switch self {
        case .nistp256: NID_X9_62_prime256v1
        case .nistp384: NID_secp384r1
        case .nistp521: NID_secp521r1
        }
    }

    init(group: String) throws(CryptoError) {
        guard let curve = Self.allCases.first(where: { "\($0.group)" == group }) else { throw .badKey("curve \(group) is not supported") }
        self = curve
    }

    /// A public key from an uncompressed point, which must lie on the curve.
    func publicKey(point: [UInt8]) throws(CryptoError) -> KeyHandle {
        guard point.count == 1 + 2 * fieldBytes, point.first == 4 else { throw .badKey("not an uncompressed point of \(rawValue)") }
        return try KeyHandle(type: "EC", isPrivate: false, [.group(group), .octets("pub", point)])
    }

    /// A private key and its public point.
    func privateKey(scalar: [UInt8]) throws(CryptoError) -> (key: KeyHandle, point: [UInt8]) {
        let point = try multiplyBase(by: scalar)
        return (try KeyHandle(type: "EC", isPrivate: true, [.group(group), .octets("pub", point), .number("priv", scalar)]), point)
    }

    /// A scalar in `1..<order`: 64 bits more than needed are reduced, so that none is likelier than another (FIPS 186-5 A.2.1).
    func randomScalar(_ randomness: any Randomness) throws(CryptoError) -> [UInt8] {
        let group = try openGroup()
        guard let order = unsafe EC_GROUP_get0_order(group.pointer) else { throw .library(OpenSSLError.take()) }
        let wide = try BigNumber.make(randomness.bytes(fieldBytes + 8))
        let limit = try unsafe Handle(BN_dup(order), free: { unsafe BN_free($0) })
        let scalar = try BigNumber.make()
        let scratch = try unsafe Handle(BN_CTX_new(), free: { unsafe BN_CTX_free($0) })
        OpenSSLError.require(unsafe BN_sub_word(limit.pointer, 1), "BN_sub_word")
        OpenSSLError.require(unsafe BN_div(nil, scalar.pointer, wide.pointer, limit.pointer, scratch.pointer), "BN_div")
        OpenSSLError.require(unsafe BN_add_word(scalar.pointer, 1), "BN_add_word")
        return unsafe BigNumber.bytes(scalar.pointer, width: fieldBytes)
    }

    private func openGroup() throws(CryptoError) -> Handle {
        try unsafe Handle(EC_GROUP_new_by_curve_name(identifier), free: { unsafe EC_GROUP_free($0) })
    }

    private func multiplyBase(by scalar: [UInt8]) throws(CryptoError) -> [UInt8] {
        let group = try openGroup()
        let number = try BigNumber.make(scalar)
        guard let order = unsafe EC_GROUP_get0_order(group.pointer), unsafe BN_is_zero(number.pointer) == 0,
            unsafe BN_cmp(number.pointer, order) < 0
        else { throw .badKey("the scalar is outside 1..<order") }
        let point = try unsafe Handle(EC_POINT_new(group.pointer), free: { unsafe EC_POINT_free($0) })
        OpenSSLError.require(unsafe EC_POINT_mul(group.pointer, point.pointer, number.pointer, nil, nil, nil), "EC_POINT_mul")
        var bytes = [UInt8](repeating: 0, count: 1 + 2 * fieldBytes)
        let count = unsafe EC_POINT_point2oct(
            group.pointer, point.pointer, POINT_CONVERSION_UNCOMPRESSED, &bytes, bytes.count, nil)
        precondition(count == bytes.count, "EC_POINT_point2oct")
        return bytes
    }
}
