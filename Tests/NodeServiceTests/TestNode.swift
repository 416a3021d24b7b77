import Base
import ClusterModel
import Crypto
import EventLoop
import Logging
import MetricsReader
import NodeService
import SSHEngine
import SSHNet
import SSHWire
import Testing

/// A node on a loopback port, with authorities made on the spot, and stock OpenSSH to talk to it.
final class TestNode: Sendable {
    static let cluster = "east"
    static let hostname = "db1"

    let directory: String
    let account: UserAccount
    let port: UInt16
    let userAuthority: PrivateKey
    let hostPublicKey: PublicKey
    /// What the node has logged.
    let log: Lock<[String]>
    private let hostAuthority: PrivateKey
    let eventLoop: EventLoop
    private let server: ServerBox

    /// The server, which only its loop touches.
    private final class ServerBox: @unchecked Sendable {
        let server: NodeServer
        init(_ server: NodeServer) { self.server = server }
    }

    /// What a certificate may differ in from a good one.
    struct Credential: Sendable {
        var principals: [String]?
        var validFor = Duration.seconds(3600)
        var roles = #"["access"]"#
        var flags = [
            CertificateExtension.permitPTY, CertificateExtension.permitPortForwarding, CertificateExtension.permitAgentForwarding,
        ]
        var authorityExtension = TestNode.cluster
        var critical: [String: String] = [:]
        var authority: PrivateKey?
    }

    struct Outcome: Sendable {
        let exit: ChildProcess.Exit
        let output: [UInt8]
        let errors: String
        var text: String { String(decoding: output, as: UTF8.self) }
        var lines: [String] { text.split(whereSeparator: \.isNewline).map(String.init) }
    }

    init(
        labels: Labels = ["env": "test"], roles: [Role] = Role.defaults, limits: ListenerLimits = ListenerLimits(),
        authenticationDeadline: Duration = .seconds(300), furtherHostKeys: [HostKey] = []
    ) async throws {
        let randomness = SystemRandomness()
        let own = try UserAccounts.account(identifier: UserAccounts.effectiveIdentifier)
        account = try #require(own)
        directory = "/tmp/teleport-node-tests-\(randomness.uuid())"
        try FileIO.createDirectory(directory)
        let userAuthority = PrivateKey.generate(randomness: randomness)
        let hostAuthority = PrivateKey.generate(randomness: randomness)
        self.userAuthority = userAuthority
        self.hostAuthority = hostAuthority
        let log = Lock<[String]>([])
        self.log = log
        let eventLoop = EventLoop(name: "node-tests")
        self.eventLoop = eventLoop
        eventLoop.start()
        let hostKey = PrivateKey.generate(randomness: randomness)
        hostPublicKey = hostKey.publicKey
        let certificate = try CertificateSigner(key: hostAuthority, randomness: randomness).sign(
            CertificateSigner.Request(
                kind: .host, publicKey: hostKey.publicKey, keyID: "uuid.\(Self.cluster)", validPrincipals: [Self.hostname],
                validAfter: SystemClock().wallTime() + .seconds(-60), validBefore: SystemClock().wallTime() + .seconds(3600),
                extensions: CertificateOptions(values: [CertificateExtension.authority: Self.cluster])))
        let executable = try FileIO.executablePath().split(separator: "/").dropLast().joined(separator: "/")
        let configuration = NodeConfiguration(
            uuid: "9f7c0a52-6f2b-4f3e-9d0a-000000000002", hostname: Self.hostname, cluster: Self.cluster, labels: labels,
            address: .ip(.loopback4, port: 0), hostKeys: [HostKey(key: hostKey, certificate: certificate)] + furtherHostKeys,
            authenticationDeadline: authenticationDeadline,
            sessionChildExecutable: "/\(executable)/SessionChildProgram")
        let snapshot = Self.snapshot(userAuthority, roles: roles)
        let logger = Logger(label: "node") { label in
            LineLogHandler(
                label: label, format: .text, level: .debug, clock: SystemClock(),
                destination: LogDestination { line in log.withLock { $0.append(String(decoding: line, as: UTF8.self)) } })
        }
        (server, port) = try await withCheckedThrowingContinuation { continuation in
            eventLoop.post { loop in
                let server = NodeServer(
                    configuration: configuration, snapshot: snapshot, randomness: randomness, logger: logger,
                    on: loop.inside)
                let box = ServerBox(server)
                continuation.resume(
                    with: Result {
                        let listening = try SharedListener(address: configuration.address, limits: limits)
                        try box.server.start(listening)
                        return (box, listening.address.port ?? 0)
                    })
            }
        }
    }

