import Base
import EventLoop

/// A program on a terminal of its own, as a person runs it: it is typed at, read, and its window changes.
final class TerminalProgram: Sendable {
    private let eventLoop: EventLoop
    private let state: LoopBound<TerminalState>

    /// - Parameter size: columns and rows.
    init(
        _ executable: String, _ arguments: [String], environment: [String], columns: UInt16, rows: UInt16, on eventLoop: EventLoop
    ) async throws {
        self.eventLoop = eventLoop
        state = try await withCheckedThrowingContinuation { continuation in
            eventLoop.post { loop in
                continuation.resume(
                    with: Result {
                        let state = TerminalState()
                        try state.start(executable, arguments, environment, TerminalSize(columns: columns, rows: rows), on: loop.inside)
                        return LoopBound(state, on: loop.inside)
                    })
            }
        }
    }

    func type(_ text: String) {
        let state = state
        eventLoop.post { loop in state.value(on: loop)?.terminal?.stream.write(Array(text.utf8)) }
    }

    func resize(columns: UInt16, rows: UInt16) async throws {
        let state = state
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            eventLoop.post { loop in
                continuation.resume(
                    with: Result { try state.value(on: loop)?.terminal?.resize(TerminalSize(columns: columns, rows: rows)) })
            }
        }
    }

    /// Waits until the screen has shown `text`.
    ///
    /// - Throws: what it has shown instead, when the program has ended or time is over.
    func expect(_ text: String) async throws {
        try await wait { $0.shown.contains(text) }
    }

    /// Waits for the end of the program.
    ///
    /// - Returns: how it ended and all that was shown.
    func end() async throws -> (exit: ChildProcess.Exit?, shown: String) {
        try await wait { $0.exit != nil }
        let state = state
        return await withCheckedContinuation { continuation in
            eventLoop.post { loop in
                let value = state.value(on: loop)
                continuation.resume(returning: (value?.exit, value?.shown ?? ""))
            }
        }
    }

    private func wait(until condition: @escaping @Sendable (TerminalState) -> Bool) async throws {
        let state = state
        try await withCheckedThrowingContinuation { continuation in
            eventLoop.post { loop in state.value(on: loop)?.wait(for: condition, continuation, on: loop.inside) }
        }
    }
}

private final class TerminalState: StreamHandler {
    private(set) var terminal: PseudoTerminal?
    private(set) var exit: ChildProcess.Exit?
    private var process: ChildProcess?
    private var bytes: [UInt8] = []
    private var waiting: [Waiter] = []

    private final class Waiter {
        let condition: (TerminalState) -> Bool
        let continuation: CheckedContinuation<Void, any Error>
        var timer: LoopTimer?

        init(_ condition: @escaping (TerminalState) -> Bool, _ continuation: CheckedContinuation<Void, any Error>) {
            self.condition = condition
            self.continuation = continuation
        }
    }

    var shown: String { String(decoding: bytes, as: UTF8.self) }

    func start(_ executable: String, _ arguments: [String], _ environment: [String], _ size: TerminalSize, on loop: Loop) throws {
        let terminal = try PseudoTerminal(size: size, modes: [:], on: loop)
        self.terminal = terminal
        // The leader of a session gets the first terminal that it opens as its own.
        let command = #"terminal=$1; shift; exec "$@" <>"$terminal" >&0 2>&0"#
        process = try ChildProcess(
            ChildProcess.Command(
                executable: "/bin/sh", arguments: ["sh", "-c", command, "sh", terminal.path, executable] + arguments,
                environment: environment, descriptors: [0: .null, 1: .null, 2: .null], group: .session), on: loop
        ) { [unowned self] exit in
            self.exit = exit
            terminal.closeChildSide()
            changed()
        }
        terminal.stream.handler = self
        terminal.stream.resumeReading()
    }

    deinit {
        process?.signalGroup(.kill)
        terminal?.stream.close()
    }

    func wait(for condition: @escaping (TerminalState) -> Bool, _ continuation: CheckedContinuation<Void, any Error>, on loop: Loop) {
        let waiter = Waiter(condition, continuation)
        waiter.timer = loop.schedule(after: .seconds(30)) { [unowned self] in fail(waiter, "time is over") }
        waiting.append(waiter)
        changed()
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        self.bytes.append(copying: bytes.span)
        changed()
    }

    func streamEnded(_ stream: Stream) { stream.close() }
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) { changed() }

    private func changed() {
        for waiter in waiting {
            if waiter.condition(self) {
                finish(waiter)
                waiter.continuation.resume()
            } else if exit != nil, terminal?.stream.isClosing == true {
                fail(waiter, "the program ended")
            }
        }
    }

    private func fail(_ waiter: Waiter, _ why: String) {
        finish(waiter)
        waiter.continuation.resume(throwing: TeleportError.connectionProblem("\(why); the terminal shows: \(shown)"))
    }

    private func finish(_ waiter: Waiter) {
        waiter.timer?.cancel()
        waiting.removeAll { $0 === waiter }
    }
}
