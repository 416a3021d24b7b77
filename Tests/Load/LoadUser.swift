import Base
import EventLoop
import SSHEngine
import SSHNet
import SSHWire

/// One user, logged in at the proxy, who opens channels to sites by chance and sees whether bytes come back.
final class LoadUser: ConnectionHandler {
    private let fleet: Fleet
    private let address: SocketAddress
    private let configuration: ConnectionConfiguration
    private var connection: SSHConnection?
    private var isReady = false
    /// From the open message to the echo.
    private(set) var latencies: [Duration] = []
    private(set) var failures: [String: Int] = [:]
    private(set) var open = 0

    init(_ fleet: Fleet, at address: SocketAddress, key: String, certificate: String) throws {
        self.fleet = fleet
        self.address = address
        let certificate = try Certificate(text: certificate)
        let credential = UserCredential(identity: .certificate(certificate), signer: .key(try PrivateKeyFile(text: key).key))
        configuration = ConnectionConfiguration(
            engine: EngineConfiguration(role: .client(ClientOptions(user: certificate.keyID, credentials: [credential]))),
            randomness: fleet.randomness)
    }

    func logIn(_ loop: isolated EventLoop) async throws {
        SSHDialer.dial([address], configuration: configuration, handler: self, on: fleet.loop) { [self] result in
            if case .success(let connection) = result { self.connection = connection }
        }
        while !isReady { try await loop.sleep(for: .milliseconds(10)) }
    }

    func logOut() { connection?.disconnect(.byApplication, "done") }

    func ask() {
        guard let agent = fleet.agents.randomElement(), let connection else { return failed("the user's connection has ended") }
        open += 1
        let endpoints = ChannelOpenType.TCPIPEndpoints(
            host: "node.\(agent.site.name)", port: 22, originatorAddress: "127.0.0.1", originatorPort: 1)
        let type = ChannelOpenType.directTCPIP(endpoints)
        connection.openChannel(type: type.type, payload: type.payload(), handler: LoadQuestion(self, fleet.loop))
    }

    fileprivate func failed(_ reason: String) { failures[reason, default: 0] += 1 }
    fileprivate func answered(_ latency: Duration) { latencies.append(latency) }
    fileprivate func ended() { open -= 1 }

    func connection(_ connection: SSHConnection, verify hostKey: HostKeyOffer, answer: @escaping (HostKeyAnswer) -> Void) {
        answer(fleet.trust.judge(hostKey, now: fleet.loop.wallTime))
    }

    func connectionReady(_ connection: SSHConnection) { isReady = true }

    func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {
        self.connection = nil
        if let error { failed(error.message) }
    }
}

/// One channel: a line there and back.
private final class LoadQuestion: ChannelHandler {
    private let user: LoadUser
    private let loop: Loop
    private let began: Instant
    private var rest = LoadQuestion.line.count

    private static let line = [UInt8](repeating: UInt8(ascii: "x"), count: 64)

    init(_ user: LoadUser, _ loop: Loop) {
        self.user = user
        self.loop = loop
        began = loop.now
    }

    func channelOpened(_ channel: SSHChannel) { channel.write(Self.line) }

    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        user.failed(message)
        user.ended()
    }

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        channel.consumed(data.count)
        rest -= data.count
        guard rest == 0 else { return }
        user.answered(loop.now - began)
        channel.close()
    }

    func channelClosed(_ channel: SSHChannel) {
        if rest > 0 { user.failed("the channel ended early") }
        user.ended()
    }
}
