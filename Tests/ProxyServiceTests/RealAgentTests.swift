import Base
import ClusterModel
import Crypto
import EventLoop
import ProxyService
import ReverseTunnel
import SSHEngine
import SSHNet
import SSHWire
import Testing

/// `ssh -N -R 0` as the agent of a site, with its files in a folder of its own.
final class RealAgent: StreamHandler {
    private(set) var process: ChildProcess?
    private(set) var errors = ""
    private let folder = "/tmp/teleport-agent-tests-\(SystemRandomness().uuid())"
    private let loop: Loop

    init(_ world: World, _ claim: Claim = .site(), options: [String] = []) throws {
        loop = world.loop
        let key = PrivateKey.generate(randomness: SystemRandomness())
        try FileIO.createDirectory(folder)
        try FileIO.write(Array(PrivateKeyFile(key: key).text(randomness: SystemRandomness()).utf8), to: "\(folder)/key")
        try FileIO.write(Array(try claim.certificate(of: key).text().utf8), to: "\(folder)/key-cert.pub")
        let authority = KnownHostsLine(marker: .certAuthority, patterns: ["*"], key: Authorities.shared.hubHost.publicKey, comment: "hub")
        try FileIO.write(Array((authority.line + "\n").utf8), to: "\(folder)/known_hosts")
        let process = try ChildProcess(
            ChildProcess.Command(
                executable: "/usr/bin/ssh",
                arguments: [
                    "ssh", "-F", "none", "-N", "-R", "0", "-p", "\(world.tunnelAddress.port ?? 0)", "-i", "\(folder)/key",
                    "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
                    "-o", "UserKnownHostsFile=\(folder)/known_hosts", "-o", "GlobalKnownHostsFile=/dev/null", "-o",
                    "ExitOnForwardFailure=yes",
                    "-o", "HostKeyAlias=9f7c0a52-6f2b-4f3e-9d0a-0000000000a1.hub",
                ] + options + ["\(claim.keyID)@127.0.0.1"],
                environment: ["PATH=/usr/bin:/bin", "HOME=\(folder)"], descriptors: [0: .input, 1: .output, 2: .output]), on: loop
        ) { _ in }
        self.process = process
        for number: Int32 in 1...2 {
            process.stream(number)?.handler = self
            process.stream(number)?.resumeReading()
        }
    }

    func stop() {
        process?.signal(.kill)
        process?.stream(0)?.close()
        try? FileIO.removeTree(folder)
    }

    /// The tests' time limit ends what never comes.
    func wait(isolation: isolated (any Actor)? = #isolation, until condition: @escaping (RealAgent) -> Bool) async {
        while !condition(self) {
            await withCheckedContinuation { continuation in
                loop.schedule(after: .milliseconds(5)) { continuation.resume() }
            }
        }
    }

    func stream(_ stream: Stream, received bytes: inout MutableSpan<UInt8>) {
        errors += String(decoding: Array(copying: bytes.span), as: UTF8.self)
    }
    func streamEnded(_ stream: Stream) { stream.close() }
    func streamDrained(_ stream: Stream) {}
    func streamClosed(_ stream: Stream, error: TeleportError?) {}
}

@Suite("ssh -N -R 0 as a site's agent", .timeLimit(.minutes(1)))
struct RealAgentTests {
    @Test func `it leads to listed nodes, and says of others why not`() async throws {
        try await inWorld { _, world in
            let mail = try Listener(on: world.loop, greeting: "220 mail ESMTP\r\n")
            var branch = world.branch
            branch.nodes.append(OpenSSHSite.Host(name: "named", addr: "localhost:\(world.trap.port)"))
            branch.nodes.append(OpenSSHSite.Host(name: "mail", addr: "\(mail.address)"))
            world.list([branch])
            let agent = try RealAgent(world)
            await world.connected(["branch"])
            let user = try await world.user()
            #expect(await user.subsystem("proxy:db1:0@branch").text == Listener.greeting)
            #expect(await user.subsystem("proxy:named:0@branch").text == Listener.greeting)
            let direct = await user.direct("db1.branch", world.eastNode.port)
            await direct.wait { !direct.bytes.isEmpty }
            #expect(direct.text == Listener.greeting)
            let gone = await user.direct("gone.branch", 0)
            #expect(
                gone.reason == .connectFailed && gone.refusal?.contains("node gone of site branch at 127.0.0.1:1 cannot be reached") == true
            )
            #expect(await user.direct("mail.branch", 0).refusal?.contains("does not speak SSH") == true)
            #expect(await user.direct("db2.branch", 0).reason == .administrativelyProhibited)
            #expect(world.tunnels.registry.connected == ["branch"] && agent.process?.exit == nil)
            agent.stop()
            mail.close()
        }
    }

    @Test func `what the site's own ssh does not permit is refused there`() async throws {
        try await inWorld { _, world in
            world.list([world.branch])
            let agent = try RealAgent(world, options: ["-o", "PermitRemoteOpen=127.0.0.1:1"])
            await world.connected(["branch"])
            let user = try await world.user()
            let direct = await user.direct("db1.branch", 0)
            #expect(direct.reason == .connectFailed && direct.refusal?.contains("cannot be reached") == true)
            #expect(world.eastNode.connections == 0)
            agent.stop()
        }
    }

    @Test func `it is gone when it is killed, and there again when it is started again`() async throws {
        try await inWorld { _, world in
            world.list([world.branch])
            let first = try RealAgent(world)
            await world.connected(["branch"])
            first.stop()
            await world.connected([])
            let second = try RealAgent(world)
            await world.connected(["branch"])
            let user = try await world.user()
            #expect(await user.subsystem("proxy:db1:0@branch").text == Listener.greeting)
            second.stop()
        }
    }

    @Test func `it ends with an error where the site is not listed, and where it asks for a port`() async throws {
        try await inWorld { _, world in
            world.list([world.branch])
            let stranger = try RealAgent(world, .site("other"))
            await stranger.wait { $0.process?.exit != nil && $0.errors.contains("Permission denied") }
            stranger.stop()
            let greedy = try RealAgent(world, options: ["-R", "8080"])
            await greedy.wait { $0.process?.exit != nil && $0.errors.contains("remote port forwarding failed") }
            greedy.stop()
            await world.connected([])
        }
    }

    @Test func `it ends at once when the site is removed`() async throws {
        try await inWorld { _, world in
            world.list([world.branch])
            let agent = try RealAgent(world)
            await world.connected(["branch"])
            world.list([])
            await agent.wait { $0.process?.exit != nil }
            #expect(world.tunnels.registry.connected.isEmpty)
            agent.stop()
        }
    }
}
