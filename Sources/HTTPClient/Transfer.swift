internal import Base
internal import CLibcurl

/// One request on its way, and the answer as it comes in.
@safe
final class Transfer {
    private let library: CurlLibrary
    let easy: UnsafeMutableRawPointer
    private var curl: UnsafePointer<shim_curl> { unsafe library.functions }
    var identifier: UInt { unsafe UInt(bitPattern: easy) }
    let ticket: TransferTicket
    private let request: HTTPClientRequest
    private let then: (Result<HTTPClientResponse, TeleportError>) -> Void
    private var fields: UnsafeMutablePointer<curl_slist>?
    private var connectTo: UnsafeMutablePointer<curl_slist>?
    private let errorText: UnsafeMutablePointer<CChar>
    private var headers: [HTTPField] = []
    private var headerBytes = 0
    private var body: [UInt8] = []
    private var hasTooMuch = false

    /// All fields of an answer together: what is longer is no answer of ours.
    private static let headerBytesMax = 64 << 10

    init(
        _ request: HTTPClientRequest, tls: HTTPClientTLS, ticket: TransferTicket, library: CurlLibrary,
        then: @escaping (Result<HTTPClientResponse, TeleportError>) -> Void
    ) throws(TeleportError) {
        guard let easy = unsafe library.functions.pointee.easy_init() else { throw TeleportError(.systemError, "libcurl has no memory") }
        self.library = library
        unsafe self.easy = easy
        self.ticket = ticket
        self.request = request
        self.then = then
        unsafe errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        unsafe errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        try setRequest()
        try setTLS(tls)
    }

    deinit {
        unsafe curl.pointee.easy_cleanup(easy)
        unsafe curl.pointee.slist_free_all(fields)
        unsafe curl.pointee.slist_free_all(connectTo)
        unsafe errorText.deallocate()
    }

    func finish(_ result: Result<HTTPClientResponse, TeleportError>) {
        then(result)
    }

    // MARK: Options

