internal import Base
internal import CLibssh2

/// Codes of libssh2 as the one error type; the code itself is in ``TeleportError/code``.
enum Libssh2Error {
    /// - Parameters:
    ///   - code: negative, as libssh2 gives it.
    ///   - what: what was being done.
    ///   - detail: libssh2's own words.
    static func error(_ code: Int32, _ what: String, detail: String) -> TeleportError {
        let kind: ErrorKind =
            switch code {
            case LIBSSH2_ERROR_AUTHENTICATION_FAILED, LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED, LIBSSH2_ERROR_KEYFILE_AUTH_FAILED,
                LIBSSH2_ERROR_PASSWORD_EXPIRED, LIBSSH2_ERROR_CHANNEL_FAILURE, LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED,
                LIBSSH2_ERROR_REQUEST_DENIED:
                .accessDenied
            case LIBSSH2_ERROR_FILE, LIBSSH2_ERROR_INVAL, LIBSSH2_ERROR_METHOD_NOT_SUPPORTED, LIBSSH2_ERROR_BAD_USE: .badParameter
            case LIBSSH2_ERROR_ALLOC: .systemError
            // What is left is a peer that ended the connection, or that speaks wrongly.
            default: .connectionProblem
            }
        return TeleportError(kind, detail.isEmpty ? "\(what): libssh2 error \(code)" : "\(what): \(detail)", code: code)
    }
}
