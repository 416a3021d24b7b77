internal import Base
internal import COpenSSL

/// One part of a key as OpenSSL's parameters name it.
enum KeyField {
    case group(StaticString)
    case octets(StaticString, [UInt8])
    /// A big-endian magnitude.
    case number(StaticString, [UInt8])

    fileprivate var name: StaticString {
        switch self {
        case .group: "group"
        case .octets(let name, _), .number(let name, _): name
        }
    }

    /// The value as `OSSL_PARAM` wants it: numbers have the byte order of the machine.
    fileprivate var bytes: [UInt8] {
        switch self {
        case .group(let group): Array("\(group)".utf8) + [0]
        case .octets(_, let bytes): bytes
        case .number(_, let magnitude): 1.littleEndian == 1 ? magnitude.reversed() : magnitude
        }
    }
}

extension KeyHandle {
    /// A key from its parts.
    ///
    /// - Throws: ``CryptoError/badKey(_:)`` for parts that OpenSSL refuses, such as a point beside the curve.
    convenience init(type: StaticString, isPrivate: Bool, _ fields: [KeyField]) throws(CryptoError) {
        let context = try unsafe Handle(EVP_PKEY_CTX_new_from_name(nil, "\(type)", nil), free: { unsafe EVP_PKEY_CTX_free($0) })
        OpenSSLError.require(unsafe EVP_PKEY_fromdata_init(context.pointer), "EVP_PKEY_fromdata_init")
        let values = fields.map(\.bytes)
        let storage = UnsafeMutablePointer<UInt8>.allocate(capacity: values.reduce(1) { $0 + $1.count })
        var end = 0
        var parameters: [OSSL_PARAM] = unsafe []
        for (field, value) in zip(fields, values) {
            let start = unsafe storage + end
            for byte in value {
                unsafe storage[end] = byte
                end += 1
            }
            let name = unsafe UnsafeRawPointer(field.name.utf8Start).assumingMemoryBound(to: CChar.self)
            let parameter =
                switch field {
                case .group:
                    unsafe OSSL_PARAM_construct_utf8_string(
                        name, UnsafeMutableRawPointer(start).assumingMemoryBound(to: CChar.self), value.count - 1)
                case .octets: unsafe OSSL_PARAM_construct_octet_string(name, start, value.count)
                case .number: unsafe OSSL_PARAM_construct_BN(name, start, value.count)
                }
            unsafe parameters.append(parameter)
        }
        unsafe parameters.append(OSSL_PARAM_construct_end())
        var key: OpaquePointer?
        let result = unsafe EVP_PKEY_fromdata(context.pointer, &key, isPrivate ? keySelectionPair : keySelectionPublic, &parameters)
        unsafe OPENSSL_cleanse(storage, end)
        unsafe storage.deallocate()
        guard result == 1 else { throw .badKey(OpenSSLError.take()) }
        try unsafe self.init(key)
    }

    /// The magnitude of a number, `width` bytes wide, or as short as it is.
    func number(_ name: String, width: Int? = nil) throws(CryptoError) -> [UInt8] {
        var number: OpaquePointer?
        guard unsafe EVP_PKEY_get_bn_param(pointer, name, &number) == 1 else { throw .badKey(OpenSSLError.take()) }
        let owned = try unsafe Handle(number, free: { unsafe BN_clear_free($0) })
        return unsafe BigNumber.bytes(owned.pointer, width: width)
    }

    func isA(_ type: String) -> Bool {
        unsafe EVP_PKEY_is_a(pointer, type) == 1
    }

    /// The name of an elliptic curve's group.
    func group() throws(CryptoError) -> String {
        var name = [CChar](repeating: 0, count: 64)
        var count = 0
        guard unsafe EVP_PKEY_get_utf8_string_param(pointer, OSSL_PKEY_PARAM_GROUP_NAME, &name, name.count, &count) == 1 else {
            throw .badKey(OpenSSLError.take())
        }
        return String(decoding: name.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// `EVP_DigestSign`, hashing where `digest` is given. Keys that were checked when made do not fail to sign.
    func sign(_ message: [UInt8], digest: DigestAlgorithm?) -> [UInt8] {
        guard let context = unsafe EVP_MD_CTX_new() else { preconditionFailure("EVP_MD_CTX_new") }
        defer { unsafe EVP_MD_CTX_free(context) }
        OpenSSLError.require(unsafe EVP_DigestSignInit(context, nil, digest?.fetched.pointer, nil, pointer), "EVP_DigestSignInit")
        var count = 0
        OpenSSLError.require(unsafe EVP_DigestSign(context, nil, &count, message, message.count), "EVP_DigestSign")
        var signature = [UInt8](repeating: 0, count: count)
        OpenSSLError.require(unsafe EVP_DigestSign(context, &signature, &count, message, message.count), "EVP_DigestSign")
        signature.removeLast(signature.count - count)
        return signature
    }

    func isValid(_ signature: [UInt8], for message: [UInt8], digest: DigestAlgorithm?) -> Bool {
        guard let context = unsafe EVP_MD_CTX_new() else { preconditionFailure("EVP_MD_CTX_new") }
        defer { unsafe EVP_MD_CTX_free(context) }
        guard unsafe EVP_DigestVerifyInit(context, nil, digest?.fetched.pointer, nil, pointer) == 1,
            unsafe EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
        else {
            ERR_clear_error()
            return false
        }
        return true
    }

    /// What `EVP_PKEY_derive` makes of this private key and `peer`.
    func derive(with peer: KeyHandle) throws(CryptoError) -> [UInt8] {
        let context = try unsafe Handle(EVP_PKEY_CTX_new_from_pkey(nil, pointer, nil), free: { unsafe EVP_PKEY_CTX_free($0) })
        OpenSSLError.require(unsafe EVP_PKEY_derive_init(context.pointer), "EVP_PKEY_derive_init")
        guard unsafe EVP_PKEY_derive_set_peer(context.pointer, peer.pointer) == 1 else { throw .badKey(OpenSSLError.take()) }
        var count = 0
        OpenSSLError.require(unsafe EVP_PKEY_derive(context.pointer, nil, &count), "EVP_PKEY_derive")
        var secret = [UInt8](repeating: 0, count: count)
        guard unsafe EVP_PKEY_derive(context.pointer, &secret, &count) == 1 else {
            ERR_clear_error()
            throw .weakSharedSecret
        }
        secret.removeLast(secret.count - count)
        return secret
    }
}

/// Numbers of any size, as big-endian magnitudes.
enum BigNumber {
    static func bytes(_ number: OpaquePointer, width: Int? = nil) -> [UInt8] {
        let count = unsafe width ?? Int(BN_num_bits(number) + 7) / 8
        var bytes = [UInt8](repeating: 0, count: count)
        OpenSSLError.require(unsafe BN_bn2binpad(number, &bytes, Int32(count)) < 0 ? 0 : 1, "BN_bn2binpad")
        return bytes
    }

    static func make(_ magnitude: [UInt8] = []) throws(CryptoError) -> Handle {
        try unsafe Handle(BN_bin2bn(magnitude, Int32(magnitude.count), nil), free: { unsafe BN_clear_free($0) })
    }
}
