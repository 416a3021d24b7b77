package import Base

/// What to ask, of whom, and how long to wait for it.
package struct HTTPClientRequest: Sendable {
    package enum Method: String, Sendable {
        case get = "GET"
        case head = "HEAD"
        case post = "POST"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"
    }

    package var method: Method
    /// `https://` or `http://`; nothing else is spoken.
    package var url: String
    package var headers: [HTTPField]
    package var body: [UInt8]
    /// From the call to the last byte of the answer; a long poll asks for as long as the server holds it and some.
    package var timeout: Duration
    package var connectTimeout: Duration
    /// A longer answer is given up with ``ErrorKind/limitExceeded``.
    package var responseBytesMax: Int
    /// Whom to connect to instead of the host in the URL, which stays the name that the certificate has to bear.
    package var connectTo: HostPort?
    /// The path of a unix socket, in place of any address.
    package var unixSocket: String?

    package init(
        _ method: Method, _ url: String, headers: [HTTPField] = [], body: [UInt8] = [], timeout: Duration = .seconds(30),
        connectTimeout: Duration = .seconds(10), responseBytesMax: Int = 16 << 20, connectTo: HostPort? = nil,
        unixSocket: String? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
        self.connectTimeout = connectTimeout
        self.responseBytesMax = responseBytesMax
        self.connectTo = connectTo
        self.unixSocket = unixSocket
    }
}

/// One header field, as in RFC 9110 §6.3.
package struct HTTPField: Sendable, Hashable {
    package let name: String
    package let value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// The whole answer; a status of 400 and above is an answer too.
package struct HTTPClientResponse: Sendable {
    package let status: Int
    package let headers: [HTTPField]
    package let body: [UInt8]

    package init(status: Int, headers: [HTTPField], body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The first field of that name, in whatever case.
    package func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }
}
