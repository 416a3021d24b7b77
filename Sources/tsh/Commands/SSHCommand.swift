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
            Options stand before the node; what follows it is the command, joined by blanks as ssh does. The exit status is that of the \
            command, of several nodes the worst, and 255 where there is none. ~. at the beginning of a line ends a session.

            Forwards are as ssh has them, [bind:]port:host:hostport or a unix socket's path for either end, and may be given several \
            times; one that there cannot be is an error, unless -o ExitOnForwardFailure=no. Hosts are always verified.

            -o ControlPersist=10m keeps the connection to the proxy for the commands to come (see `tsh proxy keep --help`).

            Example: tsh ssh root@db1@east
            Example: tsh ssh -l root env=prod@east uptime
            Example: tsh ssh -N -L 5432:localhost:5432 db1.east
            """)
    @OptionGroup var client: ClientOptions
    @Option(name: [.customShort("l"), .long], help: "The login on the node.") var login: String?
    @Option(name: [.customShort("p", allowingJoined: true), .long], help: "The node's port; by default whichever it has.") var port: UInt16?
    @Flag(name: [.customShort("t"), .customLong("tty")], help: "Ask for a terminal, though there is a command.") var wantsTerminal: Int
    @Flag(name: [.customShort("T"), .customLong("no-tty")], help: "Ask for no terminal.") var wantsNoTerminal: Int
    @Flag(name: [.customShort("n")], help: "Send nothing of stdin.") var ignoresInput = false
    @Flag(name: [.customShort("N"), .customLong("no-command")], help: "Run nothing: forwards alone.") var runsNothing = false
    @Flag(name: [.customShort("A"), .customLong("forward-agent")], help: "Let programs on the node use the agent of SSH_AUTH_SOCK.")
    var forwardsAgent = false
    @Flag(name: [.customShort("a")], help: "Forward no agent.") var forwardsNoAgent = false
    @Option(
        name: [.customShort("L", allowingJoined: true), .customLong("local-forward")],
        help: ArgumentHelp("Listen here; the node connects.", valueName: "[bind:]port:host:hostport")) var local: [String] = []
    @Option(
        name: [.customShort("R", allowingJoined: true), .customLong("remote-forward")],
        help: ArgumentHelp(
            "The node listens; connect from here. Without a target the peer says it in SOCKS.",
            valueName: "[bind:]port[:host:hostport]")) var remote: [String] = []
    @Option(
        name: [.customShort("D", allowingJoined: true), .customLong("dynamic-forward")],
        help: ArgumentHelp("Listen here for SOCKS 4, 4a and 5; the node connects.", valueName: "[bind:]port")) var dynamic: [String] = []
    @Option(
        name: [.customShort("W", allowingJoined: true)],
        help: ArgumentHelp("Join stdin and stdout to what the node connects to.", valueName: "host:port")) var relay: String?
    @Option(
        name: [.customShort("o", allowingJoined: true)],
        help: ArgumentHelp("An option of ssh_config, such as SendEnv or ExitOnForwardFailure.", valueName: "name=value"))
    var options: [String] = []
    @Argument(parsing: .captureForPassthrough, help: ArgumentHelp("Where, and what.", valueName: "words")) var words: [String] = []

    /// What of our environment is offered to the node.
    private static let environmentNames = [
        "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_COLLATE", "LC_MESSAGES", "LC_MONETARY", "LC_NUMERIC", "LC_TIME", "COLORTERM",
    ]

    func validate() throws {
        // The parser takes words as they come from the first one on that is no option of ours.
        if words.first == "--help" || words.first == "-h" { throw CleanExit.helpRequest(self) }
        do throws(TeleportError) {
            let (_, command) = try CommandTarget.split(words)
            _ = try sshOptions()
            guard relay == nil || command == nil && !runsNothing else { throw .badParameter("-W runs no command") }
            guard !runsNothing || command == nil else { throw .badParameter("-N runs no command") }
            _ = try relayTarget()
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

    /// `-o` and the flags that say the same, which count before it.
    private func sshOptions() throws(TeleportError) -> SSHOptions {
        var options = try SSHOptions(options)
        for text in local { options.forwards.append(try Forward(local: text)) }
        for text in remote { options.forwards.append(try Forward(remote: text)) }
        for text in dynamic { options.forwards.append(try Forward(dynamic: text)) }
        if wantsTerminal > 0 { options.terminal = .always }
        if wantsNoTerminal > 0 { options.terminal = .never }
        if forwardsAgent { options.forwardsAgent = true }
        if forwardsNoAgent { options.forwardsAgent = false }
        if runsNothing { options.startsNoSession = true }
        options.user = login ?? options.user
        options.port = port ?? options.port
        return options
    }

    private func relayTarget() throws(TeleportError) -> HostPort? {
        guard let relay else { return nil }
        guard let place = HostPort(relay), place.port > 0 else { throw .badParameter("-W \(relay) is not HOST:PORT") }
        return place
    }

    private func remoteCommand(_ target: CommandTarget, _ command: String?, _ options: SSHOptions) throws(TeleportError) -> RemoteCommand {
        let terminal = LocalTerminal(descriptor: 0)
        let agent = options.forwardsAgent ? Self.agent() : nil
        let work: RemoteCommand.Work
        if let place = try relayTarget() {
            work = .relay(place)
        } else if options.startsNoSession {
            work = .nothing
        } else {
            let asksTerminal =
                options.terminal == .always || options.terminal == .automatic && command == nil && terminal != nil
            work = .session(
                SessionCommand(
                    command: command, wantsTerminal: asksTerminal, environment: Self.environment(options, hasTerminal: asksTerminal),
                    forwardsAgent: agent != nil))
        }
        var remote = RemoteCommand(
            target, work, port: options.port, login: options.user ?? Self.variable("TELEPORT_LOGIN"), localUser: try LocalUser.name(),
            readsInput: !ignoresInput, terminal: terminal)
        remote.forwards = options.forwards
        remote.needsForwards = options.needsForwards
        remote.agent = agent
        return remote
    }

    private static func variable(_ name: String) -> String? {
        ProcessEnvironment.value(name).flatMap { $0.isEmpty ? nil : $0 }
    }

    private static func agent() -> String? {
        let path = variable("SSH_AUTH_SOCK")
        if path == nil { Program.complain("WARNING: there is no agent to forward: SSH_AUTH_SOCK is not set") }
        return path
    }

    private static func environment(_ options: SSHOptions, hasTerminal: Bool) -> [(name: String, value: String)] {
        var values: [String: String] = [:]
        for name in environmentNames { values[name] = ProcessEnvironment.value(name) }
        for (name, value) in ProcessEnvironment.all where options.sends(name) { values[name] = value }
        values.merge(options.environment) { $1 }
        if hasTerminal { values["TERM"] = ProcessEnvironment.value("TERM") ?? "dumb" }
        return values.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
    }

    private func connect(_ target: CommandTarget, _ command: String?) throws -> Int32 {
        let options = try sshOptions()
        let remote = try remoteCommand(target, command, options)
        let login = try client.login()
        let client = client
        let status = Lock<Int32>(RemoteRun.failureStatus)
        try Program.onLoop { loop in
            let inside = loop.inside
            let sharing = try Sharing.wishes(client, options, inside)
            let result = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Int32, any Error>) in
                let run = RemoteRun(remote, as: login, sharing: sharing, randomness: SystemRandomness(), on: inside) {
                    Program.complain($0)
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
