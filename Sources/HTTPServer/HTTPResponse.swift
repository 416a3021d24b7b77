package import Base

/// What a handler answers; the fields for length, connection and security are the server's.
package struct HTTPResponse: Sendable {
    package var status: Int
    package var contentType: String?
    package var headers: [(name: String, value: String)] = []
    package var body: [UInt8]

    package init(status: Int = 200, contentType: String? = nil, body: [UInt8] = []) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    /// - Parameter bytes: coded JSON.
    package static func json(_ bytes: [UInt8], status: Int = 200) -> HTTPResponse {
        HTTPResponse(status: status, contentType: "application/json", body: bytes)
    }

    package static func text(_ text: String, status: Int = 200) -> HTTPResponse {
        HTTPResponse(status: status, contentType: "text/plain; charset=utf-8", body: Array(text.utf8))
    }

    package static func html(_ text: String, status: Int = 200) -> HTTPResponse {
        HTTPResponse(status: status, contentType: "text/html; charset=utf-8", body: Array(text.utf8))
    }

    package static var noContent: HTTPResponse { HTTPResponse(status: 204) }

    /// `{"error":{"kind":…,"message":…}}`; the causes stay here.
    ///
    /// - Parameter status: where the kind's own does not fit.
    package static func error(_ error: TeleportError, status: Int? = nil) -> HTTPResponse {
        let text = #"{"error":{"kind":"# + jsonText(error.kind.rawValue) + #","message":"# + jsonText(error.message) + "}}"
        return json(Array(text.utf8), status: status ?? error.kind.httpStatus)
    }

    /// RFC 8259 §7.
    private static func jsonText(_ text: String) -> String {
        var coded = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": coded += "\\\""
            case "\\": coded += "\\\\"
            case "\n": coded += "\\n"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                coded += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: coded.unicodeScalars.append(scalar)
            }
        }
        return coded + "\""
    }
}

extension ErrorKind {
    /// The status of an answer that bears this kind (RFC 9110 §15, RFC 6585 §4).
    package var httpStatus: Int {
        switch self {
        case .badParameter, .missingParameter: 400
        case .accessDenied, .readonly: 403
        case .notFound: 404
        case .alreadyExists, .alreadyAcquired: 409
        case .compareFailed: 412
        case .limitExceeded: 429
        case .systemError: 500
        case .connectionProblem: 503
        }
    }
}
