package import Base
package import EventLoop
internal import SSHEngine
package import SSHNet
package import SSHWire

/// What is to run on the node.
package struct SessionCommand: Sendable {
    /// nil: the login shell.
    package var command: String?
    /// Whether to ask for a terminal.
    package var wantsTerminal: Bool
    /// `TERM`, `LANG` and the like, as far as the node accepts them.
    package var environment: [(name: String, value: String)]
    /// Whether programs on the node may use our agent.
    package var forwardsAgent: Bool

    package init(
        command: String?, wantsTerminal: Bool, environment: [(name: String, value: String)] = [], forwardsAgent: Bool = false
    ) {
        self.command = command
        self.wantsTerminal = wantsTerminal
        self.environment = environment
        self.forwardsAgent = forwardsAgent
    }
}

/// How a session ended.
package enum SessionEnd: Equatable, Sendable {
    case status(UInt32)
    case signal(String)
    /// Nobody reads our output any more, as in `tsh ssh db1 yes | head -1`.
    case outputClosed
}

/// A shell or command on a node with this process's own stdin, stdout and stderr. Bound to its loop.
///
/// What the standard streams are shared with never sees them made non-blocking. The node gets window back only for what was written.
package final class ClientSession: ChannelHandler, InputUser {
    private let command: SessionCommand
    private let node: NodeClient
    private let loop: Loop
    private let input: InputReader?
    private let output: OutputWriter
    private let errors: OutputWriter
    private let terminal: LocalTerminal?
    private var then: ((Result<SessionEnd, TeleportError>) -> Void)?
    private var channel: SSHChannel?
    private var end: SessionEnd?
    private var watchers: [SignalWatcher] = []
    private var escape = EscapeFilter()
    private var refusedRequest: String?

    /// - Parameters:
    ///   - input: where stdin comes from; nil: nothing is sent.
    package init(
        _ command: SessionCommand, on node: NodeClient, terminal: LocalTerminal?, readsInput: Bool, output: OutputWriter,
        errors: OutputWriter, loop: Loop, then: @escaping (Result<SessionEnd, TeleportError>) -> Void
    ) {
        self.command = command
        self.node = node
        self.loop = loop
        self.terminal = terminal
        self.then = then
        input = readsInput ? InputReader(descriptor: 0, on: loop) : nil
        self.output = output
        self.errors = errors
        input?.user = self
    }

    package func start() {
        // Held until then: a session whose channel is gone has nobody else to wait for the reason.
        node.ended = { [self] error in finish(.failure(error)) }
        for writer in [output, errors] {
            writer.failed = { [weak self] error in
                self?.finish(error.kind == .connectionProblem ? .success(.outputClosed) : .failure(error))
            }
        }
        guard node.openSession(self) != nil else {
            return finish(.failure(.connectionProblem("the connection to the node has ended")))
        }
    }

    private var isInteractive: Bool { terminal != nil && command.wantsTerminal }

    // MARK: ChannelHandler

    package func channelOpened(_ channel: SSHChannel) {
        self.channel = channel
        if command.forwardsAgent { send(.agentForwarding) }
        for (name, value) in command.environment { send(.environment(name: name, value: value)) }
        if command.wantsTerminal { requestTerminal() }
        let request: SessionRequest = command.command.map { .exec(command: Array($0.utf8)) } ?? .shell
        channel.request(request.type, payload: request.payload()) { [self] success in
            if success { begin() } else { refuse(command.command == nil ? "a shell" : "the command") }
        }
    }

    private func requestTerminal() {
        let size = terminal?.size ?? TerminalSize(columns: 80, rows: 24)
        let modes = (terminal?.modes ?? [:]).sorted { $0.key < $1.key }.map { SSHWire.TerminalModes.Mode(opcode: $0.key, value: $0.value) }
        let request = SessionRequest.pseudoTerminal(
            PseudoTerminalRequest(
                terminal: command.environment.first { $0.name == "TERM" }?.value ?? "xterm", size: size.window,
                modes: SSHWire.TerminalModes(modes)))
        channel?.request(request.type, payload: request.payload()) { [self] success in
            if !success { refuse("a terminal") }
        }
    }

    private func begin() {
        guard refusedRequest == nil else { return }
        if let terminal, isInteractive {
            do throws(TeleportError) {
                try terminal.makeRaw()
                watchers.append(try SignalWatcher(.windowChange, on: loop) { [weak self] in self?.sendWindowSize() })
                // Whoever ends this process gets the terminal back as it was.
                for signal in [Signal.terminate, .hangUp] {
                    watchers.append(
                        try SignalWatcher(signal, on: loop) { [weak self] in
                            self?.finish(.failure(.connectionProblem("the session was ended by signal \(signal.name ?? "")")))
                        })
                }
            } catch {
                return finish(.failure(error))
            }
        }
        readInput()
    }

    private func refuse(_ what: String) {
        guard refusedRequest == nil else { return }
        refusedRequest = what
        channel?.close()
    }

    private func send(_ request: SessionRequest) {
        channel?.request(request.type, payload: request.payload())
    }

    private func sendWindowSize() {
        guard let size = terminal?.size else { return }
        send(.windowChange(size.window))
    }

    // MARK: Input

    private func readInput() {
        guard let channel, channel.state == .open, channel.isWritable else { return }
        if let input { input.resume() } else { channel.sendEOF() }
    }

    func inputReceived(_ bytes: Span<UInt8>) {
        guard let channel else { return }
        if isInteractive {
            let filtered = escape.filter(Array(copying: bytes))
            if !filtered.bytes.isEmpty { channel.write(filtered.bytes) }
            if filtered.disconnects { return finish(.failure(.connectionProblem("the session was ended by ~."))) }
        } else {
            channel.write(bytes)
        }
        if !channel.isWritable { input?.pause() }
    }

    func inputEnded() { channel?.sendEOF() }

    package func channelWritable(_ channel: SSHChannel) {
        readInput()
    }

    // MARK: Output

    package func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        output.write(data, from: channel)
    }

    package func channel(_ channel: SSHChannel, receivedExtended data: Span<UInt8>, type: UInt32) {
        errors.write(data, from: channel)
    }

    package func channel(_ channel: SSHChannel, request: ChannelRequest) {
        switch try? SessionRequest(type: request.type, payload: request.payload) {
        case .exitStatus(let status)?: end = .status(status)
        case .exitSignal(let name, _, _)?: end = .signal(name)
        default: break
        }
        request.reply(false)
    }

    package func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        // The end of a connection comes here first; why, ``NodeClient/ended`` says.
        guard !channel.connection.isClosed else { return }
        finish(.failure(.accessDenied("the node opened no session: \(message)")))
    }

    package func channelClosed(_ channel: SSHChannel) {
        // What is still on its way to stdout and stderr goes first.
        output.end { [self] in
            errors.end { [self] in
                if let refusedRequest {
                    finish(.failure(.accessDenied("the node refused \(refusedRequest)")))
                } else if let end {
                    finish(.success(end))
                } else {
                    finish(.failure(.connectionProblem("the session ended without an exit status")))
                }
            }
        }
    }

    private func finish(_ result: Result<SessionEnd, TeleportError>) {
        guard let then else { return }
        self.then = nil
        for watcher in watchers { watcher.close() }
        watchers = []
        input?.close()
        if isInteractive { terminal?.restore() }
        node.ended = nil
        then(result)
    }
}

extension TerminalSize {
    var window: WindowSize {
        WindowSize(columns: UInt32(columns), rows: UInt32(rows), widthPixels: UInt32(widthPixels), heightPixels: UInt32(heightPixels))
    }
}
