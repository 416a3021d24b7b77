internal import Base
internal import CLibcurl
internal import EventLoop

/// The transfers of one client: libcurl's multi interface, driven by the loop.
///
/// Libcurl asks for descriptors to be watched and for one timer; it is told of them from the top of a turn, never from inside its own callbacks.
@safe
final class Transfers {
    private let loop: Loop
    private let library: CurlLibrary
    private let multi: UnsafeMutableRawPointer
    private var curl: UnsafePointer<shim_curl> { unsafe library.functions }
    /// By ``Transfer/identifier``.
    private var running: [UInt: Transfer] = [:]
    private var watchers: [curl_socket_t: DescriptorWatcher] = [:]
    private var timer: LoopTimer?

    /// Requests under way at once; one more is refused.
    private static let transfersMax = 1024
    /// Idle connections that are kept for the next request.
    private static let idleConnectionsMax = 16

    init(on loop: Loop) throws(TeleportError) {
        library = try CurlLibrary()
        let curl = unsafe library.functions
        guard let multi = unsafe curl.pointee.multi_init() else { throw TeleportError(.systemError, "libcurl has no memory") }
        self.loop = loop
        unsafe self.multi = multi
        let data = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe shim_multi_set_socket_callback(curl, multi, watchSocket, data)
        unsafe shim_multi_set_timer_callback(curl, multi, armTimer, data)
        unsafe shim_multi_set_long(curl, multi, CURLMOPT_MAXCONNECTS, Self.idleConnectionsMax)
    }

    deinit {
        unsafe shim_multi_set_socket_callback(curl, multi, nil, nil)
        unsafe shim_multi_set_timer_callback(curl, multi, nil, nil)
        for watcher in watchers.values { watcher.close() }
        timer?.cancel()
        for transfer in running.values {
            _ = unsafe curl.pointee.multi_remove_handle(multi, transfer.easy)
            transfer.finish(.failure(.connectionProblem("the client has gone")))
        }
        running.removeAll()
        _ = unsafe curl.pointee.multi_cleanup(multi)
    }

    func start(
        _ request: HTTPClientRequest, tls: HTTPClientTLS, ticket: TransferTicket,
        then: @escaping (Result<HTTPClientResponse, TeleportError>) -> Void
    ) {
        guard !ticket.isCancelled else { return then(.failure(Self.cancelled)) }
        guard running.count < Self.transfersMax else {
            return then(.failure(.limitExceeded("more than \(Self.transfersMax) requests are under way")))
        }
        do throws(TeleportError) {
            let transfer = try Transfer(request, tls: tls, ticket: ticket, library: library, then: then)
            let code = unsafe curl.pointee.multi_add_handle(multi, transfer.easy)
            guard code == CURLM_OK else { throw error(code) }
            running[transfer.identifier] = transfer
        } catch {
            then(.failure(error))
        }
    }

    func cancel(_ ticket: TransferTicket) {
        guard let transfer = running.values.first(where: { $0.ticket === ticket }) else { return }
        end(transfer, .failure(Self.cancelled))
    }

    private static var cancelled: TeleportError { .connectionProblem("the request was given up", cause: CancellationError()) }

    private func error(_ code: CURLMcode) -> TeleportError {
        TeleportError(.systemError, library.text(code))
    }

    private func end(_ transfer: Transfer, _ result: Result<HTTPClientResponse, TeleportError>) {
        _ = unsafe curl.pointee.multi_remove_handle(multi, transfer.easy)
        running[transfer.identifier] = nil
        transfer.finish(result)
    }

    // MARK: Between libcurl and the loop

    private func act(_ socket: curl_socket_t, _ events: CInt) {
        var runningCount: CInt = 0
        _ = unsafe curl.pointee.multi_socket_action(multi, socket, events, &runningCount)
        var result = CURLE_OK
        while let easy = unsafe shim_next_finished(curl, multi, &result) {
            guard let transfer = running[UInt(bitPattern: easy)] else { continue }
            end(transfer, transfer.result(result))
        }
    }

    fileprivate func watch(_ socket: curl_socket_t, _ what: CInt) {
        guard what != CURL_POLL_REMOVE else {
            watchers.removeValue(forKey: socket)?.close()
            return
        }
        let watcher: DescriptorWatcher
        if let known = watchers[socket] {
            watcher = known
        } else {
            let made = try? DescriptorWatcher(borrowing: socket, on: loop) { [unowned self] events in
                var bits: CInt = 0
                if events.contains(.readable) { bits |= CURL_CSELECT_IN }
                if events.contains(.writable) { bits |= CURL_CSELECT_OUT }
                act(socket, bits)
            }
            // Without a watcher the transfer ends by its timeout.
            guard let made else { return }
            watchers[socket] = made
            watcher = made
        }
        var events: DescriptorWatcher.Events = []
        if what & CURL_POLL_IN != 0 { events.insert(.readable) }
        if what & CURL_POLL_OUT != 0 { events.insert(.writable) }
        watcher.watch(events)
    }

    /// - Parameter milliseconds: -1 for no timer.
    fileprivate func setTimer(_ milliseconds: Int) {
        timer?.cancel()
        timer = nil
        guard milliseconds >= 0 else { return }
        timer = loop.schedule(after: .milliseconds(milliseconds)) { [unowned self] in
            timer = nil
            act(CURL_SOCKET_TIMEOUT, 0)
        }
    }
}

private func watchSocket(
    _ easy: UnsafeMutableRawPointer?, _ socket: curl_socket_t, _ what: CInt, _ data: UnsafeMutableRawPointer?,
    _ socketData: UnsafeMutableRawPointer?
) -> CInt {
    guard let data = unsafe data else { return 0 }
    unsafe Unmanaged<Transfers>.fromOpaque(data).takeUnretainedValue().watch(socket, what)
    return 0
}

private func armTimer(_ multi: UnsafeMutableRawPointer?, _ milliseconds: Int, _ data: UnsafeMutableRawPointer?) -> CInt {
    guard let data = unsafe data else { return 0 }
    unsafe Unmanaged<Transfers>.fromOpaque(data).takeUnretainedValue().setTimer(milliseconds)
    return 0
}
