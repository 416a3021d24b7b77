internal import Base
internal import CLibwebsockets
internal import EventLoop

/// One connection and the request that is on it.
///
/// Libwebsockets 4.1 misreads the body of a request that was sent ahead of the answer before it: it takes the request's own header for its
/// body, and then reports the end of it without end. Requests without a body may be sent ahead; one with a body ends the connection.
///
///     header ──▶ body ──▶ handling ──▶ answering ──▶ header …
///        │         │                       │
///        └─────────┴── refused: answering ─┴──▶ lingering ──▶ closed
@safe
final class ServerConnection {
    private enum State {
        /// Waiting for a request: the first, or the next one.
        case header
        case body(HTTPRequest, HTTPRouter.Route, length: Int)
        case handling(withoutBody: Bool)
        case answering([UInt8])
        /// The last answer has been written and nothing more is read; the client has a moment to take it.
        case lingering
    }

    let identifier: UInt
    let address: SocketAddress
    /// Libwebsockets has said goodbye: no answer goes out any more.
    var isGone = false
    private unowned let server: HTTPServer
    private var wsi: Wsi?
    private var state = State.header
    private var closesAfterAnswer = false
    /// Whether libwebsockets has reported the end of this request's body.
    private var bodyHasEnded = false
    private var deadline: LoopTimer?
    private var check = PeerCheck()

    /// How long a refused client, which may still be sending, has to read why.
    private static let lingeringTime: Duration = .seconds(1)

    init(_ identifier: UInt, from address: SocketAddress, server: HTTPServer) {
        self.identifier = identifier
        self.address = address
        self.server = server
        expect(within: server.limits.headerTimeout)
    }

    func adopted(as wsi: Wsi) {
        self.wsi = wsi
    }

    /// Whether a request has been read whose answer has not been written.
    var isBusy: Bool {
        switch state {
        case .handling, .answering: !isGone
        case .header, .body, .lingering: false
        }
    }

    func destroyed() {
        isGone = true
        wsi = nil
        deadline?.cancel()
    }

    func kill() {
        guard let wsi, !isGone else { return }
        server.context?.kill(wsi)
    }

    private func expect(within duration: Duration) {
        deadline?.cancel()
        deadline = server.loop.schedule(after: duration) { [weak self] in self?.kill() }
    }

    // MARK: Reading; each call returns whether the connection goes on

    func receivedHeader(_ header: RequestHeader) -> Bool {
        wsi = header.wsi
        guard case .header = state, !server.isClosing else { return false }
        closesAfterAnswer = !header.keepsAlive()
        bodyHasEnded = false
        do throws(RequestHeader.Fault) {
            let (method, path) = try header.methodAndPath()
            let length = try header.bodyBytes(of: method)
            return route(method, path, length, header)
        } catch {
            switch error {
            case .badRequest(let text): return refuse(.error(.badParameter(text)))
            case .method: return refuse(.error(.badParameter("the method is not spoken here"), status: 405))
            case .lengthRequired: return refuse(.error(.badParameter("the request does not say how long its body is"), status: 411))
            }
        }
    }

    private func route(_ method: HTTPRequest.Method, _ path: String, _ length: Int, _ header: RequestHeader) -> Bool {
        let route: HTTPRouter.Route
        let parameters: [String: String]
        switch server.router.match(method, path) {
        case .route(let found, let named): (route, parameters) = (found, named)
        case .otherMethods(let methods):
            var response = HTTPResponse.error(.badParameter("\(method.rawValue) is not allowed here"), status: 405)
            response.headers.append(("Allow", methods.map(\.rawValue).joined(separator: ", ")))
            return refuse(response, unread: length, method: method)
        case .none: return refuse(.error(.notFound("there is nothing at this path")), unread: length, method: method)
        }
        guard length <= route.bodyBytesMax else {
            return refuse(.error(.limitExceeded("the body is longer than \(route.bodyBytesMax) bytes"), status: 413))
        }
        var request = HTTPRequest(
            method, path, query: header.query(), headers: header.headers(), peerAddress: address)
        request.parameters = parameters
        do throws(PeerRefusal) {
            request.peer = try check.peer(header, authorities: server.authorities, now: server.clock.wallTime())
        } catch {
            server.refused(self, error)
            return refuse(.error(.accessDenied("the client certificate is not accepted: \(error.reason)")))
        }
        guard length > 0 else { return handle(request, route) }
        request.body.reserveCapacity(min(length, 64 << 10))
        state = .body(request, route, length: length)
        expect(within: server.limits.bodyTimeout)
        return true
    }

