import Base
import Crypto
import EventLoop
import SSHEngine
import SSHNet
import SSHWire
import Testing

/// Something that a test waits for changes of.
class Observed {
    private var waiting: [(condition: () -> Bool, continuation: CheckedContinuation<Void, Never>)] = []

    func changed() {
        let ready = waiting.filter { $0.condition() }
        waiting.removeAll { waiter in waiter.condition() }
        for waiter in ready { waiter.continuation.resume() }
    }

    func wait(isolation: isolated (any Actor)? = #isolation, until condition: @escaping () -> Bool) async {
        if condition() { return }
        await withCheckedContinuation { waiting.append((condition, $0)) }
    }
}

/// A client of our own engine, for what no stock client does.
final class NodeClient: Observed, ConnectionHandler {
    private var isReady = false
    private(set) var isClosed = false
    private(set) var connection: SSHConnection?
    private(set) var globalRequests: [String] = []
    /// Channels that the node opens, not answered unless the test does.
    private(set) var opens: [ChannelOpenRequest] = []

    /// - Parameter software: what follows `SSH-2.0-` in the client's version line.
    static func connect(
        to node: TestNode, credential: TestNode.Credential = .init(), software: String = "test", on loop: Loop,
        isolation: isolated (any Actor)? = #isolation
    ) async throws -> NodeClient {
        let (key, certificate) = try node.issue(credential)
        var engine = EngineConfiguration(
            role: .client(
                ClientOptions(
                    user: node.account.name, credentials: [UserCredential(identity: .certificate(certificate), signer: .key(key))])))
        engine.softwareVersion = software
        let client = NodeClient()
        SSHDialer.dial(
            [.ip(.loopback4, port: node.port)], configuration: ConnectionConfiguration(engine: engine, randomness: SystemRandomness()),
            handler: client, on: loop
        ) { _ in }
        await client.wait { client.isReady || client.isClosed }
        try #require(client.isReady)
        return client
    }

    func connection(_ connection: SSHConnection, verify hostKey: HostKeyOffer, answer: @escaping (HostKeyAnswer) -> Void) {
        answer(.accept)
    }

    func connectionReady(_ connection: SSHConnection) {
        self.connection = connection
        isReady = true
        changed()
    }

    func connection(_ connection: SSHConnection, opens request: ChannelOpenRequest) {
        opens.append(request)
        changed()
    }

    func connection(_ connection: SSHConnection, globalRequest request: GlobalRequest) {
        globalRequests.append(request.name)
        request.reply(success: false)
        changed()
    }

    func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {
        isClosed = true
        changed()
    }

    func ask(_ name: String, payload: [UInt8] = [], isolation: isolated (any Actor)? = #isolation) async -> GlobalReply {
        await withCheckedContinuation { continuation in
            guard let connection else { return continuation.resume(returning: .closed) }
            connection.sendGlobalRequest(name, payload: payload) { continuation.resume(returning: $0) }
        }
    }

    func ask(_ request: GlobalRequestType, isolation: isolated (any Actor)? = #isolation) async -> GlobalReply {
        await ask(request.name, payload: request.payload())
    }

    /// Opens a channel, and waits until it is open or refused.
    func open(_ type: ChannelOpenType = .session, isolation: isolated (any Actor)? = #isolation) async throws -> ChannelRecorder {
        let recorder = ChannelRecorder()
        recorder.channel = try #require(connection).openChannel(type: type.type, payload: type.payload(), handler: recorder)
        await recorder.wait { recorder.isOpen || recorder.refusal != nil }
        return recorder
    }
}

/// What a channel brings.
final class ChannelRecorder: Observed, ChannelHandler {
    var channel: SSHChannel?
    var bytes: [UInt8] = []
    var errors: [UInt8] = []
    var requests: [(type: String, payload: [UInt8])] = []
    var isOpen = false
    var refusal: (reason: ChannelOpenFailureReason, message: String)?
    var hasEnded = false
    var isClosed = false
    /// Whether what comes is granted again.
    var consumes = true
    private var unconsumed = 0

    var text: String { String(decoding: bytes, as: UTF8.self) }

    func ask(_ request: SessionRequest, isolation: isolated (any Actor)? = #isolation) async -> Bool {
        await withCheckedContinuation { continuation in
            guard let channel else { return continuation.resume(returning: false) }
            channel.request(request.type, payload: request.payload()) { continuation.resume(returning: $0) }
        }
    }

    func ask(command: String, isolation: isolated (any Actor)? = #isolation) async -> Bool {
        await ask(.exec(command: Array(command.utf8)))
    }

    func consumeAll() {
        consumes = true
        let count = unconsumed
        unconsumed = 0
        channel?.consumed(count)
    }

    func channelOpened(_ channel: SSHChannel) {
        isOpen = true
        changed()
    }
    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        refusal = (reason, message)
        changed()
    }
    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        bytes.append(copying: data)
        took(data.count, channel)
    }
    func channel(_ channel: SSHChannel, receivedExtended data: Span<UInt8>, type: UInt32) {
        errors.append(copying: data)
        took(data.count, channel)
    }
    private func took(_ count: Int, _ channel: SSHChannel) {
        if consumes { channel.consumed(count) } else { unconsumed += count }
        changed()
    }
    func channel(_ channel: SSHChannel, request: ChannelRequest) {
        requests.append((request.type, request.payload))
        request.reply(false)
        changed()
    }
    func channelEOF(_ channel: SSHChannel) {
        hasEnded = true
        changed()
    }
    func channelClosed(_ channel: SSHChannel) {
        isClosed = true
        changed()
    }
}