    deinit {
        eventLoop.stop()
        _ = try? FileIO.removeTree(directory)
    }

    /// Connects so many times, says nothing, and waits until `ended` of the connections have been ended by the node.
    func connectSilently(_ count: Int, untilEnded ended: Int) async throws {
        let port = port
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            eventLoop.post { loop in
                let crowd = SilentCrowd(ended: ended) { continuation.resume() }
                crowd.connect(count, to: SocketAddress(.loopback4, port: port), on: loop.inside)
            }
        }
    }

    static func snapshot(_ userAuthority: PrivateKey, roles: [Role]) -> ClusterSnapshot {
        ClusterSnapshot(
            ClusterState(
                clusterName: cluster,
                authorities: [CertificateAuthority(type: .user, cluster: cluster, publicKeys: [userAuthority.publicKey.text()])],
                roles: roles))
    }

    /// What the node counts.
    func figures() async throws -> MetricsReading {
        let server = server
        return try MetricsReading(
            await withCheckedContinuation { continuation in
                eventLoop.post { _ in
                    var metrics = Metrics()
                    server.server.add(to: &metrics)
                    continuation.resume(returning: metrics.text)
                }
            })
    }

    /// Returns when the node knows.
    func update(_ snapshot: ClusterSnapshot) async {
        let server = server
        await withCheckedContinuation { continuation in
            eventLoop.post { _ in
                server.server.update(snapshot: snapshot)
                continuation.resume()
            }
        }
    }

    /// A key and its certificate.
    func issue(_ credential: Credential = Credential()) throws -> (key: PrivateKey, certificate: Certificate) {
        let randomness = SystemRandomness()
        let key = PrivateKey.generate(randomness: randomness)
        let now = SystemClock().wallTime()
        let request = CertificateSigner.Request(
            kind: .user, publicKey: key.publicKey, keyID: "alice", validPrincipals: credential.principals ?? [account.name],
            validAfter: now + .seconds(-7200), validBefore: now + credential.validFor,
            criticalOptions: CertificateOptions(values: credential.critical),
            extensions: CertificateOptions(
                flags: credential.flags,
                values: [
                    CertificateExtension.roles: credential.roles, CertificateExtension.authority: credential.authorityExtension,
                ]))
        return (key, try CertificateSigner(key: credential.authority ?? userAuthority, randomness: randomness).sign(request))
    }

    /// Writes a key and its certificate.
    ///
    /// - Returns: the path of the key.
    func write(_ credential: Credential = Credential()) throws -> String {
        let randomness = SystemRandomness()
        let (key, certificate) = try issue(credential)
        let path = "\(directory)/\(randomness.uuid())"
        try FileIO.write(Array(PrivateKeyFile(key: key).text(randomness: randomness).utf8), to: path, mode: 0o600)
        let line = "\(key.publicKey.type.certificateName) \(Base64.encode(certificate.blob))\n"
        try FileIO.write(Array(line.utf8), to: "\(path)-cert.pub", mode: 0o600)
        let hosts = KnownHostsLine(marker: .certAuthority, patterns: ["*"], key: hostAuthority.publicKey).line
        try FileIO.write(Array("\(hosts)\n".utf8), to: "\(directory)/known_hosts", mode: 0o600)
        return path
    }

    /// The arguments with which `ssh` knows this node alone.
    func arguments(key: String, options: [String] = [], login: String? = nil) -> [String] {
        // The first value of an option is the one that counts.
        options + [
            "-F", "none", "-p", "\(port)", "-i", key, "-l", login ?? account.name, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
            "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=\(directory)/known_hosts",
            "-o", "GlobalKnownHostsFile=/dev/null", "-o", "HostKeyAlias=\(Self.hostname)", "-o", "LogLevel=ERROR", "127.0.0.1",
        ]
    }

    /// `ssh` with a good certificate unless another is given.
    func ssh(_ command: String..., options: [String] = [], credential: Credential = Credential(), login: String? = nil, input: [UInt8] = [])
        async throws -> Outcome
    {
        let key = try write(credential)
        return try await run("/usr/bin/ssh", arguments(key: key, options: options, login: login) + command, input: input)
    }

    /// Runs a program to its end.
    func run(_ executable: String, _ arguments: [String], input: [UInt8] = [], environment: [String] = []) async throws -> Outcome {
        try await withCheckedThrowingContinuation { continuation in
            eventLoop.post { loop in
                do {
                    let run = ProgramRun(continuation)
                    try run.start(executable, arguments, input: input, environment: ["PATH=/usr/bin:/bin"] + environment, on: loop.inside)
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }
}

/// One program of a test's, its output collected.
final class ProgramRun: StreamHandler {
    private let continuation: CheckedContinuation<TestNode.Outcome, any Error>
    private var process: ChildProcess?
    private var output: [UInt8] = []
    private var errors: [UInt8] = []
    private var openStreams = 2
    private var exit: ChildProcess.Exit?
    /// Holds this object until the end.
    private var keepAlive: ProgramRun?

    init(_ continuation: CheckedContinuation<TestNode.Outcome, any Error>) {
        self.continuation = continuation
    }

    func start(_ executable: String, _ arguments: [String], input: [UInt8] = [], environment: [String], on loop: Loop) throws {
        let command = ChildProcess.Command(
            executable: executable, arguments: [executable] + arguments, environment: environment,
            descriptors: [0: .input, 1: .output, 2: .output])
        run(try ChildProcess(command, on: loop, exited: ended), input)
    }

    /// - Parameter message: what descriptor 3, a socket, says before its end.
    func start(forkedBy server: ForkServer, input: [UInt8] = [], message: [UInt8], on loop: Loop) throws {
        let process = try ChildProcess(
            forkedBy: server, descriptors: [0: .input, 1: .output, 2: .output, 3: .socket], on: loop, exited: ended)
        process.stream(3)?.write(message)
        process.stream(3)?.shutdown()
        run(process, input)
    }

    private func ended(_ exit: ChildProcess.Exit) {
        self.exit = exit
        finishIfDone()
    }

    private func run(_ process: ChildProcess, _ input: [UInt8]) {
        keepAlive = self
        self.process = process
        process.stream(0)?.write(input)
        process.stream(0)?.shutdown()
        for number: Int32 in 1...2 {
            process.stream(number)?.handler = self
            process.stream(number)?.resumeReading()
        }
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        if stream === process?.stream(1) { output.append(copying: bytes.span) } else { errors.append(copying: bytes.span) }
    }

    func streamEnded(_ stream: Stream) { stream.close() }
    func streamDrained(_ stream: Stream) {}

    func streamClosed(_ stream: Stream, error: TeleportError?) {
        openStreams -= 1
        finishIfDone()
    }

    private func finishIfDone() {
        guard let exit, openStreams == 0 else { return }
        keepAlive = nil
        continuation.resume(
            returning: TestNode.Outcome(exit: exit, output: output, errors: String(decoding: errors, as: UTF8.self)))
    }
}

/// Connections that say nothing, until enough of them have been ended by the other side.
private final class SilentCrowd: StreamHandler {
    private let ended: Int
    private var endings = 0
    private var streams: [TCPStream] = []
    private var then: (() -> Void)?
    /// Holds this object until the end.
    private var keepAlive: SilentCrowd?

    init(ended: Int, _ then: @escaping () -> Void) {
        self.ended = ended
        self.then = then
    }

    func connect(_ count: Int, to address: SocketAddress, on loop: Loop) {
        keepAlive = self
        for _ in 0..<count {
            TCPStream.connect(to: [address], timeout: .seconds(5), on: loop) { [self] result in
                guard let stream = try? result.get() else { return }
                streams.append(stream)
                stream.handler = self
                stream.resumeReading()
            }
        }
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {}
    func streamEnded(_ stream: Stream) { stream.close() }
    func streamDrained(_ stream: Stream) {}

    func streamClosed(_ stream: Stream, error: TeleportError?) {
        endings += 1
        guard endings == ended, let then else { return }
        self.then = nil
        keepAlive = nil
        for stream in streams { stream.close() }
        then()
    }
}