    func receivedBody(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard case .body(var request, let route, let length) = state else { return true }
        // The header once more, not the body.
        if request.body.isEmpty, unsafe bytes.starts(with: (request.method.rawValue + " /").utf8) { return false }
        // Not held twice, so that it grows in place.
        state = .header
        unsafe request.body.append(contentsOf: bytes)
        state = .body(request, route, length: length)
        return request.body.count <= length
    }

    func receivedEndOfBody() -> Bool {
        guard !bodyHasEnded else {
            closesAfterAnswer = true
            _ = mayWrite()
            return false
        }
        bodyHasEnded = true
        guard case .body(let request, let route, let length) = state else { return true }
        guard request.body.count == length else { return false }
        return handle(request, route)
    }

    // MARK: Answering

    private func handle(_ request: HTTPRequest, _ route: HTTPRouter.Route) -> Bool {
        state = .handling(withoutBody: request.method == .head)
        deadline?.cancel()
        // What the client sends ahead waits in the kernel.
        setReading(false)
        // Only when libwebsockets has nothing to add to it.
        server.loop.atEndOfTurn { [weak self] in
            guard let self, !isGone else { return }
            server.run(request, route) { [weak self] response in self?.answer(response) }
        }
        return true
    }

    private func answer(_ response: HTTPResponse) {
        guard case .handling(let withoutBody) = state, !isGone, let wsi else { return }
        if server.isClosing { closesAfterAnswer = true }
        state = .answering(response.bytes(closes: closesAfterAnswer, withoutBody: withoutBody))
        // Libwebsockets asks nobody for output while it may not read.
        setReading(true)
        unsafe lws_callback_on_writable(wsi.pointer)
        expect(within: server.limits.idleTimeout)
    }

    /// Answers without a handler.
    ///
    /// - Parameter unread: a short body that follows is skipped, so that the connection can go on.
    private func refuse(_ response: HTTPResponse, unread: Int? = nil, method: HTTPRequest.Method = .get) -> Bool {
        guard let wsi else { return false }
        if unread != 0 { closesAfterAnswer = true }
        state = .answering(response.bytes(closes: closesAfterAnswer, withoutBody: method == .head))
        unsafe lws_callback_on_writable(wsi.pointer)
        expect(within: server.limits.idleTimeout)
        return true
    }

    func mayWrite() -> Bool {
        guard case .answering(var bytes) = state, let wsi else { return true }
        let written = unsafe bytes.withUnsafeMutableBufferPointer {
            unsafe lws_write(wsi.pointer, $0.baseAddress, $0.count, LWS_WRITE_HTTP)
        }
        guard written >= 0 else { return false }
        if closesAfterAnswer {
            state = .lingering
            // What does not fit into the socket is written by libwebsockets before it closes.
            guard unsafe lws_partial_buffered(wsi.pointer) == 0 else { return false }
            setReading(false)
            expect(within: Self.lingeringTime)
            return true
        }
        state = .header
        expect(within: server.limits.idleTimeout)
        return unsafe lws_http_transaction_completed(wsi.pointer) == 0
    }

    private func setReading(_ isOn: Bool) {
        guard let wsi else { return }
        unsafe lws_rx_flow_control(wsi.pointer, isOn ? 1 : 0)
    }
}
