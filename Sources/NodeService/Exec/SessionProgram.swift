internal import Base
internal import EventLoop

/// What happens to a session's program. All calls come from the loop, never from within a call into the program.
protocol SessionProgramHandler: AnyObject {
    func program(_ program: SessionProgram, wrote bytes: Span<UInt8>, toErrorStream: Bool)
    /// There is room for input again.
    func programTakesInput(_ program: SessionProgram)
    /// The program reads no more.
    func programClosedInput(_ program: SessionProgram)
    /// The program has ended and all of its output has been handed over.
    func programEnded(_ program: SessionProgram, _ exit: ChildProcess.Exit)
}

/// A login program that runs in a session child, on a terminal or on three pipes.
///
/// Lives on its loop. It stays until the child has been reaped, whoever else has let go of it.
final class SessionProgram: StreamHandler {
    weak var handler: (any SessionProgramHandler)?
    let terminal: PseudoTerminal?
    private let loop: Loop
    private var process: ChildProcess?
    private var input: PipeStream?
    private var output: PipeStream?
    private var errors: PipeStream?
    /// The socket on which the child says what went wrong before the program started.
    private var report: PipeStream?
    private var exit: ChildProcess.Exit?
    private var killTimer: LoopTimer?
    private var isTerminating = false
    private var isOutputDropped = false
    private(set) var failure = ""

    /// How long a program has between being told that its user is gone and being killed.
    static let terminationTimeMax = Duration.seconds(5)
    /// One sentence of the child's.
    private static let failureBytesMax = 4096

    /// - Parameter children: whose forks live as a ``SessionChild`` first.
    init(
        _ message: SessionChildMessage, terminal: PseudoTerminal?, forkedBy children: ForkServer, on loop: Loop
    ) throws(TeleportError) {
        self.terminal = terminal
        self.loop = loop
        var descriptors: [Int32: ChildProcess.Descriptor] = [SessionChild.messageDescriptor: .socket]
        if let terminal {
            for number: Int32 in 0...2 { descriptors[number] = .share(terminal.childDescriptor) }
        } else {
            descriptors[0] = .input
            descriptors[1] = .output
            descriptors[2] = .output
        }
        let process = try ChildProcess(forkedBy: children, descriptors: descriptors, on: loop) { exit in self.exited(exit) }
        self.process = process
        terminal?.closeChildSide()
        input = terminal?.stream ?? process.stream(0)
        output = terminal?.stream ?? process.stream(1)
        errors = process.stream(2)
        report = process.stream(SessionChild.messageDescriptor)
        for stream in [input, output, errors, report] { stream?.handler = self }
        for stream in [output, errors, report] { stream?.resumeReading() }
        report?.write(message.framed())
    }

    // MARK: Input

    /// Whether more input should be given; bytes given otherwise are kept all the same.
    var takesInput: Bool { input?.isWritable ?? true }

    /// Input for a program that has closed its side is dropped.
    func write(_ bytes: Span<UInt8>) {
        input?.write(bytes)
    }

    /// The user sends no more. A terminal has no end of file but the one that is typed.
    func endInput() {
        guard terminal == nil else { return }
        input?.shutdown()
    }

    // MARK: Output

    func pauseOutput() {
        output?.pauseReading()
        errors?.pauseReading()
    }

    func resumeOutput() {
        output?.resumeReading()
        errors?.resumeReading()
    }

    /// The user takes no more output; what goes to the error stream is another matter. A program that writes on is told by the closed pipe; of
    /// a terminal, which is one for both directions, the output is read and dropped.
    func closeOutput() {
        if terminal == nil {
            output?.close()
        } else {
            isOutputDropped = true
            resumeOutput()
        }
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        if stream === report {
            let room = Self.failureBytesMax - failure.utf8.count
            failure += String(decoding: Array(copying: bytes.span.extracting(first: min(room, bytes.count))), as: UTF8.self)
        } else if !isOutputDropped {
            handler?.program(self, wrote: bytes.span, toErrorStream: stream === errors)
        }
    }

    func streamEnded(_ stream: Stream) {
        stream.close()
    }

    func streamDrained(_ stream: Stream) {
        if stream === input { handler?.programTakesInput(self) }
    }

    func streamClosed(_ stream: Stream, error: TeleportError?) {
        if stream === report { report = nil }
        if stream === errors { errors = nil }
        if stream === output { output = nil }
        if stream === input {
            input = nil
            handler?.programTakesInput(self)
            if error != nil, terminal == nil, exit == nil { handler?.programClosedInput(self) }
        }
        endIfDone()
    }

    // MARK: The end

    func signal(_ signal: Signal) {
        if exit == nil { process?.signalGroup(signal) }
    }

    /// The user is gone: the program and all of its process group are told, then killed.
    func terminate() {
        guard !isTerminating else { return }
        isTerminating = true
        handler = nil
        for stream in [input, output, errors, report] { stream?.close() }
        guard exit == nil else { return }
        process?.signalGroup(.hangUp)
        killTimer = loop.schedule(after: Self.terminationTimeMax) { self.process?.signalGroup(.kill) }
    }

    private func exited(_ exit: ChildProcess.Exit) {
        self.exit = exit
        if isTerminating {
            killTimer?.cancel()
            // Whatever of its group has outlived it was told as well.
            process?.signalGroup(.kill)
            process = nil
        }
        endIfDone()
    }

    /// Output may come after the exit, from the pipe or from processes that the program left behind.
    private func endIfDone() {
        guard let exit, output == nil, errors == nil, report == nil, let handler else { return }
        self.handler = nil
        process = nil
        input?.close()
        handler.programEnded(self, exit)
    }
}
