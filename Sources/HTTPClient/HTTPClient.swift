package import Base
package import EventLoop

/// HTTP/1.1 requests on a loop, with one pool of connections and one identity.
///
/// Follows no redirects and keeps no cookies. May be used from any thread; cancelling the task gives the request up.
package final class HTTPClient: Sendable {
    private let eventLoop: EventLoop
    private let tls: HTTPClientTLS
    private let transfers: LoopBound<Transfers>

    package init(on eventLoop: EventLoop, tls: HTTPClientTLS = HTTPClientTLS(server: .system)) {
        self.eventLoop = eventLoop
        self.tls = tls
        transfers = LoopBound(eventLoop)
    }

    /// - Throws: `ConnectionProblem` where there is no answer (in time), `AccessDenied` where the other side is not whom we believe or does not
    ///   believe us, `LimitExceeded` for an answer that is too long, `BadParameter` for a request that cannot be made.
    package func send(_ request: HTTPClientRequest) async throws(TeleportError) -> HTTPClientResponse {
        let ticket = TransferTicket()
        let tls = tls
        let transfers = transfers
        let eventLoop = eventLoop
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Result<HTTPClientResponse, TeleportError>, Never>) in
                eventLoop.post { eventLoop in
                    do throws(TeleportError) {
                        try Self.open(transfers, on: eventLoop).start(request, tls: tls, ticket: ticket) {
                            continuation.resume(returning: $0)
                        }
                    } catch {
                        continuation.resume(returning: .failure(error))
                    }
                }
            }
        } onCancel: {
            ticket.cancel()
            eventLoop.post { transfers.value(on: $0)?.cancel(ticket) }
        }
        return try result.get()
    }

    private static func open(_ transfers: LoopBound<Transfers>, on eventLoop: isolated EventLoop) throws(TeleportError) -> Transfers {
        if let open = transfers.value(on: eventLoop) { return open }
        let opened = try Transfers(on: eventLoop.inside)
        transfers.set(opened, on: eventLoop)
        return opened
    }
}

/// Names a request to whoever may give it up, on any thread.
final class TransferTicket: Sendable {
    private let cancelled = Lock(false)

    var isCancelled: Bool { cancelled.withLock { $0 } }
    func cancel() { cancelled.withLock { $0 = true } }
}