    private func setRequest() throws(TeleportError) {
        let data = unsafe Unmanaged.passUnretained(self).toOpaque()
        try check(unsafe shim_set_pointer(curl, easy, CURLOPT_ERRORBUFFER, errorText))
        try check(unsafe shim_set_data_callback(curl, easy, CURLOPT_WRITEFUNCTION, receiveBody))
        try check(unsafe shim_set_pointer(curl, easy, CURLOPT_WRITEDATA, data))
        try check(unsafe shim_set_data_callback(curl, easy, CURLOPT_HEADERFUNCTION, receiveHeader))
        try check(unsafe shim_set_pointer(curl, easy, CURLOPT_HEADERDATA, data))
        try set(CURLOPT_URL, request.url)
        try set(CURLOPT_PROTOCOLS_STR, "http,https")
        try set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        // No signals: the process has threads.
        try set(CURLOPT_NOSIGNAL, 1)
        // The environment decides nothing about where an identity is shown.
        try set(CURLOPT_PROXY, "")
        try set(CURLOPT_TIMEOUT_MS, Int(clamping: request.timeout.clampedMilliseconds))
        try set(CURLOPT_CONNECTTIMEOUT_MS, Int(clamping: request.connectTimeout.clampedMilliseconds))
        try setMethodAndBody()
        // Curl would wait for 100-continue before a larger body.
        try appendField("Expect:")
        for field in request.headers {
            guard !(field.name + field.value).utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }), !field.name.contains(":") else {
                throw .badParameter("the header field \(field.name) has control characters")
            }
            try appendField(field.value.isEmpty ? "\(field.name);" : "\(field.name): \(field.value)")
        }
        try check(unsafe shim_set_list(curl, easy, CURLOPT_HTTPHEADER, fields))
        if let connectTo = request.connectTo {
            let entry = "::" + connectTo.description
            unsafe self.connectTo = curl.pointee.slist_append(nil, entry)
            try check(unsafe shim_set_list(curl, easy, CURLOPT_CONNECT_TO, self.connectTo))
        }
        if let path = request.unixSocket { try set(CURLOPT_UNIX_SOCKET_PATH, path) }
    }

    private func setMethodAndBody() throws(TeleportError) {
        if request.method == .head {
            try set(CURLOPT_NOBODY, 1)
            return
        }
        if !request.body.isEmpty || [.post, .put, .patch].contains(request.method) {
            try check(unsafe request.body.withUnsafeBytes { unsafe shim_set_body(curl, easy, $0.baseAddress, $0.count) })
        }
        try set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
    }

    private func setTLS(_ tls: HTTPClientTLS) throws(TeleportError) {
        try set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        switch tls.server {
        case .system: break
        case .authorities(let pem):
            // Curl would believe the system's folder of authorities too.
            try check(unsafe shim_set_string(curl, easy, CURLOPT_CAPATH, nil))
            try setBlob(CURLOPT_CAINFO_BLOB, Array(pem.utf8))
        case .none:
            try set(CURLOPT_SSL_VERIFYPEER, 0)
        }
        try set(CURLOPT_SSL_VERIFYHOST, tls.checksHostName && tls.server != .none ? 2 : 0)
        if let pin = tls.pinnedPublicKey {
            try set(CURLOPT_PINNEDPUBLICKEY, "sha256//" + Base64.encode(pin))
        }
        if let identity = tls.identity {
            try set(CURLOPT_SSLCERTTYPE, "PEM")
            try setBlob(CURLOPT_SSLCERT_BLOB, Array(identity.certificates.utf8))
            try set(CURLOPT_SSLKEYTYPE, "PEM")
            let code = identity.privateKey.withBytes { bytes in
                unsafe bytes.withUnsafeBytes { unsafe shim_set_blob(curl, easy, CURLOPT_SSLKEY_BLOB, $0.baseAddress, $0.count) }.rawValue
            }
            try check(CURLcode(code))
        }
    }

    private func set(_ option: CURLoption, _ value: Int) throws(TeleportError) {
        try check(unsafe shim_set_long(curl, easy, option, value))
    }

    private func set(_ option: CURLoption, _ value: String) throws(TeleportError) {
        guard !value.utf8.contains(0) else { throw .badParameter("a zero byte in the request") }
        try check(unsafe shim_set_string(curl, easy, option, value))
    }

    private func setBlob(_ option: CURLoption, _ bytes: [UInt8]) throws(TeleportError) {
        try check(unsafe bytes.withUnsafeBytes { unsafe shim_set_blob(curl, easy, option, $0.baseAddress, $0.count) })
    }

    private func appendField(_ line: String) throws(TeleportError) {
        guard let longer = unsafe curl.pointee.slist_append(fields, line) else {
            throw TeleportError(.systemError, "libcurl has no memory")
        }
        unsafe fields = longer
    }

    private func check(_ code: CURLcode) throws(TeleportError) {
        guard code != CURLE_OK else { return }
        throw .badParameter("the request cannot be made: \(library.text(code))")
    }

    // MARK: The answer

    /// - Returns: how many bytes were taken; fewer than given end the transfer.
    fileprivate func received(body bytes: UnsafeRawBufferPointer) -> Int {
        guard body.count + bytes.count <= request.responseBytesMax else {
            hasTooMuch = true
            return 0
        }
        unsafe body.append(contentsOf: bytes)
        return bytes.count
    }

    fileprivate func received(header bytes: UnsafeRawBufferPointer) -> Int {
        headerBytes += bytes.count
        guard headerBytes <= Self.headerBytesMax else {
            hasTooMuch = true
            return 0
        }
        let line = unsafe String(decoding: bytes, as: UTF8.self)
        if line.hasPrefix("HTTP/") {
            // Another answer begins, after an interim one.
            headers = []
        } else if let colon = line.firstIndex(of: ":") {
            headers.append(HTTPField(String(line[..<colon]), Self.trimmed(line[line.index(after: colon)...])))
        }
        return bytes.count
    }

    private static func trimmed(_ text: Substring) -> String {
        var bytes = text.utf8[...]
        while let first = bytes.first, first <= 0x20 { bytes.removeFirst() }
        while let last = bytes.last, last <= 0x20 { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What the caller is told when libcurl has ended the transfer with `code`.
    func result(_ code: CURLcode) -> Result<HTTPClientResponse, TeleportError> {
        if code == CURLE_OK {
            var status = 0
            unsafe shim_get_long(curl, easy, CURLINFO_RESPONSE_CODE, &status)
            return .success(HTTPClientResponse(status: status, headers: headers, body: body))
        }
        if hasTooMuch {
            return .failure(.limitExceeded("the answer of \(request.url) is longer than \(request.responseBytesMax) bytes"))
        }
        let detail = unsafe errorText.pointee == 0 ? library.text(code) : String(cString: errorText)
        let message = "\(request.method.rawValue) \(request.url): \(detail)"
        switch code {
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_INVALIDCERTSTATUS:
            return .failure(.accessDenied(message))
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE, CURLE_BAD_FUNCTION_ARGUMENT:
            return .failure(.badParameter(message))
        default:
            return .failure(.connectionProblem(message))
        }
    }
}

private func receiveBody(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ data: UnsafeMutableRawPointer?) -> Int {
    guard let data = unsafe data else { return 0 }
    let transfer = unsafe Unmanaged<Transfer>.fromOpaque(data).takeUnretainedValue()
    return unsafe transfer.received(body: UnsafeRawBufferPointer(start: bytes, count: size * count))
}

private func receiveHeader(_ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ data: UnsafeMutableRawPointer?) -> Int {
    guard let data = unsafe data else { return 0 }
    let transfer = unsafe Unmanaged<Transfer>.fromOpaque(data).takeUnretainedValue()
    return unsafe transfer.received(header: UnsafeRawBufferPointer(start: bytes, count: size * count))
}
