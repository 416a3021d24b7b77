internal import Base
internal import ClusterModel
internal import EventLoop
internal import Logging
internal import SFTP
internal import SSHNet
internal import SSHWire

/// What a session needs to know of its connection, its user and its node.
struct SessionScene {
    let grant: NodeAccess.Grant
    let account: UserAccount
    /// The group that terminals belong to, where the system has one.
    let terminalGroup: UInt32?
    let session: LoginEnvironment.Session
    let children: ForkServer
    let forwards: RemoteForwards
    let loop: Loop
    let logger: Logger
}

/// One session channel (RFC 4254 §6): requests until a program runs, then its bytes until it ends.
///
///     preparing ──shell, exec──▶ running ──exit, output drained──▶ exit-status, EOF, CLOSE
///
/// Backpressure goes both ways: what the program has not read is not granted to the client again, and a client that does not read stops
/// the reading of the program's output.
final class SessionHandler: ChannelHandler, SessionProgramHandler {
    private let scene: SessionScene
    private let logger: Logger
    private var environment = LoginEnvironment()
    private var terminalRequest: PseudoTerminalRequest?
    private var program: SessionProgram?
    /// Why a session that was begun runs nothing.
    private var refusal: String?
    private var channel: SSHChannel?
    private var hasEnded = false
    /// Received, handed to the program, and not yet granted again.
    private var unconsumed = 0
    /// Also before there is a program.
    private var hasInputEnded = false
    /// What has come while the agent's socket is being made, to be taken up in order; nil while nothing waits. The window bounds the data.
    private var waiting: [Arrival]?

    private enum Arrival {
        case request(ChannelRequest)
        case data([UInt8])
        case endOfFile
    }

    /// Arrivals that may wait for the agent's socket: an environment's requests and some.
    private static let waitingMax = 256

    private let closed: () -> Void

    /// - Parameter closed: is called when the channel has closed.
    init(_ scene: SessionScene, closed: @escaping () -> Void) {
        self.scene = scene
        self.closed = closed
        var logger = scene.logger
        logger[metadataKey: "session"] = "\(scene.session.identifier)"
        self.logger = logger
    }

    // MARK: Requests

    func channel(_ channel: SSHChannel, request: ChannelRequest) {
        self.channel = channel
        if waits(.request(request), on: channel) { return }
        handle(request, on: channel)
    }

    /// - Returns: whether it is not its turn.
    private func waits(_ arrival: Arrival, on channel: SSHChannel) -> Bool {
        guard var arrivals = waiting else { return false }
        waiting = nil
        if case .data(let data) = arrival, case .data(let before)? = arrivals.last {
            arrivals[arrivals.count - 1] = .data(before + data)
        } else if arrivals.count < Self.waitingMax {
            arrivals.append(arrival)
        } else {
            channel.close()
        }
        waiting = arrivals
        return true
    }

    private func handle(_ request: ChannelRequest, on channel: SSHChannel) {
        let parsed: SessionRequest
        do throws(WireError) {
            parsed = try SessionRequest(type: request.type, payload: request.payload)
        } catch {
            logger.info("session request malformed", metadata: ["type": "\(request.type)", "error": "\(error)"])
            return request.reply(false)
        }
        if parsed == .agentForwarding { return forwardAgent(request, on: channel) }
        request.reply(answer(parsed, on: channel))
        // Whoever asks for a transfer is told why there is none where people look: only a program has an error stream.
        if let refusal {
            self.refusal = nil
            end(channel, .exitStatus(1), saying: refusal)
        }
    }

    private func forwardAgent(_ request: ChannelRequest, on channel: SSHChannel) {
        guard scene.grant.options.permitAgentForwarding else {
            return request.reply(refused("the role or certificate permits no agent forwarding", on: channel))
        }
        waiting = []
        scene.forwards.forwardAgent { [self] isServed in
            request.reply(isServed)
            takeUp(on: channel)
        }
    }

    private func takeUp(on channel: SSHChannel) {
        var arrivals = waiting ?? []
        waiting = nil
        while waiting == nil, !arrivals.isEmpty, self.channel != nil {
            switch arrivals.removeFirst() {
            case .request(let request): handle(request, on: channel)
            case .data(let data): take(data.span, on: channel)
            case .endOfFile: endInput()
            }
        }
        waiting?.append(contentsOf: arrivals)
    }

