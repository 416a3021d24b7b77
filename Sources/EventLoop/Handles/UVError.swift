internal import Base
internal import CLibuv
internal import Glibc

/// Codes of libuv and of the system as the one error type.
enum UVError {
    /// - Parameter code: negative, as libuv gives it.
    static func error(_ code: CInt, _ what: String) -> TeleportError {
        let text = unsafe String(cString: uv_strerror(code))
        let kind: ErrorKind =
            switch -code {
            case ECONNREFUSED, ECONNRESET, ECONNABORTED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EPIPE, ENETDOWN, EHOSTDOWN:
                .connectionProblem
            case ENOENT: .notFound
            case EEXIST: .alreadyExists
            case EACCES, EPERM: .accessDenied
            default: .systemError
            }
        return TeleportError(kind, "\(what): \(text)", code: -code)
    }

    static func errno(_ what: String, _ code: CInt = Glibc.errno) -> TeleportError {
        error(-code, what)
    }

    static func check(_ code: CInt, _ what: @autoclosure () -> String) throws(TeleportError) {
        if code < 0 { throw error(code, what()) }
    }
}
