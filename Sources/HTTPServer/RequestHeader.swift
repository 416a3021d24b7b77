internal import Base
internal import CLibwebsockets

/// Reads what libwebsockets has parsed of a request's header; valid inside the callback that brings it.
@safe
struct RequestHeader {
    let wsi: Wsi

    @unsafe init(_ pointer: OpaquePointer) {
        unsafe wsi = Wsi(pointer)
    }

    enum Fault: Error, Equatable {
        case badRequest(String)
        /// A method that this server does not speak.
        case method
        /// RFC 9110 §8.6: a body has to say how long it is.
        case lengthRequired
    }

    /// The fields that services read.
    private static let fields: [(name: String, token: lws_token_indexes)] = [
        ("host", WSI_TOKEN_HOST), ("content-type", WSI_TOKEN_HTTP_CONTENT_TYPE), ("authorization", WSI_TOKEN_HTTP_AUTHORIZATION),
        ("user-agent", WSI_TOKEN_HTTP_USER_AGENT), ("accept", WSI_TOKEN_HTTP_ACCEPT), ("origin", WSI_TOKEN_ORIGIN),
        ("cookie", WSI_TOKEN_HTTP_COOKIE),
    ]
    /// Of a request's arguments.
    private static let argumentsMax = 32

    func methodAndPath() throws(Fault) -> (HTTPRequest.Method, String) {
        // Libwebsockets reads past a line of the PROXY protocol that stands before the request's own.
        guard field(WSI_TOKEN_PROXY) == nil else { throw .badRequest("no proxy's header is taken here") }
        var path: UnsafeMutablePointer<CChar>?
        var count: CInt = 0
        let index = unsafe lws_http_get_uri_and_method(wsi.pointer, &path, &count)
        let method: HTTPRequest.Method
        switch Int(index) {
        case Int(LWSHUMETH_GET): method = .get
        case Int(LWSHUMETH_HEAD): method = .head
        case Int(LWSHUMETH_POST): method = .post
        case Int(LWSHUMETH_PUT): method = .put
        case Int(LWSHUMETH_PATCH): method = .patch
        case Int(LWSHUMETH_DELETE): method = .delete
        default: throw .method
        }
        let bytes = unsafe UnsafeRawBufferPointer(start: path, count: Int(count))
        guard unsafe bytes.first == UInt8(ascii: "/"), unsafe !bytes.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
            throw .badRequest("the path is not one")
        }
        return (method, unsafe String(decoding: bytes, as: UTF8.self))
    }

    /// How many bytes of body follow.
    ///
    /// Whatever two readers could take for different lengths is refused (RFC 9112 §6.3).
    func bodyBytes(of method: HTTPRequest.Method) throws(Fault) -> Int {
        guard field(WSI_TOKEN_HTTP_TRANSFER_ENCODING) == nil else { throw .badRequest("transfer codings are not spoken here") }
        guard let text = field(WSI_TOKEN_HTTP_CONTENT_LENGTH) else {
            switch method {
            case .post, .put, .patch: throw .lengthRequired
            case .get, .head, .delete: return 0
            }
        }
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let count = Int(text) else {
            throw .badRequest("the content length is not one number")
        }
        return count
    }

    func query() -> [String: String] {
        var query: [String: String] = [:]
        for index in 0..<Self.argumentsMax {
            guard let argument = fragment(index) else { break }
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            query[String(parts[0])] = parts.count == 2 ? String(parts[1]) : ""
        }
        return query
    }

    func headers() -> [String: String] {
        var headers: [String: String] = [:]
        for (name, token) in Self.fields {
            if let value = field(token) { headers[name] = value }
        }
        return headers
    }

    /// Whether the client can take another answer on this connection: as libwebsockets decides it.
    func keepsAlive() -> Bool {
        let isNewer = field(WSI_TOKEN_HTTP)?.hasPrefix("HTTP/1.1") ?? false
        switch field(WSI_TOKEN_CONNECTION)?.lowercased() {
        case "keep-alive": return true
        case "close": return false
        default: return isNewer
        }
    }

    /// The client's certificates as DER, the leaf first; empty where it shows none.
    func peerCertificates(max: Int) -> [[UInt8]] {
        guard let session = unsafe lws_get_ssl(wsi.pointer) else { return [] }
        var certificates: [[UInt8]] = []
        for index in 0..<max {
            var der: UnsafeMutablePointer<UInt8>?
            let count = unsafe shim_peer_certificate(UnsafeMutableRawPointer(session), CInt(index), &der)
            guard count > 0 else { break }
            certificates.append(unsafe Array(UnsafeBufferPointer(start: der, count: Int(count))))
            unsafe shim_free(der)
        }
        return certificates
    }

    private func field(_ token: lws_token_indexes) -> String? {
        let count = unsafe lws_hdr_total_length(wsi.pointer, token)
        guard count > 0 else { return nil }
        return unsafe text(count) { buffer, size in unsafe lws_hdr_copy(wsi.pointer, buffer, size, token) }
    }

    private func fragment(_ index: Int) -> String? {
        let count = unsafe lws_hdr_fragment_length(wsi.pointer, WSI_TOKEN_HTTP_URI_ARGS, CInt(index))
        guard count > 0 else { return nil }
        return unsafe text(count) { buffer, size in
            unsafe lws_hdr_copy_fragment(wsi.pointer, buffer, size, WSI_TOKEN_HTTP_URI_ARGS, CInt(index))
        }
    }

    /// - Parameter copy: fills a buffer that has room for a zero and returns how many bytes it has put there.
    private func text(_ count: CInt, _ copy: (UnsafeMutablePointer<CChar>, CInt) -> CInt) -> String? {
        let size = Int(count) + 2
        return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) { buffer in
            guard let start = buffer.baseAddress else { return nil }
            let copied = unsafe copy(start, CInt(size))
            guard copied >= 0, copied <= count else { return nil }
            return unsafe String(decoding: UnsafeRawBufferPointer(start: start, count: Int(copied)), as: UTF8.self)
        }
    }
}
