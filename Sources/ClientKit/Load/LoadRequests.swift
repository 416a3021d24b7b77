internal import Base
internal import SSHNet
internal import SSHWire

/// A session with one command of which only the end is wanted.
final class CommandRequest: ChannelHandler {
    private let command: String
    private let node: NodeClient
    private var then: ((TeleportError?) -> Void)?
    private var end: TeleportError? = .connectionProblem("the session ended without an exit status")

    private init(_ command: String, on node: NodeClient, _ then: @escaping (TeleportError?) -> Void) {
        self.command = command
        self.node = node
        self.then = then
    }

    /// - Parameter then: is told what went wrong, a status other than 0 included; the connection to the node is closed before.
    static func start(_ command: String, on result: Result<NodeClient, TeleportError>, then: @escaping (TeleportError?) -> Void) {
        switch result {
        case .failure(let error): then(error)
        case .success(let node):
            if node.openSession(CommandRequest(command, on: node, then)) == nil {
                then(.connectionProblem("the connection to the node has ended"))
            }
        }
    }

    func channelOpened(_ channel: SSHChannel) {
        let request = SessionRequest.exec(command: Array(command.utf8))
        channel.request(request.type, payload: request.payload()) { [self] success in
            if success { return channel.sendEOF() }
            end = .accessDenied("the node refused the command")
            channel.close()
        }
    }

    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        end = .accessDenied("the node opened no session: \(message)")
        finish()
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        channel.consumed(data.count)
    }

    func channel(_ channel: SSHChannel, request: ChannelRequest) {
        switch try? SessionRequest(type: request.type, payload: request.payload) {
        case .exitStatus(let status)?: end = status == 0 ? nil : .connectionProblem("the command ended with status \(status)")
        case .exitSignal(let name, _, _)?: end = .connectionProblem("the command was ended by signal \(name)")
        default: break
        }
        request.reply(false)
    }

    func channelClosed(_ channel: SSHChannel) {
        finish()
    }

    private func finish() {
        let then = then
        self.then = nil
        node.close()
        then?(end)
    }
}

/// A channel to a node's port that has done its work when the node has said something, as every SSH server does at once.
final class FirstByteRequest: ChannelHandler {
    private var then: ((TeleportError?) -> Void)?

    init(_ then: @escaping (TeleportError?) -> Void) {
        self.then = then
    }

    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        finish(.connectionProblem("no way to the node: \(ProxyText.message(Array(message.utf8)) ?? "the proxy gives no reason")"))
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        channel.close()
        finish(nil)
    }

    func channelClosed(_ channel: SSHChannel) {
        finish(.connectionProblem("the node ended the connection before it said anything"))
    }

    private func finish(_ error: TeleportError?) {
        let then = then
        self.then = nil
        then?(error)
    }
}
