internal import Base
internal import EventLoop

/// Waits for the one call that a callback gets. What it brings need not be Sendable: all of it happens on one loop.
func waiting<T>(_ body: (@escaping (Result<T, TeleportError>) -> Void) -> Void) async throws(TeleportError) -> T {
    var result: Result<T, TeleportError>?
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
        body {
            result = $0
            continuation.resume()
        }
    }
    guard let result else { preconditionFailure("the callback came without a result") }
    return try result.get()
}

extension Loop {
    /// Runs blocking work on the pool.
    func working<T: Sendable>(_ body: @escaping @Sendable () throws(TeleportError) -> T) async throws(TeleportError) -> T {
        try await waiting { then in
            work(body) { result in
                then(result.mapError { $0 as? TeleportError ?? TeleportError(.systemError, "the work was given up", cause: $0) })
            }
        }
    }
}
