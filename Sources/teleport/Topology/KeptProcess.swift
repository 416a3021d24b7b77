import Base
import EventLoop
internal import Glibc

/// A child process of a topology; it is started again when it ends.
///
/// Its standard input is a pipe that nobody writes to: when the process that holds the other end goes, a child that looks there sees its end.
class KeptProcess {
    struct Program {
        /// For people.
        let name: String
        let executable: String
        /// Without the program's own name.
        let arguments: [String]
        /// Takes what it prints.
        let logPath: String
    }

    private let program: Program
    private let randomness: any Randomness
    private let loop: Loop
    private let ended: (KeptProcess, ChildProcess.Exit) -> Void
    private var process: ChildProcess?
    private var restart: LoopTimer?
    private var backoff = Backoff(first: .milliseconds(100), longest: .seconds(5))
    private var startedAt: Instant
    private var isStopping = false

    /// A child that ran for so long was well.
    private static let steadyAfter: Duration = .seconds(10)
    /// What children take over of this process's environment.
    private static let environment = [
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "LSAN_OPTIONS",
        "TSAN_OPTIONS",
        "LLVM_PROFILE_FILE", "SWIFT_BACKTRACE",
    ]
    private static let logTailLines = 5

    /// - Parameter ended: called each time that the child ends without having been told to.
    init(
        _ program: Program, randomness: any Randomness, on loop: Loop, ended: @escaping (KeptProcess, ChildProcess.Exit) -> Void
    ) {
        self.program = program
        self.randomness = randomness
        self.loop = loop
        self.ended = ended
        startedAt = loop.now
    }

    var isRunning: Bool { process != nil }
    var name: String { program.name }

    func start() throws(TeleportError) {
        let raw = unsafe open(program.logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard raw >= 0 else { throw TeleportError(.systemError, "opening \(program.logPath)", code: errno) }
        let log = FileDescriptor(raw)
        startedAt = loop.now
        process = try ChildProcess(
            ChildProcess.Command(
                executable: program.executable, arguments: [program.executable] + program.arguments,
                environment: Self.environment.compactMap { name in ProcessEnvironment.value(name).map { "\(name)=\($0)" } }, directory: "/",
                descriptors: [0: .input, 1: .share(log.raw), 2: .copy(of: 1)]), on: loop
        ) { [unowned self] exit in end(exit) }
    }

    /// Ends it for good; one of ours drains its sessions.
    func stop() {
        isStopping = true
        restart?.cancel()
        process?.signal(.terminate)
    }

    func kill() {
        process?.signal(.kill)
    }

    private func end(_ exit: ChildProcess.Exit) {
        process?.stream(0)?.close()
        process = nil
        guard !isStopping else { return }
        if loop.now - startedAt >= Self.steadyAfter { backoff.reset() }
        ended(self, exit)
        startAgain()
    }

    private func startAgain() {
        guard !isStopping else { return }
        restart = loop.schedule(after: backoff.next(randomness)) { [unowned self] in
            do throws(TeleportError) { try start() } catch { startAgain() }
        }
    }

    /// The last lines of the log, for an error.
    var tail: String {
        guard let bytes = try? FileIO.read(program.logPath) else { return "" }
        let lines = String(decoding: bytes.suffix(4096), as: UTF8.self).split(whereSeparator: \.isNewline).suffix(Self.logTailLines)
        return lines.isEmpty
            ? "; its log \(program.logPath) is empty" : "; the end of \(program.logPath): " + lines.joined(separator: " | ")
    }
}
