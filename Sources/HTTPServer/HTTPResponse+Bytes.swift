extension HTTPResponse {
    /// The whole answer as it goes over the wire (RFC 9112 §4).
    func bytes(closes: Bool, withoutBody: Bool) -> [UInt8] {
        var head = "HTTP/1.1 \(status) \(Self.reason(status))\r\n"
        func add(_ name: String, _ value: String) {
            // A value that came from outside begins no field of its own.
            let clean = value.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7f }
            head += "\(name): \(String(String.UnicodeScalarView(clean)))\r\n"
        }
        if status != 204 { add("Content-Length", "\(body.count)") }
        if let contentType { add("Content-Type", contentType) }
        for (name, value) in headers { add(name, value) }
        for (name, value) in Self.protection where !headers.contains(where: { $0.name.lowercased() == name.lowercased() }) {
            add(name, value)
        }
        if closes { add("Connection", "close") }
        return Array((head + "\r\n").utf8) + (withoutBody ? [] : body)
    }

    /// Nothing here is a page that others may frame, store or feed with scripts; a response that is says so itself.
    private static let protection = [
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
    ]

    private static func reason(_ status: Int) -> String {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 204: "No Content"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 409: "Conflict"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 429: "Too Many Requests"
        case 500: "Internal Server Error"
        case 503: "Service Unavailable"
        default: "Status"
        }
    }
}
