import ArgumentParser
import Base
import ClientKit
import Crypto
import EventLoop
import Programs

struct SSHCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ssh", abstract: "A shell or a command on a node, or a command on every node with some labels.",
        usage: "tsh ssh [OPTIONS] [LOGIN@]NODE[@SITE] [COMMAND…]\n       tsh ssh [OPTIONS] k=v[,k=v…][@SITE] COMMAND…",
        discussion: """
            Options stand before the node; what follows it is the command, joined by blanks as ssh does. The exit status is that of the
            command, of several nodes the worst, and 255 where there is none. ~. at the beginning of a line ends a session.

            Example: tsh ssh root@db1@east
            Example: tsh ssh -l root env=prod@east uptime
            """)
    @OptionGroup var client: ClientOptions
    @Option(name: [.customShort("l"), .long], help: "The login on the node.") var login: String?
    @Option(name: [.customShort("p", allowingJoined: true), .long], help: "The node's port; by default whichever it has.") var port: UInt16?
    @Flag(name: [.customShort("t"), .customLong("tty")], help: "Ask for a terminal, though there is a command.") var wantsTerminal: Int
    @Flag(name: [.customShort("T"), .customLong("no-tty")], help: "Ask for no terminal.") var wantsNoTerminal: Int
    @Flag(name: [.customShort("n")], help: "Send nothing of stdin.") var ignoresInput = false
    @Argument(parsing: .captureForPassthrough, help: ArgumentHelp("Where, and what.", valueName: "words")) var words: [String] = []

    /// What of our environment is offered to the node.
    private static let environmentNames = [
        "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_COLLATE", "LC_MESSAGES", "LC_MONETARY", "LC_NUMERIC", "LC_TIME", "COLORTERM",
    ]

    func validate() throws {
        // The parser takes words as they come from the first one on that is no option of ours.
        if words.first == "--help" || words.first == "-h" { throw CleanExit.helpRequest(self) }
        do {
            _ = try CommandTarget.split(words)
        } catch {
            throw ValidationError(error.message)
        }
    }

    func run() throws {
        do {
            let (target, command) = try CommandTarget.split(words)
            throw ExitCode(try connect(target, command))
        } catch let error as TeleportError {
            Program.report(error, debug: client.debug)
            throw ExitCode(RemoteRun.failureStatus)
        }
    }

    private func connect(_ target: CommandTarget, _ command: String?) throws -> Int32 {
        let client = try client.login()
        let terminal = LocalTerminal(descriptor: 0)
        let asksTerminal = wantsNoTerminal == 0 && (wantsTerminal > 0 || command == nil && terminal != nil)
        var environment = Self.environmentNames.compactMap { name in ProcessEnvironment.value(name).map { (name: name, value: $0) } }
        if asksTerminal { environment.append((name: "TERM", value: ProcessEnvironment.value("TERM") ?? "dumb")) }
        let remote = RemoteCommand(
            target, SessionCommand(command: command, wantsTerminal: asksTerminal, environment: environment), port: port,
            login: login ?? ProcessEnvironment.value("TELEPORT_LOGIN").flatMap { $0.isEmpty ? nil : $0 }, localUser: try LocalUser.name(),
            readsInput: !ignoresInput, terminal: terminal)
        let status = Lock<Int32>(RemoteRun.failureStatus)
        try Program.onLoop { loop in
            let inside = loop.inside
            let result = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Int32, any Error>) in
                let run = RemoteRun(remote, as: client, randomness: SystemRandomness(), on: inside) {
                    Program.complain("ERROR: \($0)")
                } then: {
                    continuation.resume(with: $0.mapError { $0 as any Error })
                }
                run.start()
            }
            status.withLock { $0 = result }
        }
        return status.withLock { $0 }
    }
}
