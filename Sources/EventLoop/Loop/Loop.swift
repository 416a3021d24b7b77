package import Base
internal import CLibuv
internal import Glibc
internal import Logging

/// Gathers something in the course of a turn, and lets go of it at the turn's end.
package protocol TurnGatherer: AnyObject {
    func turnEnds()
}

/// What lives on an event loop's thread; whoever holds it is there.
///
/// One turn of the loop is: timers that are due, jobs and what was put off with ``atEndOfTurn(_:)``, then a wait for events and their callbacks.
/// Everything bound to the loop is made with this: streams, timers, processes, watchers.
@safe
package final class Loop {
    package unowned let eventLoop: EventLoop
    let uv: UnsafeMutablePointer<uv_loop_t>
    /// Libuv delivers every read before the next one begins, so one buffer serves all streams.
    let receiveBuffer: UnsafeMutableBufferPointer<UInt8>
    /// For whoever has output on this loop.
    package let buffers = BufferPool()
    /// For the write queues of its streams.
    let spareBlocks = SpareBlocks()

    private let queue: LoopQueue
    private let logger: Logger?
    private let turnHandle: UnsafeMutablePointer<uv_prepare_t>
    private var runJobs: () -> Bool = { false }
    private var gatherers: [any TurnGatherer] = []
    /// Those of the turn that is ending; empty at all other times, and kept for its memory.
    private var endingGatherers: [any TurnGatherer] = []
    private var handles: [ObjectIdentifier: LoopHandle] = [:]
    private var completions: [UInt64: AnyObject] = [:]
    private var sleeps: [UInt64: (LoopTimer, CheckedContinuation<Void, any Error>)] = [:]
    private var lastIdentifier: UInt64 = 0
    /// Callbacks that held up everybody else.
    package private(set) var slowCallbackCount: UInt64 = 0
    private lazy var timers = LoopTimers(on: self)

    /// Large reads: one system call brings what a fast peer has sent since the last turn.
    static let receiveBufferBytes = 256 << 10
    private static let pageBytes = 4096
    /// Jobs that keep making jobs yield to the sockets after so many rounds.
    private static let roundsPerTurnMax = 16
    /// Handlers that go on opening things while the loop ends are left alone after so many turns.
    private static let tearDownTurnsMax = 16
    /// A callback that takes longer holds up everybody else on the loop, and is logged.
    private static let slowCallback: UInt64 = 50_000_000

    init(eventLoop: EventLoop, queue: LoopQueue, logger: Logger?) {
        self.eventLoop = eventLoop
        self.queue = queue
        self.logger = logger
        unsafe uv = queue.uv
        // As the kernel gives it: what no read has filled takes no memory. Where a buffer begins a few bytes into a page, as malloc has it,
        // processors with a fast short `rep movsb` take five times as long to copy what is read into it.
        guard let memory = unsafe aligned_alloc(Self.pageBytes, Self.receiveBufferBytes) else {
            preconditionFailure("no memory for a loop")
        }
        unsafe receiveBuffer = UnsafeMutableBufferPointer(
            start: memory.bindMemory(to: UInt8.self, capacity: Self.receiveBufferBytes), count: Self.receiveBufferBytes)
        unsafe turnHandle = .allocate(capacity: 1)
    }

    deinit {
        unsafe free(receiveBuffer.baseAddress)
        unsafe turnHandle.deallocate()
    }

    // MARK: Time

    package var now: Instant { Instant(nanoseconds: uv_hrtime()) }

    package var wallTime: UnixTime { UnixTime(seconds: Int64(time(nil))) }

    /// What the loop's thread has taken of the processor.
    package var processorTime: Duration {
        var usage = rusage()
        unsafe shim_thread_usage(&usage)
        func duration(_ time: timeval) -> Duration { .seconds(time.tv_sec) + .microseconds(time.tv_usec) }
        return duration(usage.ru_utime) + duration(usage.ru_stime)
    }

    /// Runs `body` once, no earlier than after `delay`, unless the timer is cancelled.
    @discardableResult
    package func schedule(after delay: Duration, _ body: @escaping () -> Void) -> LoopTimer {
        timers.schedule(at: now + delay, body)
    }

    /// The same, up to `slack` later: timers that are due within it wake the loop once.
    @discardableResult
    package func schedule(after delay: Duration, slack: Duration, _ body: @escaping () -> Void) -> LoopTimer {
        let due = now + delay
        let grid = max(1, slack.clampedNanoseconds)
        let rest = (grid - due.nanoseconds % grid) % grid
        return timers.schedule(at: due + .nanoseconds(Int64(clamping: rest)), body)
    }

    /// Tells `gatherer` once, before the loop waits for events again. Allocates nothing: the way for what goes on packet by packet.
    package func atEndOfTurn(_ gatherer: any TurnGatherer) {
        gatherers.append(gatherer)
    }

    /// Runs `body` once before the loop waits for events again.
    package func atEndOfTurn(_ body: @escaping () -> Void) {
        atEndOfTurn(PutOff(body))
    }

    // MARK: Work elsewhere

    /// Runs blocking or long work on the pool and its end here.
    package func work<T: Sendable>(
        _ body: @escaping @Sendable () throws -> T, then: @escaping (Result<T, any Error>) -> Void
    ) {
        WorkRequest.submit(on: self, body, then: then)
    }

    /// Runs asynchronous code as a task on this loop; `then` waits in a table, so that nothing of this thread goes into the task.
    package func perform<T: Sendable>(
        _ body: @escaping @Sendable () async throws -> T, then: @escaping (Result<T, any Error>) -> Void
    ) {
        let identifier = nextIdentifier()
        completions[identifier] = Completion(then)
        eventLoop.spawn { eventLoop in
            let result: Result<T, any Error>
            do {
                result = .success(try await body())
            } catch {
                result = .failure(error)
            }
            eventLoop.inside.complete(identifier, result)
        }
    }

    private func complete<T: Sendable>(_ identifier: UInt64, _ result: Result<T, any Error>) {
        let completion = completions.removeValue(forKey: identifier) as? Completion<T>
        measured("perform") { completion?.then(result) }
    }

    /// The addresses of a host name, at least one; the text of an address is its own answer.
    package func resolve(host: String, port: UInt16, then: @escaping (Result<[SocketAddress], any Error>) -> Void) {
        ResolveRequest.submit(on: self, host: host, port: port, then: then)
    }

    // MARK: Sleeping tasks

    func nextSleep() -> UInt64 { nextIdentifier() }

    func sleep(_ sleep: UInt64, for duration: Duration, _ continuation: CheckedContinuation<Void, any Error>) {
        let timer = schedule(after: duration) { [unowned self] in
            sleeps.removeValue(forKey: sleep)?.1.resume()
        }
        sleeps[sleep] = (timer, continuation)
    }

    func cancelSleep(_ sleep: UInt64) {
        guard let (timer, continuation) = sleeps.removeValue(forKey: sleep) else { return }
        timer.cancel()
        continuation.resume(throwing: CancellationError())
    }

    private func nextIdentifier() -> UInt64 {
        lastIdentifier += 1
        return lastIdentifier
    }

    // MARK: For the parts of this target

    func keep(_ handle: LoopHandle) {
        handles[ObjectIdentifier(handle)] = handle
    }

    func release(_ handle: LoopHandle) {
        handles[ObjectIdentifier(handle)] = nil
    }

    /// Every callback of libuv runs in here.
    func measured(_ name: StaticString, _ body: () -> Void) {
        let begin = uv_hrtime()
        body()
        let elapsed = uv_hrtime() - begin
        if elapsed > Self.slowCallback {
            slowCallbackCount += 1
            logger?.warning(
                "a callback held the loop", metadata: ["callback": "\(name)", "milliseconds": "\(elapsed / 1_000_000)"])
        }
    }

    /// The `uv_loop_t` for a C library that brings its own handles to this loop.
    @unsafe package var foreignLoop: UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(uv) }

    // MARK: Life

    func run(_ runJobs: @escaping () -> Bool) {
        self.runJobs = runJobs
        unsafe uv_prepare_init(uv, turnHandle)
        unsafe turnHandle.pointee.data = Unmanaged.passUnretained(self).toOpaque()
        unsafe uv_prepare_start(turnHandle) { handle in
            guard let data = unsafe handle?.pointee.data else { return }
            unsafe Unmanaged<Loop>.fromOpaque(data).takeUnretainedValue().turn()
        }
        unsafe uv_run(uv, UV_RUN_DEFAULT)
        tearDown()
    }

    func stop() {
        unsafe uv_stop(uv)
    }

    private func turn() {
        for _ in 0..<Self.roundsPerTurnMax {
            let ranJobs = runJobs()
            guard ranJobs || !gatherers.isEmpty else { return }
            swap(&gatherers, &endingGatherers)
            for index in endingGatherers.indices {
                let gatherer = endingGatherers[index]
                measured("end of turn") { gatherer.turnEnds() }
            }
            endingGatherers.removeAll(keepingCapacity: true)
        }
        queue.pollAgain()
    }

    /// Closes what is open, and what is opened in answer to that, and lets libuv go of it all. Work on the pool is not waited for: it may be reading
    /// from a terminal.
    private func tearDown() {
        for sleep in sleeps.keys { cancelSleep(sleep) }
        for _ in 0..<Self.tearDownTurnsMax {
            turn()
            for handle in handles.values { handle.close() }
            if handles.isEmpty { break }
            unsafe uv_run(uv, UV_RUN_NOWAIT)
        }
        queue.close()
        unsafe uv_close(UnsafeMutableRawPointer(turnHandle).assumingMemoryBound(to: uv_handle_t.self), nil)
        unsafe uv_run(uv, UV_RUN_NOWAIT)
        unsafe uv_loop_close(uv)
        runJobs = { false }
    }
}

/// The end of a task that runs elsewhere.
private final class Completion<T> {
    let then: (Result<T, any Error>) -> Void

    init(_ then: @escaping (Result<T, any Error>) -> Void) {
        self.then = then
    }
}

private final class PutOff: TurnGatherer {
    private let body: () -> Void

    init(_ body: @escaping () -> Void) {
        self.body = body
    }

    func turnEnds() { body() }
}
