internal import Base
internal import CLibwebsockets
internal import EventLoop

/// The libwebsockets context of one server: its libuv handles on our loop, its TLS, and its callbacks.
///
/// Libwebsockets 4.1 closes on a foreign loop in steps: the first `lws_context_destroy` begins to close the connections, the loop's next
/// two turns let go of them and then of the context's own handles, and only then a second call may free what those handles stand in.
@safe
final class ServerContext {
    private let loop: Loop
    private let protocols: UnsafeMutablePointer<lws_protocols>
    private var context: OpaquePointer?
    private var tlsContext: UnsafeMutableRawPointer?
    private let identity: HTTPServerIdentity?
    private let clientCertificates: HTTPClientCertificates
    /// Kept until the context is gone.
    fileprivate private(set) var server: HTTPServer?

    /// Larger pieces of an answer than libwebsockets' 4 KiB: four TLS records.
    private static let writeBytes = 64 << 10
    /// Libwebsockets watches over its own steps in whole seconds, as a second line behind our deadlines.
    private static let timeoutSeconds: UInt32 = 60
    /// Libwebsockets 4.1 makes and ends contexts with global state: one at a time in a process. The value is whether its own lines are off, since
    /// what matters is logged by the server.
    private static let library = Lock(false)

    init(_ configuration: HTTPServerConfiguration, server: HTTPServer, on loop: Loop) throws(TeleportError) {
        if let identity = configuration.identity { try Self.check(identity) }
        self.loop = loop
        self.server = server
        identity = configuration.identity
        clientCertificates = configuration.clientCertificates
        unsafe protocols = .allocate(capacity: 2)
        unsafe protocols.initialize(repeating: lws_protocols(), count: 2)
        unsafe protocols[0].name = Self.protocolName.utf8Start.withMemoryRebound(to: CChar.self, capacity: 1) { unsafe $0 }
        unsafe protocols[0].callback = serve
        unsafe protocols[0].tx_packet_size = Self.writeBytes
        try open(configuration.limits)
    }

    deinit {
        unsafe protocols.deallocate()
    }

    private static let protocolName: StaticString = "http"

    private func open(_ limits: HTTPServerLimits) throws(TeleportError) {
        var info = unsafe lws_context_creation_info()
        unsafe info.port = CONTEXT_PORT_NO_LISTEN_SERVER
        unsafe info.options = shim_context_options | (identity == nil ? 0 : shim_tls_options)
        unsafe info.protocols = UnsafePointer(protocols)
        unsafe info.user = Unmanaged.passRetained(self).toOpaque()
        unsafe info.max_http_header_data2 = UInt32(limits.headerBytesMax)
        // The event pipe takes one descriptor, and a connection that is going may still hold one.
        unsafe info.fd_limit_per_thread = UInt32(2 * limits.connectionsMax + 8)
        unsafe info.timeout_secs = Self.timeoutSeconds
        unsafe info.keepalive_timeout = CInt(Self.timeoutSeconds)
        let alpn: StaticString = "http/1.1"
        var foreignLoop: UnsafeMutableRawPointer? = unsafe loop.foreignLoop
        let made = unsafe withUnsafeMutablePointer(to: &foreignLoop) { loops in
            unsafe info.foreign_loops = loops
            unsafe info.alpn = alpn.utf8Start.withMemoryRebound(to: CChar.self, capacity: 1) { unsafe $0 }
            return Self.library.withLock { isSilent in
                if !isSilent { lws_set_log_level(0, nil) }
                isSilent = true
                return unsafe UInt(bitPattern: lws_create_context(&info))
            }
        }
        guard let made = unsafe OpaquePointer(bitPattern: made) else {
            unsafe Unmanaged.passUnretained(self).release()
            throw TeleportError(.systemError, "libwebsockets cannot be started; is libwebsockets-evlib-uv installed?")
        }
        unsafe context = made
    }

    // MARK: TLS

    /// Libwebsockets has made its `SSL_CTX` and asks for what it should hold.
    fileprivate func prepare(tls pointer: UnsafeMutableRawPointer) -> Bool {
        unsafe tlsContext = pointer
        switch clientCertificates {
        case .ignored: unsafe shim_set_policy(pointer, 0, 0)
        case .optional: unsafe shim_set_policy(pointer, 1, 0)
        case .required: unsafe shim_set_policy(pointer, 1, 1)
        }
        guard let identity else { return false }
        return unsafe Self.use(identity, in: pointer)
    }

    func setIdentity(_ identity: HTTPServerIdentity) throws(TeleportError) {
        guard let tlsContext = unsafe tlsContext, unsafe Self.use(identity, in: tlsContext) else { throw Self.badIdentity }
    }

