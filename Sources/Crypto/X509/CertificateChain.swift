package import Base
internal import COpenSSL

/// Why a peer's certificate is not accepted.
package struct CertificateRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    package let reason: String

    package var description: String { reason }
}

/// Decides whether a peer's chain leads to one of a set of authorities (RFC 5280 §6).
package enum CertificateChain {
    /// Intermediates between a leaf and an authority; ours have none.
    private static let intermediatesMax = 4

    /// The authority that vouches for `leaf`.
    ///
    /// Stricter than RFC 5280: the leaf must name the use, must not be an authority itself, and an authority is trusted only as it stands
    /// in `authorities`, never because it vouches for itself.
    package static func verify(
        _ leaf: X509Certificate, intermediates: [X509Certificate] = [], authorities: [X509Certificate], use: CertificateUse,
        at now: UnixTime
    ) throws(CertificateRefusal) -> X509Certificate {
        guard leaf.uses.contains(use) else { throw CertificateRefusal(reason: "the certificate is not for a \(use)") }
        guard !leaf.isAuthority else { throw CertificateRefusal(reason: "an authority's certificate does not stand for a \(use)") }
        guard intermediates.count <= intermediatesMax else { throw CertificateRefusal(reason: "too many intermediate certificates") }
        let found: X509Certificate?
        do throws(CryptoError) {
            found = try chain(leaf, intermediates, authorities, use, now)
        } catch .badKey(let reason), .badEncoding(let reason), .library(let reason) {
            throw CertificateRefusal(reason: reason)
        } catch {
            throw CertificateRefusal(reason: "the certificate cannot be checked")
        }
        guard let found else { throw CertificateRefusal(reason: "no authority vouches for the certificate") }
        return found
    }

    private static func chain(
        _ leaf: X509Certificate, _ intermediates: [X509Certificate], _ authorities: [X509Certificate], _ use: CertificateUse,
        _ now: UnixTime
    ) throws(CryptoError) -> X509Certificate? {
        let store = try unsafe Handle(X509_STORE_new(), free: { unsafe X509_STORE_free($0) })
        for authority in authorities {
            OpenSSLError.require(unsafe X509_STORE_add_cert(store.pointer, authority.handle.pointer), "X509_STORE_add_cert")
        }
        let untrusted = try unsafe Handle(OPENSSL_sk_new_null(), free: { unsafe OPENSSL_sk_free($0) })
        for certificate in intermediates {
            OpenSSLError.require(
                unsafe OPENSSL_sk_push(untrusted.pointer, UnsafeRawPointer(certificate.handle.pointer)), "OPENSSL_sk_push")
        }
        let context = try unsafe Handle(X509_STORE_CTX_new(), free: { unsafe X509_STORE_CTX_free($0) })
        OpenSSLError.require(
            unsafe X509_STORE_CTX_init(context.pointer, store.pointer, leaf.handle.pointer, untrusted.pointer), "X509_STORE_CTX_init")
        let parameters = unsafe X509_STORE_CTX_get0_param(context.pointer)
        unsafe X509_VERIFY_PARAM_set_time(parameters, Int(now.seconds))
        OpenSSLError.require(
            unsafe X509_VERIFY_PARAM_set_purpose(parameters, use == .client ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER),
            "X509_VERIFY_PARAM_set_purpose")
        guard unsafe X509_verify_cert(context.pointer) == 1 else {
            let code = unsafe X509_STORE_CTX_get_error(context.pointer)
            ERR_clear_error()
            throw .library(unsafe String(cString: X509_verify_cert_error_string(Int(code))))
        }
        guard let chain = unsafe X509_STORE_CTX_get0_chain(context.pointer),
            let last = unsafe OPENSSL_sk_value(chain, OPENSSL_sk_num(chain) - 1)
        else { return nil }
        return authorities.first { unsafe X509_cmp($0.handle.pointer, OpaquePointer(last)) == 0 }
    }
}
