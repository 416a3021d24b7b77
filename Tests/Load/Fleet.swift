import Base
import Crypto
import EventLoop
import ReverseTunnel
import SSHEngine
import SSHWire

/// All agents, and when they came. Bound to its loop.
final class Fleet {
    let loop: Loop
    let tunnelAddress: (address: [UInt8], port: UInt16)
    let trust: HubTrust
    let randomness = SystemRandomness()
    private(set) var agents: [LoadAgent] = []
    private(set) var connected = 0
    /// Attempts that came to nothing, by why.
    private(set) var failures: [String: Int] = [:]
    /// Since ``begin()``.
    private(set) var arrivals: [Duration] = []
    private var began: Instant

    /// What is waited for at most; the figures say how long it took.
    private static let patience: Duration = .seconds(120)
    private static let tunnelPort: UInt16 = 3024

    init(_ hub: HubOptions, on loop: Loop) throws {
        self.loop = loop
        let address = try hub.address()
        guard case .v4 = address else { throw TeleportError.badParameter("\(address) is no address of 127.0.0.0/8") }
        tunnelAddress = (address.bytes, Self.tunnelPort)
        trust = HubTrust(String(decoding: try FileIO.read(hub.knownHosts, max: 1 << 20), as: UTF8.self))
        began = loop.now
        agents = try (0..<hub.sites).map { try LoadAgent(Site(number: $0), in: self) }
    }

    /// As sites that have waited for the proxy for long: each dials within the longest back-off.
    func dial() {
        begin()
        for agent in agents { agent.dial(after: AgentPool.backoff.longest * randomness.unit()) }
    }

    /// Ends every tunnel; each agent dials again by itself.
    func hangUp() {
        begin()
        for agent in agents { agent.hangUp() }
    }

    /// Comes back when all tunnels are up.
    func allConnected(_ eventLoop: isolated EventLoop) async throws {
        let begin = loop.now
        while connected < agents.count {
            guard loop.now - begin < Self.patience else {
                throw TeleportError.connectionProblem(
                    "\(agents.count - connected) of \(agents.count) tunnels are not up after \(Self.patience)")
            }
            try await eventLoop.sleep(for: .milliseconds(10))
        }
    }

    /// Counts arrivals anew.
    func begin() {
        began = loop.now
        arrivals = []
        failures = [:]
    }

    func failed(_ error: TeleportError?) {
        failures[error?.message ?? "the proxy ended it", default: 0] += 1
    }

    func came() {
        connected += 1
        arrivals.append(loop.now - began)
    }

    func left() {
        connected -= 1
    }
}

/// What the hub's host authority says of its proxies.
final class HubTrust {
    private let authorities: TrustedAuthorities
    /// Found right before. Each site has a processor of its own to find that out; here one stands for all.
    private var believed: [UInt8] = []

    /// - Parameter lines: `@cert-authority` lines of the hub.
    init(_ lines: String) {
        authorities = TrustedAuthorities(
            lines.split(whereSeparator: \.isNewline).compactMap { line in
                guard let entry = try? KnownHostsLine(line: String(line)), entry.marker == .certAuthority else { return nil }
                return TrustedAuthority(key: entry.key, use: .host, cluster: entry.comment)
            })
    }

    func judge(_ hostKey: HostKeyOffer, now: UnixTime) -> HostKeyAnswer {
        guard case .certificate(let certificate) = hostKey.identity else { return .reject(reason: "the proxy has a bare key") }
        guard certificate.blob != believed else { return .accept }
        do throws(CertificateDistrust) {
            _ = try HostCertificateCheck(authorities: authorities).judge(certificate, name: certificate.keyID, now: now)
            believed = certificate.blob
            return .accept
        } catch {
            return .reject(reason: error.explanation)
        }
    }
}
