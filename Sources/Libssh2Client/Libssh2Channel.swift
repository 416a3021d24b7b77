package import Base
internal import CLibssh2

/// One channel of a ``Libssh2Session``, which it keeps alive.
///
/// Channels end with their session: libssh2 frees them there.
@safe
package final class Libssh2Channel {
    package enum Output: Int32, Sendable {
        case standard = 0
        /// `SSH_EXTENDED_DATA_STDERR` (RFC 4254 §5.2).
        case error = 1
    }

    private let handle: OpaquePointer
    private let session: Libssh2Session

    init(_ handle: OpaquePointer, of session: Libssh2Session) {
        unsafe self.handle = handle
        self.session = session
    }

    // MARK: Requests

    /// Before the program.
    package func requestTerminal(_ name: String, columns: UInt16, rows: UInt16) throws(TeleportError) -> Libssh2Step<Void> {
        let code = unsafe libssh2_channel_request_pty_ex(
            handle, name, UInt32(name.utf8.count), nil, 0, Int32(columns), Int32(rows), 0, 0)
        return try session.step(code, "asking for a terminal") {}
    }

    package func startShell() throws(TeleportError) -> Libssh2Step<Void> { try start("shell", nil) }

    package func start(command: String) throws(TeleportError) -> Libssh2Step<Void> { try start("exec", command) }

    private func start(_ request: String, _ message: String?) throws(TeleportError) -> Libssh2Step<Void> {
        let code = unsafe libssh2_channel_process_startup(
            handle, request, UInt32(request.utf8.count), message, UInt32(message?.utf8.count ?? 0))
        return try session.step(code, "asking for \(request)") {}
    }

    // MARK: Bytes

    /// Whether the server has sent its last byte on this channel, and it has been read.
    package var hasEnded: Bool { unsafe libssh2_channel_eof(handle) == 1 }

    /// Reads what there is.
    ///
    /// - Returns: no bytes at the end of this output.
    package func read(_ output: Output = .standard, max: Int = 32 << 10) throws(TeleportError) -> Libssh2Step<[UInt8]> {
        var code = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: max) { buffer, count in
            unsafe buffer.withMemoryRebound(to: CChar.self) { memory in
                code = unsafe libssh2_channel_read_ex(handle, output.rawValue, memory.baseAddress, max)
            }
            count = Swift.max(code, 0)
        }
        // It answers 0 as well when there is only something of the other output.
        if code == 0, !hasEnded { return .waiting }
        return try session.step(Int32(clamping: code), "reading") { bytes }
    }

    /// Writes as much of `bytes` as goes at once; what is ``Libssh2Step/waiting`` is written again, with the same bytes.
    ///
    /// - Returns: how many went.
    package func write(_ bytes: Span<UInt8>) throws(TeleportError) -> Libssh2Step<Int> {
        let code = unsafe bytes.withUnsafeBytes { buffer in
            unsafe buffer.withMemoryRebound(to: CChar.self) { memory in
                unsafe libssh2_channel_write_ex(handle, 0, memory.baseAddress, memory.count)
            }
        }
        return try session.step(Int32(clamping: code), "writing") { code }
    }

    /// Says that no more is written.
    package func sendEnd() throws(TeleportError) -> Libssh2Step<Void> {
        try session.step(unsafe libssh2_channel_send_eof(handle), "ending the input") {}
    }

    // MARK: The end

    /// Waits until the server has closed its side, and closes this one.
    package func close() throws(TeleportError) -> Libssh2Step<Void> {
        try session.step(unsafe libssh2_channel_close(handle), "closing the channel") {}
    }

    /// The program's exit status once it has ended; 0 also where a signal ended it.
    package var exitStatus: Int32 { unsafe libssh2_channel_get_exit_status(handle) }
}
