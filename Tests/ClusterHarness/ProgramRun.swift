package import Base
package import EventLoop

/// How a program ended, and what it said.
package struct Outcome: Sendable, CustomStringConvertible {
    package let exit: ChildProcess.Exit
    package let output: [UInt8]
    /// Of a command on a node: behind what the start-up files of its login shell had to say.
    package let errors: String

    package var text: String { String(decoding: output, as: UTF8.self) }
    package var lines: [String] { text.split(whereSeparator: \.isNewline).map(String.init) }
    /// - Returns: itself.
    /// - Throws: `SystemError` with what the program said unless it succeeded.
    @discardableResult
    package func succeeded() throws(TeleportError) -> Outcome {
        guard exit == .status(0) else { throw TeleportError(.systemError, "the program failed: \(self)") }
        return self
    }

    package var description: String { "\(exit)\n\(text.suffix(4000))\n\(errors.suffix(4000))" }
}

/// Starts programs and waits for their ends, from any task.
package struct ProgramRunner: Sendable {
    package let eventLoop: EventLoop
    /// `NAME=value`, for every program.
    package let environment: [String]

    /// No test waits longer than this for one program.
    package static let timeout: Duration = .seconds(90)

    package init(eventLoop: EventLoop, environment: [String]) {
        self.eventLoop = eventLoop
        self.environment = environment
    }

    /// - Parameter extra: variables beside those of ``environment``, or in their place.
    /// - Throws: `ConnectionProblem` with what the program said where it is not done in time; it is killed then.
    package func run(
        _ executable: String, _ arguments: [String], input: [UInt8] = [], environment extra: [String] = [], timeout: Duration = timeout
    ) async throws -> Outcome {
        let names = extra.map { $0.prefix { $0 != "=" } + "=" }
        let environment = environment.filter { variable in !names.contains { variable.hasPrefix($0) } } + extra
        return try await withCheckedThrowingContinuation { continuation in
            eventLoop.post { loop in
                let run = ProgramRun(continuation)
                do {
                    try run.start(executable, arguments, input: input, environment: environment, timeout: timeout, on: loop.inside)
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }
}

/// One program, its output collected.
private final class ProgramRun: StreamHandler {
    private let continuation: CheckedContinuation<Outcome, any Error>
    private var process: ChildProcess?
    private var output: [UInt8] = []
    private var errors: [UInt8] = []
    private var openStreams = 2
    private var exit: ChildProcess.Exit?
    private var timer: LoopTimer?
    private var isLate = false
    private var name = ""
    /// Holds this object until the end.
    private var keepAlive: ProgramRun?

    init(_ continuation: CheckedContinuation<Outcome, any Error>) {
        self.continuation = continuation
    }

    func start(
        _ executable: String, _ arguments: [String], input: [UInt8], environment: [String], timeout: Duration, on loop: Loop
    ) throws {
        name = ([executable] + arguments).joined(separator: " ")
        let process = try ChildProcess(
            ChildProcess.Command(
                executable: executable, arguments: [executable] + arguments, environment: environment,
                descriptors: [0: .input, 1: .output, 2: .output]), on: loop
        ) { [self] exit in
            self.exit = exit
            finishIfDone()
        }
        keepAlive = self
        self.process = process
        timer = loop.schedule(after: timeout) { [self] in
            isLate = true
            process.signalGroup(.kill)
            // What the program left running may hold its output open.
            for number: Int32 in 1...2 { process.stream(number)?.close() }
        }
        process.stream(0)?.write(input)
        process.stream(0)?.shutdown()
        for number: Int32 in 1...2 {
            process.stream(number)?.handler = self
            process.stream(number)?.resumeReading()
        }
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        if stream === process?.stream(1) { output.append(copying: bytes.span) } else { errors.append(copying: bytes.span) }
    }

    func streamEnded(_ stream: Stream) { stream.close() }
    func streamDrained(_ stream: Stream) {}

    func streamClosed(_ stream: Stream, error: TeleportError?) {
        openStreams -= 1
        finishIfDone()
    }

    private func finishIfDone() {
        guard let exit, openStreams == 0 else { return }
        keepAlive = nil
        timer?.cancel()
        let outcome = Outcome(exit: exit, output: output, errors: String(decoding: errors, as: UTF8.self))
        if isLate {
            continuation.resume(throwing: TeleportError.connectionProblem("was not done in time: \(name)\n\(outcome)"))
        } else {
            continuation.resume(returning: outcome)
        }
    }
}
