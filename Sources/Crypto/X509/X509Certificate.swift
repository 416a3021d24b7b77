package import Base
internal import COpenSSL

/// An X.509 certificate (RFC 5280), decoded once, with the fields that are read here.
///
/// Being decoded says nothing about being trusted: that is ``CertificateChain``'s to decide.
package struct X509Certificate: Sendable, Hashable {
    package let der: [UInt8]
    package let commonName: String
    package let organizations: [String]
    package let organizationalUnits: [String]
    package let dnsNames: [String]
    /// In text.
    package let ipAddresses: [String]
    package let notBefore: UnixTime
    package let notAfter: UnixTime
    package let isAuthority: Bool
    /// Empty where the certificate does not say.
    package let uses: Set<CertificateUse>
    /// In lower-case hex.
    package let serialNumber: String
    /// The SubjectPublicKeyInfo.
    package let publicKeyDER: [UInt8]
    let handle: CertificateHandle

    /// - Throws: ``CryptoError/badEncoding(_:)`` also for a name that is not plain UTF-8 text or a subject with two common names.
    package init(der: [UInt8]) throws(CryptoError) {
        try self.init(
            unsafe der.withUnsafeBufferPointer { (der) throws(CryptoError) in
                var start = der.baseAddress
                let certificate = try unsafe CertificateHandle(d2i_X509(nil, &start, der.count))
                guard unsafe der.baseAddress.map({ unsafe $0 + der.count }) == start else {
                    throw .badEncoding("bytes after the certificate")
                }
                return certificate
            })
    }

    /// The first certificate of PEM text.
    package init(pem: String) throws(CryptoError) {
        guard let first = try Self.all(pem: pem).first else { throw .badEncoding("no certificate in the PEM text") }
        self = first
    }

    /// Every certificate of PEM text, in its order.
    package static func all(pem: String) throws(CryptoError) -> [X509Certificate] {
        let bio = try MemoryBIO(pem)
        var certificates: [X509Certificate] = []
        while let pointer = unsafe PEM_read_bio_X509(bio.handle.pointer, nil, nil, nil) {
            certificates.append(try unsafe X509Certificate(CertificateHandle(pointer)))
        }
        let reason = ERR_peek_last_error()
        ERR_clear_error()
        guard ERR_GET_REASON(reason) == PEM_R_NO_START_LINE else { throw .badEncoding("not a certificate in PEM") }
        return certificates
    }

    init(_ handle: CertificateHandle) throws(CryptoError) {
        self.handle = handle
        der = try unsafe Self.encode { unsafe i2d_X509(handle.pointer, $0) }
        guard let subject = unsafe X509_get_subject_name(handle.pointer), let key = unsafe X509_get_X509_PUBKEY(handle.pointer) else {
            throw .badEncoding("a certificate without subject or key")
        }
        publicKeyDER = try unsafe Self.encode { unsafe i2d_X509_PUBKEY(key, $0) }
        let commonNames = try unsafe Self.values(of: NID_commonName, in: subject)
        guard commonNames.count <= 1 else { throw .badEncoding("a subject with two common names") }
        commonName = commonNames.first ?? ""
        organizations = try unsafe Self.values(of: NID_organizationName, in: subject)
        organizationalUnits = try unsafe Self.values(of: NID_organizationalUnitName, in: subject)
        (dnsNames, ipAddresses) = try Self.alternativeNames(handle)
        notBefore = try unsafe Self.time(X509_get0_notBefore(handle.pointer))
        notAfter = try unsafe Self.time(X509_get0_notAfter(handle.pointer))
        // Also fills in the extensions that are asked for next.
        isAuthority = unsafe X509_check_ca(handle.pointer) == 1
        let flags = unsafe X509_get_extension_flags(handle.pointer)
        guard flags & UInt32(EXFLAG_INVALID) == 0 else { throw .badEncoding("a certificate with an invalid extension") }
        let bits = flags & UInt32(EXFLAG_XKUSAGE) == 0 ? 0 : unsafe X509_get_extended_key_usage(handle.pointer)
        uses = Set(CertificateUse.allCases.filter { bits & UInt32($0 == .client ? XKU_SSL_CLIENT : XKU_SSL_SERVER) != 0 })
        let serial = try unsafe Handle(ASN1_INTEGER_to_BN(X509_get0_serialNumber(handle.pointer), nil), free: { unsafe BN_free($0) })
        serialNumber = unsafe Hex.encode(BigNumber.bytes(serial.pointer))
        ERR_clear_error()
    }

    package var pem: String {
        do throws(CryptoError) {
            let bio = try MemoryBIO()
            OpenSSLError.require(unsafe PEM_write_bio_X509(bio.handle.pointer, handle.pointer), "PEM_write_bio_X509")
            return bio.text
        } catch {
            preconditionFailure("a certificate is not encoded: \(error)")
        }
    }

    /// `sha256:HEX` of the SubjectPublicKeyInfo: what a CA pin is.
    package var publicKeyPin: String {
        "sha256:" + Hex.encode(Digest.sha256(publicKeyDER))
    }

    package static func == (left: X509Certificate, right: X509Certificate) -> Bool { left.der == right.der }

    package func hash(into hasher: inout Hasher) { hasher.combine(der) }

    private static func encode(_ encoder: (UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?) -> Int32) throws(CryptoError) -> [UInt8] {
        var output: UnsafeMutablePointer<UInt8>?
        let count = unsafe encoder(&output)
        guard count > 0 else { throw .badEncoding(OpenSSLError.take()) }
        defer { unsafe CRYPTO_free(output, #file, #line) }
        return unsafe Array(UnsafeBufferPointer(start: output, count: Int(count)))
    }

    private static func values(of kind: Int32, in name: OpaquePointer) throws(CryptoError) -> [String] {
        var values: [String] = []
        var index: Int32 = -1
        while true {
            index = unsafe X509_NAME_get_index_by_NID(name, kind, index)
            guard index >= 0 else { return values }
            values.append(try unsafe text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index))))
        }
    }

    /// Text without NUL or other control characters, which one reader would cut off and another keep.
    private static func text(_ string: UnsafePointer<ASN1_STRING>?) throws(CryptoError) -> String {
        var output: UnsafeMutablePointer<UInt8>?
        let count = unsafe ASN1_STRING_to_UTF8(&output, string)
        guard count >= 0 else { throw .badEncoding("a name that is no text: " + OpenSSLError.take()) }
        defer { unsafe CRYPTO_free(output, #file, #line) }
        let bytes = unsafe Array(UnsafeBufferPointer(start: output, count: Int(count)))
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f }), let text = String(validating: bytes, as: UTF8.self) else {
            throw .badEncoding("a name with control characters")
        }
        return text
    }

    private static func alternativeNames(_ handle: CertificateHandle) throws(CryptoError) -> (dns: [String], ip: [String]) {
        var critical: Int32 = 0
        guard let names = unsafe X509_get_ext_d2i(handle.pointer, NID_subject_alt_name, &critical, nil) else {
            // -1: not there; anything else: there twice, or broken.
            guard critical == -1 else { throw .badEncoding("bad alternative names: " + OpenSSLError.take()) }
            return ([], [])
        }
        let stack = OpaquePointer(names)
        defer { unsafe GENERAL_NAMES_free(stack) }
        var dns: [String] = []
        var ip: [String] = []
        for index in unsafe 0..<OPENSSL_sk_num(stack) {
            guard let name = unsafe OPENSSL_sk_value(stack, index)?.assumingMemoryBound(to: GENERAL_NAME.self) else { continue }
            var kind: Int32 = 0
            let value = unsafe GENERAL_NAME_get0_value(name, &kind)?.assumingMemoryBound(to: ASN1_STRING.self)
            switch kind {
            case GEN_DNS: dns.append(try unsafe text(value))
            case GEN_IPADD:
                let bytes = unsafe Array(UnsafeBufferPointer(start: ASN1_STRING_get0_data(value), count: Int(ASN1_STRING_length(value))))
                guard let address = IPAddress(bytes: bytes) else { throw .badEncoding("an IP address of \(bytes.count) bytes") }
                ip.append(address.description)
            default: continue
            }
        }
        return (dns, ip)
    }

    private static func time(_ time: UnsafePointer<ASN1_TIME>?) throws(CryptoError) -> UnixTime {
        guard let epoch = unsafe ASN1_TIME_set(nil, 0) else { throw .library(OpenSSLError.take()) }
        defer { unsafe ASN1_STRING_free(epoch) }
        var days: Int32 = 0
        var seconds: Int32 = 0
        guard unsafe ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else { throw .badEncoding("a bad time: " + OpenSSLError.take()) }
        return UnixTime(seconds: Int64(days) * 86_400 + Int64(seconds))
    }
}
