/// What can go wrong, in words that are the same in code, on the command line and over the API.
package enum ErrorKind: String, Sendable, CaseIterable {
    case accessDenied = "AccessDenied"
    case alreadyAcquired = "AlreadyAcquired"
    case alreadyExists = "AlreadyExists"
    case badParameter = "BadParameter"
    case compareFailed = "CompareFailed"
    case connectionProblem = "ConnectionProblem"
    case limitExceeded = "LimitExceeded"
    case missingParameter = "MissingParameter"
    case notFound = "NotFound"
    case readonly = "Readonly"
    case systemError = "SystemError"
}

/// The one error type that crosses target borders.
///
/// `message` is for the person who caused it; what only the log may know goes into `cause`.
package struct TeleportError: Error, Sendable, CustomStringConvertible {
    package let kind: ErrorKind
    package let message: String
    /// The `errno` of a ``ErrorKind/systemError``, else 0.
    package let code: Int32
    package let cause: (any Error)?

    package init(_ kind: ErrorKind, _ message: String, code: Int32 = 0, cause: (any Error)? = nil) {
        self.kind = kind
        self.message = message
        self.code = code
        self.cause = cause
    }

    package var description: String { message }

    /// The chain of causes, outermost first, one text each: what `--debug` prints.
    package var chain: [String] {
        var texts = ["\(kind.rawValue): \(message)"]
        var next = cause
        while let error = next {
            texts.append("\(error)")
            next = (error as? TeleportError)?.cause
        }
        return texts
    }

    package static func accessDenied(_ message: String, cause: (any Error)? = nil) -> TeleportError {
        TeleportError(.accessDenied, message, cause: cause)
    }
    package static func alreadyExists(_ message: String, cause: (any Error)? = nil) -> TeleportError {
        TeleportError(.alreadyExists, message, cause: cause)
    }
    package static func badParameter(_ message: String, cause: (any Error)? = nil) -> TeleportError {
        TeleportError(.badParameter, message, cause: cause)
    }
    package static func connectionProblem(_ message: String, cause: (any Error)? = nil) -> TeleportError {
        TeleportError(.connectionProblem, message, cause: cause)
    }
    package static func limitExceeded(_ message: String, cause: (any Error)? = nil) -> TeleportError {
        TeleportError(.limitExceeded, message, cause: cause)
    }
    package static func notFound(_ message: String, cause: (any Error)? = nil) -> TeleportError {
        TeleportError(.notFound, message, cause: cause)
    }
}
