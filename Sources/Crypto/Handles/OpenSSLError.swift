internal import COpenSSL

/// What cryptography can refuse.
package enum CryptoError: Error, Equatable, Sendable {
    /// A key, point or scalar that is none of its kind.
    case badKey(String)
    /// A tag or signature that does not fit: what was sealed was changed.
    case authenticationFailed
    /// A shared secret that would be known to everybody (RFC 7748 §6.1).
    case weakSharedSecret
    /// Text or DER that does not decode.
    case badEncoding(String)
    /// OpenSSL refused for a reason of its own.
    case library(String)
}

/// The error queue of OpenSSL as one value.
enum OpenSSLError {
    /// The oldest error's text; empties the thread's queue, which TLS code elsewhere would misread as its own.
    static func take() -> String {
        let code = ERR_get_error()
        ERR_clear_error()
        guard code != 0, let reason = unsafe ERR_reason_error_string(code) else { return "no reason given" }
        return unsafe String(cString: reason)
    }

    /// For calls that fail only when memory is out or we misuse the library.
    static func require(_ result: Int32, _ call: StaticString) {
        precondition(result > 0, "\(call): \(take())")
    }
}
