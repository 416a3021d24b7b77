import ArgumentParser
import Base
import ClientKit
import Crypto
import EventLoop
internal import Glibc
import Programs

struct AgentCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent", abstract: "An ssh-agent with your logins: prints where it is for a shell to take up, and stays behind.",
        discussion: """
            It serves the keys and certificates of ~/.tsh as they are when it is asked, so that `tsh login` needs to be repeated nowhere. \
            An agent that SSH_AUTH_SOCK names already is given the certificate of the current login too.

            Example: eval $(tsh agent)
            Example: tsh agent --kill
            """)
    @OptionGroup var client: ClientOptions
    @Option(name: [.customShort("a"), .customLong("socket")], help: ArgumentHelp("The path of the socket.", valueName: "path"))
    var socket: String?
    @Flag(name: [.customShort("D"), .long], help: "Stay in the foreground.") var foreground = false
    @Flag(name: [.customShort("c"), .long], help: "Print for csh.") var csh = false
    @Flag(name: [.customShort("s"), .long], help: "Print for sh, also where SHELL is a csh.") var sh = false
    @Flag(name: [.customShort("k"), .long], help: "End the agent that SSH_AGENT_PID names.") var kill = false

    func run() throws {
        let shell = AgentShell(isCsh: csh || !sh && (ProcessEnvironment.value("SHELL")?.hasSuffix("csh") ?? false))
        if kill { return try end(shell) }
        if foreground { return try serve(shell) }
        try loadRunningAgent()
        try start(shell)
    }

    private func end(_ shell: AgentShell) throws(TeleportError) {
        guard let text = ProcessEnvironment.value("SSH_AGENT_PID"), let identifier = Int32(text), identifier > 1 else {
            throw .notFound("SSH_AGENT_PID names no agent")
        }
        guard Glibc.kill(identifier, SIGTERM) == 0 else { throw .notFound("there is no agent with the process number \(identifier)") }
        print(shell.unset("SSH_AUTH_SOCK"), shell.unset("SSH_AGENT_PID"), "echo Agent pid \(identifier) killed;", separator: "\n")
    }

    /// Whoever has an agent already finds the certificate in it; that it takes none is no reason to do nothing.
    private func loadRunningAgent() throws {
        guard let path = ProcessEnvironment.value("SSH_AUTH_SOCK"), !path.isEmpty, let login = try? client.login() else { return }
        try Program.onLoop { loop in try? await LocalAgent.add(login.identity, path: path, loop) }
    }

    // MARK: In the foreground

    private func serve(_ shell: AgentShell) throws {
        let path = try socketPath()
        let store = KeyStore(home: try Home.directory())
        // For the moment between the making of the socket and its mode.
        umask(0o077)
        try Program.onLoop { loop in
            let inside = loop.inside
            let server = try AgentServer(path: path, store: store, on: inside)
            print(shell.settings(socket: path, identifier: SystemName.processIdentifier))
            fflush(nil)
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                AgentEnd(server, continuation).watch(on: inside)
            }
        }
        if socket == nil { try FileIO.removeTree(Self.folder(of: path)) }
    }

    private func socketPath() throws(TeleportError) -> String {
        if let socket { return try FileIO.absolute(socket) }
        let base = ProcessEnvironment.value("XDG_RUNTIME_DIR").flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "/tmp"
        let folder = "\(base)/tsh-\(Hex.encode(SystemRandomness().bytes(8)))"
        try FileIO.createDirectory(folder, mode: 0o700)
        return "\(folder)/agent.\(SystemName.processIdentifier)"
    }

    private static func folder(of path: String) -> String {
        String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
    }

    // MARK: Behind

    /// The same again in a session of its own, which says when it serves.
    private func start(_ shell: AgentShell) throws {
        var arguments = ["tsh", "agent", "--foreground", csh ? "--csh" : "--sh"]
        if let socket { arguments += ["--socket", try FileIO.absolute(socket)] }
        let command = ChildProcess.Command(
            executable: try FileIO.executablePath(), arguments: arguments,
            environment: ProcessEnvironment.all.map { "\($0.name)=\($0.value)" }, directory: "/",
            descriptors: [0: .null, 1: .output, 2: .output], group: .session)
        try Program.onLoop { loop in
            let inside = loop.inside
            let text = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<String, any Error>) in
                AgentStart(continuation).begin(command, on: inside)
            }
            print(text, terminator: "")
        }
    }
}

/// What a shell is told, in its own language.
struct AgentShell {
    let isCsh: Bool

    func set(_ name: String, _ value: String) -> String {
        isCsh ? "setenv \(name) \(value);" : "\(name)=\(value); export \(name);"
    }

    func unset(_ name: String) -> String {
        isCsh ? "unsetenv \(name);" : "unset \(name);"
    }

    func settings(socket: String, identifier: Int32) -> String {
        [set("SSH_AUTH_SOCK", socket), set("SSH_AGENT_PID", "\(identifier)"), "echo Agent pid \(identifier);"].joined(separator: "\n")
    }
}

/// Waits for whoever ends the agent.
private final class AgentEnd {
    private let server: AgentServer
    private var continuation: CheckedContinuation<Void, any Error>?
    private var watchers: [SignalWatcher] = []

    init(_ server: AgentServer, _ continuation: CheckedContinuation<Void, any Error>) {
        self.server = server
        self.continuation = continuation
    }

    func watch(on loop: Loop) {
        do throws(TeleportError) {
            for signal in [Signal.terminate, .interrupt, .hangUp] {
                watchers.append(try SignalWatcher(signal, on: loop) { self.end(nil) })
            }
        } catch {
            end(error)
        }
    }

    private func end(_ error: TeleportError?) {
        guard let continuation else { return }
        self.continuation = nil
        server.close()
        for watcher in watchers { watcher.close() }
        if let error { continuation.resume(throwing: error) } else { continuation.resume() }
    }
}

/// Waits until the agent behind has said where it is, or has died.
private final class AgentStart: StreamHandler {
    private var continuation: CheckedContinuation<String, any Error>?
    private var process: ChildProcess?
    private var output: [UInt8] = []
    private var errors: [UInt8] = []

    init(_ continuation: CheckedContinuation<String, any Error>) {
        self.continuation = continuation
    }

    func begin(_ command: ChildProcess.Command, on loop: Loop) {
        do throws(TeleportError) {
            let process = try ChildProcess(command, on: loop) { _ in self.ended() }
            self.process = process
            for number: Int32 in 1...2 {
                process.stream(number)?.handler = self
                process.stream(number)?.resumeReading()
            }
        } catch {
            finish(.failure(error))
        }
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        guard stream === process?.stream(1) else { return errors.append(copying: bytes.span) }
        output.append(copying: bytes.span)
        let text = String(decoding: output, as: UTF8.self)
        // The last line; the agent says nothing after it.
        if text.contains("echo Agent pid"), text.hasSuffix("\n") { finish(.success(text)) }
    }

    func streamEnded(_ stream: Stream) { stream.close() }
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) {}

    private func ended() {
        var text = String(decoding: errors, as: UTF8.self)
        if text.hasPrefix("ERROR: ") { text.removeFirst("ERROR: ".count) }
        finish(.failure(.connectionProblem(text.isEmpty ? "the agent ended at once" : String(text.prefix { !$0.isNewline }))))
    }

    private func finish(_ result: Result<String, TeleportError>) {
        let continuation = continuation
        self.continuation = nil
        continuation?.resume(with: result.mapError { $0 as any Error })
    }
}
