package import Base
internal import CLibssh2

/// How far a call has come.
package enum Libssh2Step<Value> {
    case done(Value)
    /// The call is to be made again, with the same arguments and before any other of its kind, when bytes of the server have been received
    /// or bytes for it taken away.
    case waiting
}

/// What is negotiated, in the two directions alike.
package enum Libssh2Method: CaseIterable, Sendable {
    case keyExchange, hostKey, cipher, mac

    var numbers: [Int32] {
        switch self {
        case .keyExchange: [LIBSSH2_METHOD_KEX]
        case .hostKey: [LIBSSH2_METHOD_HOSTKEY]
        case .cipher: [LIBSSH2_METHOD_CRYPT_CS, LIBSSH2_METHOD_CRYPT_SC]
        case .mac: [LIBSSH2_METHOD_MAC_CS, LIBSSH2_METHOD_MAC_SC]
        }
    }
}

/// One SSH connection as a client, by libssh2, over bytes that the caller carries.
///
///     handshake ──host key judged──▶ authenticate ──▶ openSession, openDirectTCPIP
///
/// Bytes of the server go in with ``receive(_:)``, bytes for it are in ``output``. After either, what was ``Libssh2Step/waiting`` is called again.
@safe
package final class Libssh2Session {
    let handle: OpaquePointer
    /// Bytes of the server that libssh2 has not read yet.
    fileprivate var input = ByteQueue(countMax: bytesMax)
    /// Bytes that are to go to the server.
    fileprivate var unsent = ByteQueue(countMax: bytesMax)
    /// Whether the server sends no more.
    fileprivate var hasEnded = false
    /// Whether nothing is to go out any more: libssh2 would wait for an answer to its last words.
    fileprivate var isOver = false

    /// In each direction: one window, so that a channel can run at full speed.
    package static let bytesMax = 2 << 20

    /// `libssh2_init` is not safe on two threads: whoever comes first calls it, once.
    private static let initialized = libssh2_init(0)

    package init() throws(TeleportError) {
        guard Self.initialized == 0, let handle = unsafe libssh2_session_init_ex(nil, nil, nil, nil) else {
            throw TeleportError(.systemError, "libssh2 cannot be initialized")
        }
        unsafe self.handle = handle
        unsafe libssh2_session_set_blocking(handle, 0)
        unsafe libssh2_session_abstract(handle).pointee = Unmanaged.passUnretained(self).toOpaque()
        unsafe shim_set_callbacks(handle, receiveCallback, sendCallback)
    }

    deinit {
        isOver = true
        // It ends channels in steps, and finds in each that the connection is over.
        while unsafe libssh2_session_free(handle) == LIBSSH2_ERROR_EAGAIN {}
    }

    // MARK: Bytes

    /// How many bytes ``receive(_:)`` would take now.
    package var inputRoom: Int { input.room }

    /// Takes bytes of the server.
    ///
    /// - Throws: `LimitExceeded` where there are more than ``inputRoom``; none is taken then.
    package func receive(_ bytes: Span<UInt8>) throws(TeleportError) {
        guard input.append(bytes) else { throw .limitExceeded("more bytes of the server than were asked for") }
    }

    /// The server sends no more.
    package func receiveEnd() { hasEnded = true }

    /// Takes away what is to be sent to the server.
    package func takeOutput() -> [UInt8] {
        let bytes = Array(copying: unsent.bytes)
        unsent.removeAll()
        return bytes
    }

    // MARK: Key exchange

    /// Offers these names alone, best first; before ``handshake()``.
    package func offer(_ names: [String], as method: Libssh2Method) throws(TeleportError) {
        for number in method.numbers {
            try check(unsafe libssh2_session_method_pref(handle, number, names.joined(separator: ",")), "offering \(method)")
        }
    }

    /// What both sides agreed on; empty before the handshake.
    package func agreed(_ method: Libssh2Method) -> [String] {
        method.numbers.compactMap { number in unsafe libssh2_session_methods(handle, number).map { unsafe String(cString: $0) } }
    }

    /// The first key exchange.
    ///
    /// - Returns: the server's host key as a blob (RFC 4253 §6.6), proven but not judged.
    package func handshake() throws(TeleportError) -> Libssh2Step<[UInt8]> {
        try step(unsafe libssh2_session_handshake(handle, shim_no_socket), "the key exchange") {
            var count = 0
            var type: Int32 = 0
            guard let key = unsafe libssh2_session_hostkey(handle, &count, &type) else { return [] }
            return unsafe UnsafeRawBufferPointer(start: key, count: count).map { $0 }
        }
    }

    // MARK: Authentication

    /// - Parameters:
    ///   - publicKey: the text of a `.pub` or `-cert.pub` file.
    ///   - privateKey: the text of an unencrypted private key file.
    package func authenticate(user: String, publicKey: String, privateKey: String) throws(TeleportError) -> Libssh2Step<Void> {
        let code = unsafe libssh2_userauth_publickey_frommemory(
            handle, user, user.utf8.count, publicKey, publicKey.utf8.count, privateKey, privateKey.utf8.count, nil)
        return try step(code, "logging in as \(user)") {}
    }

    package func authenticate(user: String, password: String) throws(TeleportError) -> Libssh2Step<Void> {
        let code = unsafe libssh2_userauth_password_ex(
            handle, user, UInt32(user.utf8.count), password, UInt32(password.utf8.count), nil)
        return try step(code, "logging in as \(user)") {}
    }

    // MARK: Channels

    package func openSession() throws(TeleportError) -> Libssh2Step<Libssh2Channel> {
        let type = "session"
        let channel = unsafe libssh2_channel_open_ex(
            handle, type, UInt32(type.utf8.count), shim_window_default, shim_packet_default, nil, 0)
        return try unsafe opened(channel, "opening a session")
    }

    /// Has the server connect to `host`.
    package func openDirectTCPIP(host: String, port: UInt16) throws(TeleportError) -> Libssh2Step<Libssh2Channel> {
        try unsafe opened(libssh2_channel_direct_tcpip_ex(handle, host, Int32(port), "127.0.0.1", 0), "connecting to \(host)")
    }

    private func opened(_ channel: OpaquePointer?, _ what: String) throws(TeleportError) -> Libssh2Step<Libssh2Channel> {
        if let channel = unsafe channel { return .done(unsafe Libssh2Channel(channel, of: self)) }
        let code = unsafe libssh2_session_last_errno(handle)
        // No channel and no error would be a fault of the library's.
        return try step(code == 0 ? LIBSSH2_ERROR_CHANNEL_FAILURE : code, what) { preconditionFailure("an error that is none") }
    }

    /// Says goodbye (RFC 4253 §11.1).
    package func disconnect() throws(TeleportError) -> Libssh2Step<Void> {
        try step(unsafe libssh2_session_disconnect_ex(handle, SSH_DISCONNECT_BY_APPLICATION, "done", ""), "disconnecting") {}
    }

    // MARK: Codes

    func step<Value>(_ code: Int32, _ what: String, _ value: () -> Value) throws(TeleportError) -> Libssh2Step<Value> {
        if code == LIBSSH2_ERROR_EAGAIN { return .waiting }
        try check(code, what)
        return .done(value())
    }

    func check(_ code: Int32, _ what: String) throws(TeleportError) {
        guard code < 0 else { return }
        var message: UnsafeMutablePointer<CChar>?
        var count: Int32 = 0
        unsafe libssh2_session_last_error(handle, &message, &count, 0)
        throw Libssh2Error.error(code, what, detail: unsafe message.map { unsafe String(cString: $0) } ?? "")
    }
}

