package import Base
package import ClusterModel
package import EventLoop
package import Logging

/// Keeps the newest ``ClusterSnapshot`` of the auth server, told by it as soon as something changes, and works from the last one while it is away.
///
/// Thread-safe: any loop may read ``snapshot``. The snapshot is saved with every change, so a proxy or node that starts while the auth server
/// is down knows the same authorities as before.
package final class AuthCache: Sendable {
    /// How long one question waits at the auth server.
    package static let waitSeconds = 30
    private static let backoff = Backoff(first: .milliseconds(200), longest: .seconds(5))

    private struct State {
        var snapshot: ClusterSnapshot?
        var listeners: [@Sendable (ClusterSnapshot) -> Void] = []
        var connectionListeners: [@Sendable (Bool) -> Void] = []
        /// nil before the first question was answered or failed.
        var isConnected: Bool?
        var waiting: [CheckedContinuation<ClusterSnapshot?, Never>] = []
        var isStopped = false
        var task: Task<Void, Never>?
    }

    private let client: AuthClient
    private let file: CacheFile?
    private let eventLoop: EventLoop
    private let randomness: any Randomness
    private let logger: Logger
    private let state = Lock(State())

    /// - Parameter directory: `DATA_DIR/cache`, which exists; nil keeps nothing.
    /// - Parameter name: tells apart what several services of one process keep there, such as `proxy`.
    package init(
        client: AuthClient, directory: String?, name: String, eventLoop: EventLoop, randomness: any Randomness, logger: Logger
    ) {
        self.client = client
        file = directory.map { CacheFile(path: "\($0)/\(name).json") }
        self.eventLoop = eventLoop
        self.randomness = randomness
        self.logger = logger
    }

    /// nil until the first answer of an auth server that this host has never talked to.
    package var snapshot: ClusterSnapshot? { state.withLock { $0.snapshot } }

    /// Whether the auth server answered the last question.
    package var isConnected: Bool { state.withLock { $0.isConnected == true } }

    /// Calls `body` with every snapshot from now on, on the cache's loop, and first of all with the present one.
    package func onChange(_ body: @escaping @Sendable (ClusterSnapshot) -> Void) {
        let present = state.withLock { state in
            state.listeners.append(body)
            return state.snapshot
        }
        if let present { body(present) }
    }

    /// Calls `body` when the auth server begins to answer and when it no longer does, on the cache's loop, and first of all with what is known.
    package func onConnection(_ body: @escaping @Sendable (Bool) -> Void) {
        let present = state.withLock { state in
            state.connectionListeners.append(body)
            return state.isConnected
        }
        if let present { body(present) }
    }

    /// Reads what was saved, then keeps asking until ``stop()``.
    package func start() {
        let task = eventLoop.spawn { loop in
            await self.loadSaved(loop)
            await self.follow(loop)
        }
        state.withLock { $0.task = task }
    }

    /// The first snapshot there is; nil where the cache was stopped before.
    package func first() async -> ClusterSnapshot? {
        await withCheckedContinuation { continuation in
            let answer = state.withLock { state -> ClusterSnapshot?? in
                if let snapshot = state.snapshot { return .some(snapshot) }
                if state.isStopped { return .some(nil) }
                state.waiting.append(continuation)
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    package func stop() {
        let (task, waiting) = state.withLock { state in
            defer {
                state.task = nil
                state.waiting = []
            }
            state.isStopped = true
            return (state.task, state.waiting)
        }
        task?.cancel()
        for continuation in waiting { continuation.resume(returning: nil) }
    }

    private func loadSaved(_ loop: isolated EventLoop) async {
        guard let file else { return }
        do {
            guard let saved = try await loop.work({ try file.load().map(ClusterSnapshot.init) }) else { return }
            take(saved)
            logger.info("starting from the saved state", metadata: ["revision": "\(saved.revision)"])
        } catch {
            logger.warning("the saved state cannot be read", metadata: ["error": "\(error)"])
        }
    }

    private func follow(_ loop: isolated EventLoop) async {
        var backoff = Self.backoff
        // The first question of a run is for everything: the saved revision may be of an auth server that was rebuilt since.
        var known: Int64 = 0
        while !Task.isCancelled {
            do throws(TeleportError) {
                let newer = try await client.snapshot(after: known, waitSeconds: known == 0 ? 0 : Self.waitSeconds, on: loop)
                if setConnected(true) != true { logger.info("the auth server answers") }
                backoff.reset()
                guard let newer else { continue }
                known = newer.revision
                take(newer)
                let begin = loop.inside.now
                await save(newer.state, loop)
                // Where one state takes long, states that follow each other are not all worth their while: as long as this one took, they rest.
                do { try await loop.sleep(for: loop.inside.now - begin) } catch { return }
            } catch {
                guard !Task.isCancelled else { return }
                if setConnected(false) != false {
                    logger.warning("the auth server does not answer", metadata: ["error": "\(error.message)"])
                }
                do { try await loop.sleep(for: backoff.next(randomness)) } catch { return }
            }
        }
    }

    /// - Returns: what it was before.
    private func setConnected(_ connected: Bool) -> Bool? {
        let (before, listeners) = state.withLock { state in
            defer { state.isConnected = connected }
            return (state.isConnected, state.isConnected == connected ? [] : state.connectionListeners)
        }
        for listener in listeners { listener(connected) }
        return before
    }

    private func take(_ snapshot: ClusterSnapshot) {
        let (listeners, waiting) = state.withLock { state in
            state.snapshot = snapshot
            defer { state.waiting = [] }
            return (state.listeners, state.waiting)
        }
        for continuation in waiting { continuation.resume(returning: snapshot) }
        for listener in listeners { listener(snapshot) }
    }

    private func save(_ newer: ClusterState, _ loop: isolated EventLoop) async {
        guard let file else { return }
        do {
            try await loop.work { try file.save(newer) }
        } catch {
            logger.warning("the state cannot be saved", metadata: ["error": "\(error)"])
        }
    }
}