    private func answer(_ request: SessionRequest, on channel: SSHChannel) -> Bool {
        switch request {
        case .environment(let name, let value): program == nil && environment.accept(name: name, value: value)
        case .pseudoTerminal(let request): take(request, on: channel)
        case .windowChange(let size): resize(size, on: channel)
        case .shell: start(command: nil, on: channel)
        case .exec(let command): start(command: command, on: channel)
        case .subsystem(SFTPPacket.subsystem): start(command: nil, subsystem: SFTPPacket.subsystem, on: channel)
        case .subsystem(let name): refused("subsystem \(name) is not available", on: channel)
        case .signal(let name): signal(name, on: channel)
        // A pseudo terminal has no line that a break could be sent on; that there is one is all that is said.
        case .breakSignal: program?.terminal != nil
        case .endOfWrite: endOutput()
        case .agentForwarding: false
        case .exitStatus, .exitSignal: refused("\(request.type) is for a server to say", on: channel)
        case .other("x11-req", _): refused("X11 forwarding is not served", on: channel)
        case .other(let type, _): refused("request \(type) is not known", on: channel)
        }
    }

    /// The reply has no room for the reason.
    private func refused(_ reason: String, on channel: SSHChannel) -> Bool {
        logger.info("session request refused", metadata: ["reason": "\(reason)"])
        channel.connection.explain(reason)
        return false
    }

    private func take(_ request: PseudoTerminalRequest, on channel: SSHChannel) -> Bool {
        guard scene.grant.options.permitPTY else { return refused("the role or certificate permits no terminal", on: channel) }
        guard program == nil, terminalRequest == nil else { return refused("a session has one terminal, from its start", on: channel) }
        terminalRequest = request
        return true
    }

    private func resize(_ size: WindowSize, on channel: SSHChannel) -> Bool {
        guard let terminal = program?.terminal else {
            terminalRequest?.size = size
            return terminalRequest != nil
        }
        do throws(TeleportError) {
            try terminal.resize(TerminalSize(size))
            return true
        } catch {
            return refused(error.message, on: channel)
        }
    }

    private func signal(_ name: String, on channel: SSHChannel) -> Bool {
        guard let program, let signal = Signal(name: name) else { return refused("no program, or no signal \(name)", on: channel) }
        // Who may run one command only has no say in how it ends.
        guard scene.grant.forceCommand == nil else { return refused("a forced command takes no signals", on: channel) }
        program.signal(signal)
        return true
    }

    /// The client takes no more output.
    private func endOutput() -> Bool {
        program?.closeOutput()
        return program != nil
    }

    private func say(_ text: String, on channel: SSHChannel) {
        channel.writeExtended(Array("teleport: \(text)\r\n".utf8).span)
    }

    // MARK: The program

    /// As a forced command, what `sshd` calls its own SFTP server; what scripts compare `SSH_ORIGINAL_COMMAND` with.
    private static let internalSFTP = "internal-sftp"

    private func start(command asked: [UInt8]?, subsystem: String? = nil, on channel: SSHChannel) -> Bool {
        guard program == nil, !hasEnded else { return refused("a session runs one program", on: channel) }
        let forced = scene.grant.forceCommand
        let asked = subsystem == nil ? asked : Array(Self.internalSFTP.utf8)
        let command = forced.map { Array($0.utf8) } ?? asked
        let service = serviceChosen(by: command, isSubsystem: subsystem != nil)
        if service != .program {
            guard scene.grant.options.permitFileCopy else {
                _ = refused("the role permits no file copy", on: channel)
                refusal = "your role does not permit file copy on this node"
                return true
            }
            terminalRequest = nil
        }
        var terminal: PseudoTerminal?
        do throws(TeleportError) {
            terminal = try openTerminal()
            if UserAccounts.effectiveIdentifier == 0 {
                try terminal?.give(to: scene.account.identifier, group: scene.terminalGroup ?? scene.account.group)
            }
            var variables = environment.variables(
                account: scene.account, session: scene.session, terminal: terminal.map { (terminalRequest?.terminal ?? "", $0.path) })
            if forced != nil, let asked { variables.append("SSH_ORIGINAL_COMMAND=\(String(decoding: asked, as: UTF8.self))") }
            if let path = scene.forwards.agentPath { variables.append("SSH_AUTH_SOCK=\(path)") }
            let message = SessionChildMessage(
                account: scene.account, service: service, arguments: service == .program ? arguments(command) : [command ?? []],
                environment: variables, hasTerminal: terminal != nil)
            let program = try SessionProgram(message, terminal: terminal, forkedBy: scene.children, on: scene.loop)
            program.handler = self
            self.program = program
            if hasInputEnded { program.endInput() }
        } catch {
            terminal?.stream.close()
            logger.error("session not started", metadata: ["error": "\(error.chain.joined(separator: ": "))"])
            say("the session cannot be started", on: channel)
            return false
        }
        logger.info(
            "session started",
            metadata: ["login": "\(scene.account.name)", "user": "\(scene.session.user)", "terminal": "\(terminalRequest != nil)"])
        // A command line may hold a secret: it is for who looks for faults.
        if let command { logger.debug("session command", metadata: ["command": "\(String(decoding: command, as: UTF8.self))"]) }
        return true
    }