private func session(_ object: UnsafeMutablePointer<UnsafeMutableRawPointer?>?) -> Libssh2Session? {
    guard let pointer = unsafe object?.pointee else { return nil }
    return unsafe Unmanaged<Libssh2Session>.fromOpaque(pointer).takeUnretainedValue()
}

/// Gives libssh2 what has been received.
private func receiveCallback(
    _ socket: libssh2_socket_t, _ buffer: UnsafeMutableRawPointer?, _ count: Int, _ flags: Int32,
    _ object: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> Int {
    guard let session = unsafe session(object), let buffer = unsafe buffer, !session.isOver else { return 0 }
    guard !session.input.isEmpty else { return session.hasEnded ? 0 : shim_again }
    let taken = min(count, session.input.count)
    unsafe session.input.bytes.withUnsafeBytes { bytes in
        guard let source = bytes.baseAddress else { return }
        unsafe buffer.copyMemory(from: source, byteCount: taken)
    }
    session.input.removeFirst(taken)
    return taken
}

/// Keeps what libssh2 wants to send.
private func sendCallback(
    _ socket: libssh2_socket_t, _ buffer: UnsafeRawPointer?, _ count: Int, _ flags: Int32,
    _ object: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> Int {
    guard let session = unsafe session(object), let buffer = unsafe buffer, !session.isOver else { return shim_broken }
    let taken = min(count, session.unsent.room)
    guard taken > 0 else { return shim_again }
    let isKept = unsafe session.unsent.append(Span<UInt8>(_unsafeBytes: UnsafeRawBufferPointer(start: buffer, count: taken)))
    precondition(isKept, "there was room")
    return taken
}
