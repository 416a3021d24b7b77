import Base
import Crypto
import EventLoop
import SSHEngine
import SSHNet
import SSHWire
import Testing

@Suite("OpenSSH and us")
struct OpenSSHTests {
    @Test(arguments: [nil, "chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr"])
    func `a stock ssh sends megabytes through cat`(cipher: String?) async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let server = try TestServer(keys, on: loop) { $0.accept(handler: EchoChannel()) }
            let folder = try Folder(on: loop)
            defer { folder.remove() }
            let payload = megabytes(3, seed: 2)
            let (output, exit) = try await run(
                ssh(keys, folder, server.listener.address, cipher.map { ["-c", $0] } ?? [], ["-o", "RekeyLimit=1M"]), input: payload,
                on: loop)
            #expect(exit == .status(7))
            expectSame(output, payload)
        }
    }

    @Test func `a stock ssh forwards a port through a pipe`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let target = try TCPListener(address: SocketAddress(.loopback4, port: 0), on: loop) { stream in
                stream.write(Array("from the target".utf8))
                stream.closeAfterWrites()
            }
            let server = try TestServer(keys, on: loop) { request in
                TCPStream.connect(to: [target.address], timeout: .seconds(5), on: loop) { result in
                    guard case .success(let stream) = result else { return request.refuse(.connectFailed, "refused") }
                    ChannelPipe.join(request.accept(handler: EchoChannel()), .stream(stream))
                }
            }
            let folder = try Folder(on: loop)
            defer { folder.remove() }
            let (output, _) = try await run(
                ssh(keys, folder, server.listener.address, ["-W", "anywhere:1"], [], command: []), input: [], on: loop)
            #expect(String(decoding: output, as: UTF8.self) == "from the target")
        }
    }

    @Test func `our client runs commands on a stock sshd`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let folder = try Folder(on: loop)
            defer { folder.remove() }
            let sshd = try sshd(keys, folder, on: loop)
            let transport = try #require(sshd.stream(0))
            let side = Side(keys)
            var configuration = keys.client
            let me = try #require(try UserAccounts.account(identifier: UserAccounts.effectiveIdentifier))
            let credential = UserCredential(identity: .key(keys.user.publicKey), signer: .key(keys.user))
            configuration.engine.role = .client(ClientOptions(user: me.name, credentials: [credential]))
            let connection = SSHConnection.client(stream: transport, configuration: configuration, handler: side, on: loop)
            await side.wait { side.isReady || side.isClosed }
            #expect(side.error?.chain == nil)

            let payload = megabytes(2, seed: 4)
            let collector = Collector()
            let channel = connection.openChannel(type: "session", handler: collector)
            await collector.wait { collector.isOpen }
            var writer = ByteWriter()
            writer.writeText("cat; echo oops >&2; exit 3")
            channel.request("exec", payload: writer.finish()) { _ in }
            collector.pump(payload, into: channel)
            await collector.wait { collector.isClosed || side.isClosed }
            expectSame(collector.bytes, payload)
            #expect(String(decoding: collector.extended, as: UTF8.self) == "oops\n")
            #expect(collector.exitStatus == 3)
            connection.disconnect(.byApplication, "done")
            await side.wait { side.isClosed }
        }
    }

    @Test func `a stock ssh-agent signs for us`() async throws {
        try await onLoop { eventLoop in
            let loop = eventLoop.inside
            let keys = TestKeys()
            let folder = try Folder(on: loop)
            defer { folder.remove() }
            let path = "\(folder.path)/agent"
            let ready = Collected()
            let agent = try ChildProcess(
                ChildProcess.Command(
                    executable: "/usr/bin/ssh-agent", arguments: ["ssh-agent", "-D", "-a", path],
                    descriptors: [0: .null, 1: .output, 2: .null]),
                on: loop
            ) { _ in }
            defer { agent.signal(.terminate) }
            ready.begin(agent.stream(1))
            // It says where it listens once it does.
            await ready.wait { !ready.bytes.isEmpty }
            let client = Box<AgentClient?>(nil)
            let answers = Observed()
            let responses = Box<[AgentResponse]>([])
            AgentClient.connect(path: path, on: loop) { result in
                client.value = try? result.get()
                for request in [
                    AgentRequest.add(AgentIdentity(key: keys.user, comment: "ours")), .requestIdentities,
                    .sign(key: keys.user.publicKey.blob, data: [1, 2, 3], flags: 0),
                ] {
                    client.value?.send(request) { result in
                        if let response = try? result.get() { responses.value.append(response) }
                        answers.changed()
                    }
                }
            }
            await answers.wait { responses.value.count == 3 }
            #expect(responses.value.first == .success)
            #expect(responses.value.dropFirst().first == .identities([.init(key: keys.user.publicKey.blob, comment: "ours")]))
            guard case .signature = responses.value.last else {
                Issue.record("no signature")
                return
            }
        }
    }

    private func ssh(
        _ keys: TestKeys, _ folder: Folder, _ address: SocketAddress, _ options: [String], _ more: [String], command: [String] = ["cat"]
    ) throws -> ChildProcess.Command {
        try folder.write("identity", keys.user)
        try FileIO.write(
            Array("[127.0.0.1]:\(address.port ?? 0) \(keys.host.publicKey.text())\n".utf8), to: "\(folder.path)/known_hosts")
        return ChildProcess.Command(
            executable: "/usr/bin/ssh",
            arguments: [
                "ssh", "-F", "none", "-T", "-i", "\(folder.path)/identity", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
                "-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=\(folder.path)/known_hosts", "-l", "alice", "-p",
                "\(address.port ?? 0)",
            ] + options + more + ["127.0.0.1"] + command,
            descriptors: [0: .input, 1: .output, 2: .inherit])
    }

    /// A server for one connection, which is its standard input and output.
    private func sshd(_ keys: TestKeys, _ folder: Folder, on loop: Loop) throws -> ChildProcess {
        try folder.write("host", keys.host)
        try FileIO.write(Array("\(keys.user.publicKey.text())\n".utf8), to: "\(folder.path)/authorized")
        // Where sshd locks its unprivileged half in.
        if UserAccounts.effectiveIdentifier == 0 { try FileIO.createDirectory("/run/sshd", mode: 0o755) }
        return try ChildProcess(
            ChildProcess.Command(
                executable: "/usr/sbin/sshd",
                arguments: [
                    "/usr/sbin/sshd", "-i", "-e", "-f", "/dev/null", "-h", "\(folder.path)/host", "-o",
                    "AuthorizedKeysFile=\(folder.path)/authorized",
                    "-o", "StrictModes=no", "-o", "UsePAM=no", "-o", "PidFile=none", "-o", "LogLevel=ERROR",
                ], descriptors: [0: .socket, 1: .copy(of: 0), 2: .inherit]),
            on: loop
        ) { _ in }
    }

    /// Feeds a program and gathers what it says.
    private func run(
        _ command: ChildProcess.Command, input: [UInt8], on loop: Loop, isolation: isolated (any Actor)? = #isolation
    ) async throws -> ([UInt8], ChildProcess.Exit?) {
        let output = Collected()
        let child = try ChildProcess(command, on: loop) { exit in
            output.exit = exit
            output.changed()
        }
        output.begin(child.stream(1))
        child.stream(0)?.write(input)
        child.stream(0)?.shutdown()
        await output.wait { output.hasEnded && output.exit != nil }
        return (output.bytes, output.exit)
    }
}

/// What a program writes.
private final class Collected: Observed, StreamHandler {
    var bytes: [UInt8] = []
    var hasEnded = false
    var exit: ChildProcess.Exit?

    func begin(_ stream: PipeStream?) {
        stream?.handler = self
        stream?.resumeReading()
    }
    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        self.bytes.append(copying: bytes.span)
        changed()
    }
    func streamEnded(_ stream: Stream) {
        hasEnded = true
        changed()
        stream.close()
    }
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) {}
}

/// A folder of its own for one test.
private struct Folder {
    let path: String

    init(on loop: Loop) throws {
        path = "/tmp/sshnet-tests-\(SystemRandomness().uuid())"
        try FileIO.createDirectory(path)
    }

    func write(_ name: String, _ key: PrivateKey) throws {
        try FileIO.write(Array(PrivateKeyFile(key: key).text(randomness: SystemRandomness()).utf8), to: "\(path)/\(name)")
    }

    func remove() {
        do {
            try FileIO.removeTree(path)
        } catch {
            Issue.record(error)
        }
    }
}
