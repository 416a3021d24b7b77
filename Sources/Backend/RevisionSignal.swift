internal import Base

/// The newest revision of a store, and those who wait for a newer one.
package final class RevisionSignal: Sendable {
    private struct State {
        var latest: Revision
        var isClosed = false
        var lastWaiter: UInt64 = 0
        var waiters: [UInt64: Waiter] = [:]
    }

    private struct Waiter {
        let past: Revision
        let continuation: CheckedContinuation<Bool, Never>
    }

    private let state: Lock<State>

    package init(latest: Revision) {
        state = Lock(State(latest: latest))
    }

    package var latest: Revision { state.withLock { $0.latest } }

    /// Wakes all who wait for something older.
    package func advance(to revision: Revision) {
        let woken = state.withLock { state -> [CheckedContinuation<Bool, Never>] in
            guard revision > state.latest else { return [] }
            state.latest = revision
            let due = state.waiters.filter { $0.value.past < revision }
            for id in due.keys { state.waiters[id] = nil }
            return due.values.map(\.continuation)
        }
        for continuation in woken { continuation.resume(returning: true) }
    }

    /// Nobody waits any more.
    package func close() {
        let woken = state.withLock { state -> [CheckedContinuation<Bool, Never>] in
            state.isClosed = true
            defer { state.waiters = [:] }
            return state.waiters.values.map(\.continuation)
        }
        for continuation in woken { continuation.resume(returning: false) }
    }

    /// Returns true once there is a revision above `past`, and false where the task is cancelled or the store closed before that.
    package func wait(past: Revision) async -> Bool {
        let id = state.withLock { state -> UInt64 in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Bool, Never>) in
                let answer = state.withLock { state -> Bool? in
                    if state.isClosed || Task.isCancelled { return false }
                    if state.latest > past { return true }
                    state.waiters[id] = Waiter(past: past, continuation: continuation)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
            waiter?.continuation.resume(returning: false)
        }
    }
}
