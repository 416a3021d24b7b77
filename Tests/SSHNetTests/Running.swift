import Base
import Crypto
import EventLoop
import SSHEngine
import SSHNet
import SSHWire
import Testing

/// Runs `body` on a fresh loop of its own thread, and stops the loop afterwards.
func onLoop<T: Sendable>(_ body: @escaping @Sendable (isolated EventLoop) async throws -> T) async throws -> T {
    let eventLoop = EventLoop(name: "test")
    eventLoop.start()
    defer { eventLoop.stop() }
    return try await withCheckedThrowingContinuation { continuation in
        eventLoop.spawn { eventLoop in
            do {
                continuation.resume(returning: try await body(eventLoop))
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }
}

/// Runs `body` on the first of so many loops, and returns when all have ended.
func onLoops<T: Sendable>(
    _ count: Int, _ body: @escaping @Sendable (LoopGroup, isolated EventLoop) async throws -> T
) async throws -> T {
    let group = LoopGroup(count: count)
    let result = Lock<Result<T, any Error>>(.failure(CancellationError()))
    group.main.spawn { eventLoop in
        do {
            let value = try await body(group, eventLoop)
            result.withLock { $0 = .success(value) }
        } catch {
            result.withLock { $0 = .failure(error) }
        }
        eventLoop.stop()
    }
    try await onLoop { eventLoop in try await eventLoop.work { group.run() } }
    return try result.withLock { $0 }.get()
}

/// Something that tests wait for changes of.
class Observed {
    private var waiting: [(condition: () -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
    /// Is told of each change.
    var changes: (() -> Void)?

    func changed() {
        changes?()
        let ready = waiting.filter { $0.condition() }
        waiting.removeAll { waiter in waiter.condition() }
        for waiter in ready { waiter.continuation.resume() }
    }

    func wait(isolation: isolated (any Actor)? = #isolation, until condition: @escaping () -> Bool) async {
        if condition() { return }
        await withCheckedContinuation { waiting.append((condition, $0)) }
    }
}

/// The keys of a server and a user that know each other.
struct TestKeys: Sendable {
    let host = PrivateKey.generate(randomness: SystemRandomness())
    let user = PrivateKey.generate(randomness: SystemRandomness())

    var server: ConnectionConfiguration {
        ConnectionConfiguration(
            engine: EngineConfiguration(role: .server(ServerOptions(hostKeys: [HostKey(key: host, certificate: nil)]))),
            randomness: SystemRandomness())
    }

    var client: ConnectionConfiguration { client(user) }

    func client(_ key: PrivateKey) -> ConnectionConfiguration {
        let credential = UserCredential(identity: .key(key.publicKey), signer: .key(key))
        return ConnectionConfiguration(
            engine: EngineConfiguration(role: .client(ClientOptions(user: "alice", credentials: [credential]))),
            randomness: SystemRandomness())
    }
}

extension KeyIdentity {
    var key: PublicKey? {
        if case .key(let key) = self { key } else { nil }
    }
}

/// One side of a connection, as a test sees it.
final class Side: Observed, ConnectionHandler {
    let keys: TestKeys
    var isReady = false
    /// Once it is ready.
    private(set) var connection: SSHConnection?
    var isClosed = false
    var error: TeleportError?
    var log: [String] = []
    /// What the server does with a channel.
    var opens: (ChannelOpenRequest) -> Void = { $0.refuse(.administrativelyProhibited, "no channels here") }
    var globalRequests: (GlobalRequest) -> Void = { $0.reply(success: false) }
    var acceptsHostKey: (HostKeyOffer) -> Bool

    init(_ keys: TestKeys) {
        self.keys = keys
        acceptsHostKey = { $0.identity.key == keys.host.publicKey }
    }

    func connection(_ connection: SSHConnection, authenticate attempt: UserAuthAttempt, answer: @escaping (UserAuthAnswer) -> Void) {
        let isKnown = attempt.identity.key == keys.user.publicKey
        if !isKnown { connection.refusedKey(.noCertificate) }
        // As a service does that asks somebody else first.
        connection.loop.schedule(after: .zero) { answer(isKnown ? .accept : .reject) }
    }
    func connection(_ connection: SSHConnection, verify hostKey: HostKeyOffer, answer: @escaping (HostKeyAnswer) -> Void) {
        answer(acceptsHostKey(hostKey) ? .accept : .reject(reason: "another key"))
    }
    func connectionReady(_ connection: SSHConnection) {
        self.connection = connection
        isReady = true
        changed()
    }
    func connection(_ connection: SSHConnection, opens request: ChannelOpenRequest) { opens(request) }
    func connection(_ connection: SSHConnection, globalRequest request: GlobalRequest) { globalRequests(request) }
    func connectionClosed(_ connection: SSHConnection, error: TeleportError?) {
        isClosed = true
        self.error = error
        changed()
    }
}

/// Gathers what a channel brings.
final class Collector: Observed, ChannelHandler {
    var bytes: [UInt8] = []
    var extended: [UInt8] = []
    var requests: [String] = []
    var exitStatus: UInt32?
    var isOpen = false
    var refusal: String?
    var hasEnded = false
    var isClosed = false
    var isWritableAgain: (() -> Void)?

    func channelOpened(_ channel: SSHChannel) {
        isOpen = true
        changed()
    }
    func channelRefused(_ channel: SSHChannel, reason: ChannelOpenFailureReason, message: String) {
        refusal = message
        changed()
    }
    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        bytes.append(copying: data)
        channel.consumed(data.count)
        changed()
    }
    func channel(_ channel: SSHChannel, receivedExtended data: Span<UInt8>, type: UInt32) {
        extended.append(copying: data)
        channel.consumed(data.count)
        changed()
    }
    func channel(_ channel: SSHChannel, request: ChannelRequest) {
        requests.append(request.type)
        if request.type == "exit-status" { exitStatus = request.payload.reduce(0) { $0 << 8 | UInt32($1) } }
        request.reply(true)
        changed()
    }
    func channelWritable(_ channel: SSHChannel) { isWritableAgain?() }
    func channelEOF(_ channel: SSHChannel) {
        hasEnded = true
        changed()
    }
    func channelClosed(_ channel: SSHChannel) {
        isClosed = true
        changed()
    }

    /// Writes all of it as there is room, then ends.
    func pump(_ bytes: [UInt8], into channel: SSHChannel) {
        var sent = 0
        let go = {
            while sent < bytes.count, channel.isWritable {
                channel.write(bytes.span.extracting(sent..<min(sent + 50_000, bytes.count)))
                sent = min(sent + 50_000, bytes.count)
            }
            if sent == bytes.count { channel.sendEOF() }
        }
        isWritableAgain = go
        go()
    }
}

/// Sends back what comes.
final class EchoChannel: ChannelHandler {
    private var withheld = 0

    func channel(_ channel: SSHChannel, received data: Span<UInt8>) {
        channel.write(data)
        if channel.isWritable { channel.consumed(data.count) } else { withheld += data.count }
    }
    func channelWritable(_ channel: SSHChannel) {
        let count = withheld
        withheld = 0
        channel.consumed(count)
    }
    func channel(_ channel: SSHChannel, request: ChannelRequest) { request.reply(request.type == "exec") }
    func channelEOF(_ channel: SSHChannel) {
        channel.request("exit-status", payload: [0, 0, 0, 7])
        channel.sendEOF()
        channel.close()
    }
    func channelClosed(_ channel: SSHChannel) {}
}

/// A listener and what it has accepted.
final class TestServer {
    let listener: SSHListener
    let sides: Box<[Side]>

    init(_ keys: TestKeys, limits: ListenerLimits = ListenerLimits(), on loop: Loop, opens: @escaping (ChannelOpenRequest) -> Void) throws {
        let sides = Box<[Side]>([])
        self.sides = sides
        listener = try SSHListener(
            address: SocketAddress(.loopback4, port: 0), limits: limits, on: loop, configuration: { keys.server },
            makeHandler: { _ in
                let side = Side(keys)
                side.opens = opens
                sides.value.append(side)
                return side
            })
    }
}

/// Holds what a callback brought, for the code of the same loop.
final class Box<Value> {
    var value: Value
    init(_ value: Value) { self.value = value }
}

/// A client connection to a port of this machine.
func dial(
    _ address: SocketAddress, _ configuration: ConnectionConfiguration, _ side: Side, on loop: Loop,
    isolation: isolated (any Actor)? = #isolation
) async throws -> SSHConnection {
    let box = Box<Result<SSHConnection, TeleportError>?>(nil)
    await withCheckedContinuation { continuation in
        SSHDialer.dial([address], configuration: configuration, handler: side, on: loop) { result in
            box.value = result
            continuation.resume()
        }
    }
    guard let result = box.value else { throw TeleportError.notFound("no answer") }
    return try result.get()
}

/// Compares megabytes: a failed `#expect` would print them.
func expectSame(_ bytes: [UInt8], _ expected: [UInt8], sourceLocation: SourceLocation = #_sourceLocation) {
    let isSame = bytes == expected
    #expect(bytes.count == expected.count, sourceLocation: sourceLocation)
    #expect(isSame, sourceLocation: sourceLocation)
}

extension SocketAddress {
    /// A port of the kernel's choice, at a loopback address of the caller's own: once given back, it is not the next test's.
    static var anyPort: SocketAddress { SocketAddress(.v4(.random(in: 0x7f01_0000...0x7ffe_ffff)), port: 0) }
}

/// Bytes without a period below a megabyte, made quickly also in a debug build.
func megabytes(_ count: Int, seed: UInt64) -> [UInt8] {
    let block = SeededRandomness(seed: seed).bytes(4096)
    var bytes: [UInt8] = []
    for number in 0..<count * 256 {
        bytes += block
        bytes[bytes.count - 1] = UInt8(truncatingIfNeeded: number)
        bytes[bytes.count - 2] = UInt8(truncatingIfNeeded: number >> 8)
    }
    return bytes
}
