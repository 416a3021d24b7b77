package import Base
internal import CLibuv
internal import Glibc
package import Logging

/// One thread that runs one libuv loop, and the actor whose code runs there.
///
/// What lives on the loop is made from ``inside`` and is not `Sendable`: the compiler keeps it on this thread. Other threads come in through
/// ``post(_:)`` and ``spawn(_:)``. Every task is rooted in a `spawn`, so that it resumes here instead of on the global pool.
package actor EventLoop {
    package nonisolated let name: String
    private nonisolated let queue: LoopQueue
    private nonisolated let executor: LoopExecutor
    private nonisolated let taskExecutor: LoopTaskExecutor
    private nonisolated let logger: Logger?
    private var loop: Loop?

    /// - Parameter logger: is told of callbacks that hold the loop for too long.
    package init(name: String, logger: Logger? = nil) {
        // A peer that goes away is an error of the write, not the end of the process.
        _ = signal(SIGPIPE, SIG_IGN)
        self.name = name
        self.logger = logger
        queue = LoopQueue()
        executor = LoopExecutor(queue: queue)
        taskExecutor = LoopTaskExecutor(queue: queue)
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

    /// What lives on the loop, for code that runs on it.
    package var inside: Loop {
        guard let loop else { preconditionFailure("the loop has not been run yet") }
        return loop
    }

    // MARK: Life

    /// The calling thread becomes the loop's thread until ``stop()``.
    package nonisolated func run() {
        queue.becomeCurrentThread()
        assumeIsolated { $0.runHere() }
    }

    private func runHere() {
        let loop = Loop(eventLoop: self, queue: queue, logger: logger)
        self.loop = loop
        let queue = queue
        let serial = unsafe executor.asUnownedSerialExecutor()
        let task = unsafe taskExecutor.asUnownedTaskExecutor()
        loop.run { unsafe queue.runJobs(serial: serial, task: task) }
    }

    /// Runs the loop on a thread of its own.
    package nonisolated func start() {
        pthread_detach(startThread())
    }

    /// Runs the loop on a thread that the caller joins.
    nonisolated func startThread() -> pthread_t {
        var thread = pthread_t()
        let code = unsafe pthread_create(&thread, nil, eventLoopThread, Unmanaged.passRetained(self).toOpaque())
        precondition(code == 0, "pthread_create failed")
        return thread
    }

    /// Ends ``run()`` after the jobs that are waiting; handles that are still open are closed.
    package nonisolated func stop() {
        post { $0.inside.stop() }
    }

    // MARK: Ways in

    /// Runs `body` on the loop, from any thread, in the order of the calls.
    package nonisolated func post(_ body: @escaping @Sendable (isolated EventLoop) -> Void) {
        queue.enqueue { self.assumeIsolated { body($0) } }
    }

    /// Begins a task on the loop: the only root of asynchronous code.
    @discardableResult
    package nonisolated func spawn(_ body: @escaping @Sendable (isolated EventLoop) async -> Void) -> Task<Void, Never> {
        Task(executorPreference: taskExecutor) { await body(self) }
    }

    /// Makes something that lives on this loop, for others to reach it there.
    package func bound<Value>(_ make: @Sendable (Loop) throws -> Value) throws -> LoopBound<Value> {
        LoopBound(try make(inside), on: inside)
    }

    // MARK: Asynchronous forms, for control code

    /// - Throws: `CancellationError` as soon as the task is cancelled.
    package func sleep(for duration: Duration) async throws {
        let sleep = inside.nextSleep()
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                if Task.isCancelled {
                    continuation.resume(throwing: CancellationError())
                } else {
                    inside.sleep(sleep, for: duration, continuation)
                }
            }
        } onCancel: {
            post { $0.inside.cancelSleep(sleep) }
        }
    }

    /// Runs blocking or long work on the worker pool.
    package func work<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            inside.work(body) { continuation.resume(with: $0) }
        }
    }

    /// The addresses of a host name, at least one.
    package func resolve(host: String, port: UInt16) async throws -> [SocketAddress] {
        try await withCheckedThrowingContinuation { continuation in
            inside.resolve(host: host, port: port) { continuation.resume(with: $0) }
        }
    }
}

private func eventLoopThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument = unsafe argument else { return nil }
    let eventLoop = unsafe Unmanaged<EventLoop>.fromOpaque(argument).takeRetainedValue()
    _ = unsafe pthread_setname_np(pthread_self(), String(eventLoop.name.prefix(15)))
    eventLoop.run()
    return nil
}
