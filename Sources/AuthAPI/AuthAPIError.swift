package import Base
internal import ClusterModel

/// A `TeleportError` on the wire: `{"error":{"kind":"NotFound","message":"…"}}` with the status that fits. Causes stay at home.
package enum AuthAPIError {
    private struct Body: Codable {
        struct Inner: Codable {
            var kind: String
            var message: String
        }
        var error: Inner
    }

    package static func encode(_ error: TeleportError) -> [UInt8] {
        let body = Body(error: .init(kind: error.kind.rawValue, message: error.message))
        // A struct of two strings always encodes.
        return (try? JSONText.encodeBytes(body)) ?? []
    }

    /// The error that an answer carries; where it carries none of ours, what its status says.
    package static func decode(status: Int, body: [UInt8]) -> TeleportError {
        if let found = try? JSONText.decode(Body.self, from: body), let kind = ErrorKind(rawValue: found.error.kind) {
            return TeleportError(kind, found.error.message)
        }
        let kind: ErrorKind =
            switch status {
            case 400, 422: .badParameter
            case 401, 403: .accessDenied
            case 404: .notFound
            case 409: .alreadyExists
            case 413, 429: .limitExceeded
            default: .connectionProblem
            }
        return TeleportError(kind, "the auth server answered with status \(status)")
    }

    package static func status(of kind: ErrorKind) -> Int {
        switch kind {
        case .accessDenied: 403
        case .alreadyAcquired, .alreadyExists, .compareFailed: 409
        case .badParameter, .missingParameter: 400
        case .connectionProblem: 503
        case .limitExceeded: 429
        case .notFound: 404
        case .readonly: 405
        case .systemError: 500
        }
    }
}
