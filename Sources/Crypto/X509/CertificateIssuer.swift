package import Base
internal import COpenSSL

/// A certificate authority for the API: signs what a ``CertificateTemplate`` says with its P-256 key.
package struct CertificateIssuer: Sendable {
    package let certificate: X509Certificate
    private let key: ECDSA.PrivateKey

    /// Longer than RFC 5280's 64, which a UUID with a cluster's name exceeds; nobody checks that bound.
    private static let nameBytesMax = 255

    /// - Throws: ``CryptoError/badKey(_:)`` where the key is not the certificate's.
    package init(certificate: X509Certificate, key: ECDSA.PrivateKey) throws(CryptoError) {
        guard certificate.isAuthority else { throw .badEncoding("\(certificate.commonName) is no certificate authority") }
        guard certificate.publicKeyDER == key.publicKey.der else { throw .badKey("the key is not that of the certificate") }
        self.certificate = certificate
        self.key = key
    }

    /// A certificate that vouches for itself: a new authority's.
    package static func selfSigned(
        _ template: CertificateTemplate, key: ECDSA.PrivateKey, randomness: any Randomness
    ) throws(CryptoError) -> X509Certificate {
        try sign(template, for: key.publicKey, issuer: nil, key: key, randomness: randomness)
    }

    package func issue(
        _ template: CertificateTemplate, for publicKey: ECDSA.PublicKey, randomness: any Randomness
    ) throws(CryptoError) -> X509Certificate {
        try Self.sign(template, for: publicKey, issuer: certificate.handle, key: key, randomness: randomness)
    }

    private static func sign(
        _ template: CertificateTemplate, for publicKey: ECDSA.PublicKey, issuer: CertificateHandle?, key: ECDSA.PrivateKey,
        randomness: any Randomness
    ) throws(CryptoError) -> X509Certificate {
        let certificate = try unsafe CertificateHandle(X509_new())
        let pointer = unsafe certificate.pointer
        // Version 3 is written as 2.
        OpenSSLError.require(unsafe X509_set_version(pointer, 2), "X509_set_version")
        try unsafe setSerialNumber(of: pointer, randomness)
        try unsafe setTime(X509_getm_notBefore(pointer), template.notBefore)
        try unsafe setTime(X509_getm_notAfter(pointer), template.notAfter)
        let subject = try unsafe Handle(X509_NAME_new(), free: { unsafe X509_NAME_free($0) })
        try add([template.commonName], NID_commonName, to: subject)
        try add(template.organizations, NID_organizationName, to: subject)
        try add(template.organizationalUnits, NID_organizationalUnitName, to: subject)
        OpenSSLError.require(unsafe X509_set_subject_name(pointer, subject.pointer), "X509_set_subject_name")
        OpenSSLError.require(
            unsafe X509_set_issuer_name(pointer, issuer.map { unsafe X509_get_subject_name($0.pointer) } ?? subject.pointer),
            "X509_set_issuer_name")
        OpenSSLError.require(unsafe X509_set_pubkey(pointer, publicKey.handle.pointer), "X509_set_pubkey")
        try unsafe addExtensions(to: pointer, template, issuer: issuer)
        OpenSSLError.require(unsafe X509_sign(pointer, key.handle.pointer, DigestAlgorithm.sha256.fetched.pointer), "X509_sign")
        // Decoded anew, so that nothing cached while it was being made stays.
        return try X509Certificate(der: X509Certificate(certificate).der)
    }

    /// 126 random bits below a 1: positive, of one length, never used twice (RFC 5280 §4.1.2.2).
    private static func setSerialNumber(of certificate: OpaquePointer, _ randomness: any Randomness) throws(CryptoError) {
        var bytes = randomness.bytes(16)
        bytes[0] = bytes[0] & 0x3f | 0x40
        let number = try BigNumber.make(bytes)
        guard unsafe BN_to_ASN1_INTEGER(number.pointer, X509_get_serialNumber(certificate)) != nil else {
            throw .library(OpenSSLError.take())
        }
    }

    private static func setTime(_ field: UnsafeMutablePointer<ASN1_TIME>?, _ time: UnixTime) throws(CryptoError) {
        guard unsafe ASN1_TIME_set(field, Int(time.seconds)) != nil else {
            throw .badEncoding("a certificate cannot be dated \(time.seconds): " + OpenSSLError.take())
        }
    }

    private static func add(_ values: [String], _ kind: Int32, to name: borrowing Handle) throws(CryptoError) {
        for value in values {
            let bytes = Array(value.utf8)
            guard 1...nameBytesMax ~= bytes.count, bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }) else {
                throw .badEncoding("a name of \(bytes.count) bytes, or with control characters, cannot be certified")
            }
            OpenSSLError.require(
                unsafe X509_NAME_add_entry_by_NID(name.pointer, kind, V_ASN1_UTF8STRING, bytes, Int32(bytes.count), -1, 0),
                "X509_NAME_add_entry_by_NID")
        }
    }

    private static func addExtensions(
        to certificate: OpaquePointer, _ template: CertificateTemplate, issuer: CertificateHandle?
    ) throws(CryptoError) {
        var context = unsafe X509V3_CTX()
        unsafe X509V3_set_ctx(&context, issuer?.pointer ?? certificate, certificate, nil, nil, 0)
        func add(_ kind: Int32, _ value: StaticString) throws(CryptoError) {
            let made = unsafe X509V3_EXT_conf_nid(nil, &context, kind, "\(value)")
            let handle = try unsafe Handle(made, free: { unsafe X509_EXTENSION_free($0) })
            OpenSSLError.require(unsafe X509_add_ext(certificate, handle.pointer, -1), "X509_add_ext")
        }
        try add(NID_basic_constraints, template.isAuthority ? "critical,CA:TRUE" : "critical,CA:FALSE")
        try add(NID_key_usage, template.isAuthority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature")
        if template.uses == [.client] { try add(NID_ext_key_usage, "clientAuth") }
        if template.uses == [.server] { try add(NID_ext_key_usage, "serverAuth") }
        if template.uses == [.client, .server] { try add(NID_ext_key_usage, "clientAuth,serverAuth") }
        try add(NID_subject_key_identifier, "hash")
        if issuer != nil { try add(NID_authority_key_identifier, "keyid:always") }
        if !template.dnsNames.isEmpty || !template.ipAddresses.isEmpty {
            try unsafe addAlternativeNames(to: certificate, template)
        }
    }

    /// Built value by value: in OpenSSL's text form a comma in a name would begin another name.
    private static func addAlternativeNames(to certificate: OpaquePointer, _ template: CertificateTemplate) throws(CryptoError) {
        let names = try unsafe Handle(OPENSSL_sk_new_null(), free: { unsafe GENERAL_NAMES_free($0) })
        func push(_ kind: Int32, _ value: UnsafeMutablePointer<ASN1_STRING>?) {
            guard let name = unsafe GENERAL_NAME_new() else { preconditionFailure("GENERAL_NAME_new") }
            unsafe GENERAL_NAME_set0_value(name, kind, value)
            OpenSSLError.require(unsafe OPENSSL_sk_push(names.pointer, name), "OPENSSL_sk_push")
        }
        for name in template.dnsNames {
            let bytes = Array(name.utf8)
            guard 1...nameBytesMax ~= bytes.count, bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
                throw .badEncoding("\(name.debugDescription) is no DNS name")
            }
            let string = unsafe ASN1_STRING_type_new(V_ASN1_IA5STRING)
            OpenSSLError.require(unsafe ASN1_STRING_set(string, bytes, Int32(bytes.count)), "ASN1_STRING_set")
            unsafe push(GEN_DNS, string)
        }
        for address in template.ipAddresses {
            guard let octets = unsafe a2i_IPADDRESS(address) else {
                throw .badEncoding("\(address.debugDescription) is no IP address: " + OpenSSLError.take())
            }
            unsafe push(GEN_IPADD, octets)
        }
        OpenSSLError.require(
            unsafe X509_add1_ext_i2d(
                certificate, NID_subject_alt_name, UnsafeMutableRawPointer(names.pointer), 0, UInt(X509V3_ADD_DEFAULT)),
            "X509_add1_ext_i2d")
    }
}
