import Base
import Crypto
import SSHEngine
import SSHWire

/// Two engines in memory, without sockets.
enum EngineBenchmarks {
    /// One side seals 32 KiB packets, the other opens them in place: what a byte costs in the engine, there and back.
    static let sealAndOpen = Benchmark(name: "engine-seal-open", unit: "MiB/s") {
        ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"].flatMap { cipher in
            [32 << 10, 1 << 10].map { size in
                let pair = Pair(cipher: cipher)
                pair.connect()
                let block = [UInt8](repeating: 0x5a, count: size)
                let bytes = 64 << 20
                let rate = Benchmark.rate(of: 64) { pair.carry(block, count: bytes / size) }
                return Benchmark.Result(what: "\(cipher) \(size)", median: rate)
            }
        }
    }

    /// From nothing to an authenticated connection, both sides.
    static let keyExchanges = Benchmark(name: "engine-connect", unit: "1/s") {
        let rate = Benchmark.rate(of: 100) {
            for _ in 0..<100 { Pair(cipher: "aes128-gcm@openssh.com").connect() }
        }
        return [Benchmark.Result(what: "curve25519 ed25519", median: rate)]
    }
}

/// A client and a server that agree to everything.
private final class Pair {
    private static let hostKey = PrivateKey.generate(randomness: SystemRandomness())
    private static let userKey = PrivateKey.generate(randomness: SystemRandomness())

    private var client: SSHEngine
    private var server: SSHEngine
    private let now = Instant(nanoseconds: 1)
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)
    private var channel: ChannelID?
    private var received = 0

    init(cipher: String) {
        let credential = UserCredential(identity: .key(Self.userKey.publicKey), signer: .key(Self.userKey))
        var configuration = EngineConfiguration(role: .client(ClientOptions(user: "bench", credentials: [credential])))
        configuration.algorithms.cipher = [cipher]
        client = SSHEngine(configuration: configuration, randomness: SystemRandomness(), now: now)
        let options = ServerOptions(hostKeys: [HostKey(key: Self.hostKey, certificate: nil)])
        server = SSHEngine(configuration: EngineConfiguration(role: .server(options)), randomness: SystemRandomness(), now: now)
    }

    func connect() {
        exchange()
        channel = client.openChannel(type: "session", payload: [])
        exchange()
    }

    func carry(_ block: [UInt8], count: Int) {
        guard let channel else { return }
        received = 0
        var sent = 0
        while sent < count {
            // As much as a turn of the loop gathers.
            var turn = 0
            while sent < count, turn < 224 << 10 {
                client.send(block.span, on: channel)
                sent += 1
                turn += block.count
            }
            exchange()
        }
        precondition(received == block.count * count, "bytes are missing")
    }

    private func exchange() {
        while client.outputCount + server.outputCount > 0 {
            move(&client, &server)
            move(&server, &client)
        }
    }

    private func move(_ from: inout SSHEngine, _ to: inout SSHEngine) {
        while from.outputCount > 0 {
            let count = min(from.outputCount, buffer.count)
            var whole = buffer.mutableSpan
            whole.copy(from.output.extracting(0..<count), at: 0)
            from.consumeOutput(count)
            var input = whole._mutatingExtracting(0..<count)
            do throws(SSHError) {
                while let event = try to.nextEvent(in: &input, now: now) {
                    switch event {
                    case .hostKeyOffered(let token, _): try to.resolve(hostKey: token, .accept)
                    case .userAuthAttempted(let token, _): try to.resolve(userAuth: token, .accept)
                    case .channelOpenRequested(let offer): to.acceptChannel(offer.id)
                    case .channelData(let id, let bytes):
                        received += bytes.count
                        to.consumed(bytes.count, on: id)
                    case .keysExchanged, .signatureWanted, .banner, .loginSent, .authenticated, .channelOpened, .channelRefused,
                        .channelExtendedData,
                        .channelRequest, .channelRequestReply, .channelEOF, .channelClosed, .channelWritable, .globalRequest, .globalReply,
                        .disconnected:
                        break
                    }
                }
            } catch {
                preconditionFailure("\(error)")
            }
        }
    }
}