    private static func check(_ identity: HTTPServerIdentity) throws(TeleportError) {
        guard let trial = unsafe shim_new_tls_context() else { throw TeleportError(.systemError, "OpenSSL has no memory") }
        defer { unsafe shim_free_tls_context(trial) }
        guard unsafe use(identity, in: trial) else { throw badIdentity }
    }

    private static var badIdentity: TeleportError {
        .badParameter("the server's certificate and key cannot be read, or do not belong together")
    }

    private static func use(_ identity: HTTPServerIdentity, in pointer: UnsafeMutableRawPointer) -> Bool {
        let certificates = Array(identity.certificates.utf8)
        return identity.privateKey.withBytes { key in
            unsafe certificates.withUnsafeBytes { certificates in
                unsafe key.withUnsafeBytes { key in
                    unsafe shim_use_identity(pointer, certificates.baseAddress, CInt(certificates.count), key.baseAddress, CInt(key.count))
                }
            }
        } == 1
    }

    // MARK: Connections

    /// Takes over an accepted socket.
    ///
    /// - Parameter identifier: comes back with each of its callbacks; not 0, which is what libwebsockets' own pipe has.
    func adopt(_ descriptor: CInt, identifier: UInt) -> Wsi? {
        guard let context = unsafe context else { return nil }
        let opaque = unsafe UnsafeMutableRawPointer(bitPattern: identifier)
        guard let wsi = unsafe shim_adopt(context, descriptor, opaque, identity == nil ? 0 : 1) else { return nil }
        return unsafe Wsi(wsi)
    }

    /// Ends a connection from outside of its callbacks, without another byte.
    func kill(_ wsi: Wsi) {
        guard let context = unsafe context else { return }
        unsafe lws_set_timeout(wsi.pointer, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC)
        // Its timers are looked at when something happens, so something happens.
        unsafe lws_cancel_service(context)
    }

    // MARK: End

    func close(then: @escaping () -> Void) {
        // Out of libwebsockets' own callbacks first.
        loop.atEndOfTurn { [self] in
            destroy()
            afterTurn { self.afterTurn { self.free(then) } }
        }
    }

    /// Runs `body` when libuv has called back for the handles that were closed before this call: past a timer, which the next turn begins
    /// with, and past the jobs after it.
    private func afterTurn(_ body: @escaping () -> Void) {
        loop.schedule(after: .zero) { [loop] in loop.atEndOfTurn(body) }
    }

    private func destroy() {
        let pointer = unsafe UInt(bitPattern: context)
        Self.library.withLock { _ in unsafe lws_context_destroy(OpaquePointer(bitPattern: pointer)) }
    }

    private func free(_ then: () -> Void) {
        destroy()
        unsafe context = nil
        unsafe tlsContext = nil
        server = nil
        unsafe Unmanaged.passUnretained(self).release()
        then()
    }
}

/// A connection of libwebsockets, valid until its `WSI_DESTROY`.
@safe
struct Wsi {
    let pointer: OpaquePointer

    @unsafe init(_ pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }
}

/// Every callback of libwebsockets: 0 goes on, -1 ends the connection.
private func serve(
    _ wsi: OpaquePointer?, _ reason: lws_callback_reasons, _ user: UnsafeMutableRawPointer?, _ bytes: UnsafeMutableRawPointer?, _ count: Int
) -> CInt {
    guard let wsi = unsafe wsi, let data = unsafe lws_context_user(lws_get_context(wsi)) else { return 0 }
    let context = unsafe Unmanaged<ServerContext>.fromOpaque(data).takeUnretainedValue()
    if reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS {
        guard let user = unsafe user else { return -1 }
        return unsafe context.prepare(tls: user) ? 0 : -1
    }
    let identifier = unsafe UInt(bitPattern: lws_get_opaque_user_data(wsi))
    guard identifier != 0, let connection = context.server?.connection(identifier) else { return 0 }
    let goesOn: Bool
    switch reason {
    case LWS_CALLBACK_HTTP:
        goesOn = connection.receivedHeader(unsafe RequestHeader(wsi))
    case LWS_CALLBACK_HTTP_BODY:
        goesOn = unsafe connection.receivedBody(UnsafeRawBufferPointer(start: bytes, count: count))
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        goesOn = connection.receivedEndOfBody()
    case LWS_CALLBACK_HTTP_WRITEABLE:
        goesOn = connection.mayWrite()
    case LWS_CALLBACK_CLOSED_HTTP:
        connection.isGone = true
        goesOn = true
    case LWS_CALLBACK_WSI_DESTROY:
        context.server?.closed(connection)
        goesOn = true
    // Neither WebSocket nor HTTP/2 nor tunnels are served here.
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE, LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION, LWS_CALLBACK_RAW_ADOPT, LWS_CALLBACK_RAW_RX:
        goesOn = false
    default:
        goesOn = true
    }
    return goesOn ? 0 : -1
}
