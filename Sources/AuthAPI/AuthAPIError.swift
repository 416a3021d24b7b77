package import Base
internal import ClusterModel

/// A `TeleportError` as the server wrote it: `{"error":{"kind":"NotFound","message":"…"}}`.
package enum AuthAPIError {
    private struct Body: Decodable {
        struct Inner: Decodable {
            var kind: String
            var message: String
        }
        var error: Inner
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
}
