import Base
import EventLoop
import Testing

@Suite("ChildProcess")
struct ChildProcessTests {
    @Test func `output comes through pipes, and the exit status with it`() async throws {
        try await onLoop { eventLoop in
            let run = try await Run("/bin/sh", ["-c", "cat; echo problem >&2; exit 3"], input: "in and out", on: eventLoop.inside)
            #expect(run.output == "in and out")
            #expect(run.problems == "problem\n")
            #expect(run.exit == .status(3))
        }
    }

    @Test func `a child has the environment, folder and descriptors it was given and no others`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let listener = try TCPListener(address: .anyPort, on: loop) { _ in }
            let run = try await Run(
                "/bin/sh", ["-c", "pwd; /usr/bin/env | grep -v '^\\(PWD\\|SHLVL\\|_\\|OLDPWD\\)='; ls /proc/self/fd | tr '\\n' ' '"],
                environment: ["COLOUR=blue"], directory: "/usr", on: loop)
            #expect(run.output == "/usr\nCOLOUR=blue\n0 1 2 3 ")
            listener.close()
        }
    }

    @Test func `a control descriptor carries bytes both ways`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let exited = Recorder()
            let child = try ChildProcess(
                ChildProcess.Command(
                    executable: "/bin/sh", arguments: ["sh", "-c", "read line <&3; echo \"got $line\" >&3"],
                    descriptors: [0: .null, 1: .null, 2: .null, 3: .socket]), on: loop
            ) { _ in exited.end() }
            let control = try #require(child.stream(3))
            let recorder = Recorder()
            control.handler = recorder
            control.resumeReading()
            control.write(Array("secret\n".utf8))
            await recorder.wait { $0.hasEnded }
            await exited.wait { $0.hasEnded }
            #expect(recorder.text == "got secret\n")
            #expect(child.exit == .status(0))
        }
    }

    @Test func `a signal to the group reaches the children of the child`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let recorder = Recorder()
            let exited = Recorder()
            let child = try ChildProcess(
                ChildProcess.Command(
                    executable: "/bin/sh", arguments: ["sh", "-c", "sleep 1000 & echo started; wait"],
                    environment: ["PATH=/usr/bin:/bin"], descriptors: [0: .null, 1: .output, 2: .null]), on: loop
            ) { _ in exited.end() }
            child.stream(1)?.handler = recorder
            child.stream(1)?.resumeReading()
            await recorder.wait { $0.text == "started\n" }
            child.signalGroup(.terminate)
            // The pipe ends only when the grandchild has gone too.
            await recorder.wait { $0.hasEnded }
            await exited.wait { $0.hasEnded }
            #expect(child.exit == .signal(.terminate, coreDumped: false))
        }
    }

    @Test func `a program that is not there is an error that names it`() async throws {
        try await onLoop { eventLoop in
            _ = #expect {
                _ = try ChildProcess(ChildProcess.Command(executable: "/no/such/program", arguments: ["x"]), on: eventLoop.inside) { _ in }
            } throws: { error in
                (error as? TeleportError)?.kind == .notFound && "\(error)".contains("/no/such/program")
            }
        }
    }

    @Test func `descriptors may trade places`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let recorder = Recorder()
            let child = try ChildProcess(
                ChildProcess.Command(
                    executable: "/bin/sh", arguments: ["sh", "-c", "echo out; echo err >&2"],
                    descriptors: [0: .null, 1: .output, 2: .copy(of: 1)]), on: loop
            ) { _ in }
            child.stream(1)?.handler = recorder
            child.stream(1)?.resumeReading()
            await recorder.wait { $0.hasEnded }
            #expect(recorder.text == "out\nerr\n")
        }
    }
}

@Suite("PseudoTerminal")
struct PseudoTerminalTests {
    private static func start(_ script: String, modes: [UInt8: UInt32] = [:], on loop: Loop) throws -> (
        PseudoTerminal, ChildProcess, Recorder
    ) {
        let terminal = try PseudoTerminal(size: TerminalSize(columns: 91, rows: 31), modes: modes, on: loop)
        let side = ChildProcess.Descriptor.share(terminal.childDescriptor)
        let child = try ChildProcess(
            ChildProcess.Command(
                executable: "/bin/sh", arguments: ["sh", "-c", script], environment: ["PATH=/usr/bin:/bin"],
                descriptors: [0: side, 1: side, 2: side], group: .session), on: loop
        ) { _ in }
        terminal.closeChildSide()
        let recorder = Recorder()
        terminal.stream.handler = recorder
        terminal.stream.resumeReading()
        return (terminal, child, recorder)
    }