    /// A forced command wins over all that the client asks for; `internal-sftp` is one that is served here.
    private func serviceChosen(by command: [UInt8]?, isSubsystem: Bool) -> SessionService {
        if let forced = scene.grant.forceCommand { return forced == Self.internalSFTP ? .sftp : .program }
        if isSubsystem { return .sftp }
        return command.map(SCPCommand.isCopy(commandLine:)) == true ? .scp : .program
    }

    private func openTerminal() throws(TeleportError) -> PseudoTerminal? {
        guard let request = terminalRequest else { return nil }
        var modes: [UInt8: UInt32] = [:]
        for mode in request.modes.modes { modes[mode.opcode] = mode.value }
        return try PseudoTerminal(size: TerminalSize(request.size), modes: modes, on: scene.loop)
    }

    /// `-bash` for a login shell, `bash -c COMMAND` for a command, as `login` and `sshd` have it.
    private func arguments(_ command: [UInt8]?) -> [[UInt8]] {
        let name = scene.account.shell.split(separator: "/").last.map { Array($0.utf8) } ?? Array("sh".utf8)
        guard let command else { return [Array("-".utf8) + name] }
        return [name, Array("-c".utf8), command]
    }

    func program(_ program: SessionProgram, wrote bytes: Span<UInt8>, toErrorStream: Bool) {
        guard let channel else { return }
        if toErrorStream { channel.writeExtended(bytes) } else { channel.write(bytes) }
        if !channel.isWritable { program.pauseOutput() }
    }

    func programTakesInput(_ program: SessionProgram) {
        grantConsumed()
    }

    func programClosedInput(_ program: SessionProgram) {
        // For OpenSSH alone, as it asks (PROTOCOL, "eow@openssh.com").
        guard let channel, !channel.hasReceivedEOF, channel.connection.peerIdentification.hasPrefix("SSH-2.0-OpenSSH") else { return }
        channel.request(SessionRequest.endOfWrite.type)
    }

    func programEnded(_ program: SessionProgram, _ exit: ChildProcess.Exit) {
        self.program = nil
        var metadata: Logger.Metadata = [:]
        let request: SessionRequest
        switch exit {
        case .status(let status):
            metadata["status"] = "\(status)"
            request = .exitStatus(UInt32(bitPattern: status))
        case .signal(let signal, let coreDumped):
            metadata["signal"] = "\(signal.number)"
            request =
                signal.name.map { .exitSignal(name: $0, coreDumped: coreDumped, message: "") }
                // As shells report a signal that RFC 4254 §6.10 has no name for.
                ?? .exitStatus(UInt32(128 + signal.number))
        }
        if !program.failure.isEmpty { metadata["error"] = "\(program.failure)" }
        logger.info("session ended", metadata: metadata)
        if let channel { end(channel, request) }
    }

    private func end(_ channel: SSHChannel, _ exit: SessionRequest, saying text: String? = nil) {
        hasEnded = true
        if let text { say(text, on: channel) }
        channel.request(exit.type, payload: exit.payload())
        channel.sendEOF()
        channel.close()
    }

    // MARK: The channel's bytes

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        self.channel = channel
        if waiting != nil, waits(.data(Array(copying: data)), on: channel) { return }
        take(data, on: channel)
    }

    private func take(_ data: Span<UInt8>, on channel: SSHChannel) {
        guard let program else { return channel.consumed(data.count) }
        program.write(data)
        unconsumed += data.count
        if program.takesInput { grantConsumed() }
    }

    private func grantConsumed() {
        let count = unconsumed
        unconsumed = 0
        channel?.consumed(count)
    }

    func channelEOF(_ channel: SSHChannel) {
        if !waits(.endOfFile, on: channel) { endInput() }
    }

    private func endInput() {
        hasInputEnded = true
        program?.endInput()
    }

    func channelWritable(_ channel: SSHChannel) {
        program?.resumeOutput()
    }

    func channelClosed(_ channel: SSHChannel) {
        self.channel = nil
        waiting = nil
        closed()
        guard let program else { return }
        self.program = nil
        logger.info("session abandoned by its client")
        program.terminate()
    }
}

extension TerminalSize {
    /// Sizes beyond what a terminal can have become the largest that it can.
    fileprivate init(_ size: WindowSize) {
        self.init(
            columns: UInt16(clamping: size.columns), rows: UInt16(clamping: size.rows), widthPixels: UInt16(clamping: size.widthPixels),
            heightPixels: UInt16(clamping: size.heightPixels))
    }
}