    @Test func `a program sees a terminal of the size it was given, and its end ends the stream`() async throws {
        try await onLoop { eventLoop in
            let (terminal, _, recorder) = try Self.start("test -t 0 && stty size", on: eventLoop.inside)
            await recorder.wait { $0.hasEnded }
            #expect(recorder.text == "31 91\r\n")
            #expect(terminal.size == TerminalSize(columns: 91, rows: 31))
        }
    }

    @Test func `what is typed is read, and a resize is seen`() async throws {
        try await onLoop { eventLoop in
            let (terminal, _, recorder) = try Self.start(
                "stty -echo; echo ready; read line; stty size; echo \"<$line>\"", on: eventLoop.inside)
            await recorder.wait { $0.text.contains("ready") }
            try terminal.resize(TerminalSize(columns: 100, rows: 40))
            terminal.stream.write(Array("typed\n".utf8))
            await recorder.wait { $0.hasEnded }
            #expect(recorder.text.hasSuffix("40 100\r\n<typed>\r\n"))
        }
    }

    @Test func `what a program has left in the terminal is read to the last byte`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let terminal = try PseudoTerminal(size: TerminalSize(columns: 91, rows: 31), modes: [:], on: loop)
            let side = ChildProcess.Descriptor.share(terminal.childDescriptor)
            let exit = Recorder()
            _ = try ChildProcess(
                ChildProcess.Command(
                    executable: "/bin/sh", arguments: ["sh", "-c", "stty raw; head -c 6000 /dev/zero | tr '\\0' x"],
                    environment: ["PATH=/usr/bin:/bin"], descriptors: [0: side, 1: side, 2: side], group: .session), on: loop
            ) { _ in exit.end() }
            terminal.closeChildSide()
            await exit.wait { $0.hasEnded }
            let recorder = Recorder()
            terminal.stream.handler = recorder
            terminal.stream.resumeReading()
            await recorder.wait { $0.hasEnded }
            #expect(recorder.text.count { $0 == "x" } == 6000)
        }
    }

    @Test func `modes are set by their opcodes`() async throws {
        try await onLoop { eventLoop in
            // VINTR to ^X, ECHO off, OPOST off; 200 is nothing we know.
            let (_, _, recorder) = try Self.start("stty -a", modes: [1: 24, 53: 0, 70: 0, 200: 1], on: eventLoop.inside)
            await recorder.wait { $0.hasEnded }
            #expect(recorder.text.contains("intr = ^X"))
            #expect(recorder.text.contains(" -echo "))
            #expect(recorder.text.contains("-opost"))
            #expect(!recorder.text.contains("\r"))
        }
    }
}

@Suite("SignalWatcher and Signal")
struct SignalTests {
    @Test func `a signal to this process comes as an event`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let recorder = Recorder()
            let watcher = try SignalWatcher(.windowChange, on: loop) { recorder.end() }
            _ = try ChildProcess(
                ChildProcess.Command(executable: "/bin/sh", arguments: ["sh", "-c", "kill -WINCH $PPID"]), on: loop
            ) { _ in }
            await recorder.wait { $0.hasEnded }
            watcher.close()
        }
    }

    @Test func `names are those of the RFC`() {
        #expect(Signal(name: "TERM") == .terminate)
        #expect(Signal.hangUp.name == "HUP")
        #expect(Signal(name: "WINCH") == nil)
        #expect(Signal.windowChange.name == nil)
    }
}

/// A program with its input given and its output gathered.
private struct Run {
    let output: String
    let problems: String
    let exit: ChildProcess.Exit?

    init(
        _ executable: String, _ arguments: [String], environment: [String] = ["PATH=/usr/bin:/bin"], directory: String? = nil,
        input: String = "",
        on loop: Loop, isolation: isolated (any Actor)? = #isolation
    ) async throws {
        let exited = Recorder()
        let child = try ChildProcess(
            ChildProcess.Command(
                executable: executable, arguments: [executable] + arguments, environment: environment, directory: directory,
                descriptors: [0: .input, 1: .output, 2: .output]), on: loop
        ) { _ in exited.end() }
        let recorders = [Int32(1), 2].map { number in
            let recorder = Recorder()
            child.stream(number)?.handler = recorder
            child.stream(number)?.resumeReading()
            return recorder
        }
        child.stream(0)?.write(Array(input.utf8))
        child.stream(0)?.shutdown()
        for recorder in recorders { await recorder.wait { $0.hasEnded } }
        await exited.wait { $0.hasEnded }
        output = recorders[0].text
        problems = recorders[1].text
        exit = child.exit
    }
}
