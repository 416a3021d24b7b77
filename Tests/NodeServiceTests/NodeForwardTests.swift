import Base
import Crypto
import EventLoop
import NodeService
import SSHWire
import Testing

@Suite("Forwarding through a node, with stock OpenSSH", .timeLimit(.minutes(2)))
struct NodeForwardTests {
    private static let bulk = patterned(6 << 20)
    private static let isRoot = UserAccounts.effectiveIdentifier == 0

    private func expectEcho(_ bytes: [UInt8], _ node: TestNode, _ address: SocketAddress) async throws {
        let answer = try await node.exchange(bytes, with: address)
        let isSame = answer == bytes
        #expect(isSame, "\(answer.count) of \(bytes.count) bytes")
    }

    // MARK: Toward the node's side

    @Test func `-L carries bulk both ways at once, to IPv4, IPv6 and a name, and ends each direction on its own`() async throws {
        let node = try await TestNode()
        let (target, target6) = (try await node.echo(), try await node.echo(at: .ip(.loopback6, port: 0)))
        let own = TestNode.ownAddress()
        let ssh = try await BackgroundSSH(
            node,
            [
                "-L", "\(own):7001:\(target.address)", "-L", "\(own):7002:\(target6.address)",
                "-L", "\(own):7003:localhost:\(try #require(target.address.port))",
            ])
        try await expectEcho(Self.bulk, node, .ip(own, port: 7001))
        try await expectEcho(Array("six".utf8), node, .ip(own, port: 7002))
        try await expectEcho([], node, .ip(own, port: 7003))
        try await ssh.end()
    }

    @Test func `-W to an IPv6 address in brackets`() async throws {
        let node = try await TestNode()
        let target = try await node.echo(at: .ip(.loopback6, port: 0))
        let outcome = try await node.ssh(options: ["-W", "\(target.address)"], input: Array("through".utf8))
        #expect(outcome.text == "through", "\(outcome.errors)")
    }

    @Test func `a target that cannot be reached is refused with the reason`() async throws {
        let node = try await TestNode()
        let closed = try await node.ssh(options: ["-W", "127.0.0.1:1", "-o", "LogLevel=INFO"])
        #expect(closed.errors.contains("connect failed") && closed.errors.contains("connection refused"), "\(closed.errors)")
        let unknown = try await node.ssh(options: ["-W", "no-such-host.invalid:1", "-o", "LogLevel=INFO"])
        #expect(unknown.errors.contains("no-such-host.invalid has no address"), "\(unknown.errors)")
    }

    @Test func `-D serves curl`() async throws {
        let node = try await TestNode()
        let own = TestNode.ownAddress()
        let ssh = try await BackgroundSSH(node, ["-D", "\(own):7000"])
        let outcome = try await node.run(
            "/usr/bin/curl", ["-sS", "--http0.9", "--socks5-hostname", "\(own):7000", "http://localhost:\(node.port)/"])
        #expect(outcome.text.hasPrefix("SSH-2.0-"), "\(outcome.errors)")
        try await ssh.end()
    }

    @Test func `a thousand short connections go through one forward`() async throws {
        let node = try await TestNode()
        let target = try await node.echo()
        let own = TestNode.ownAddress()
        let ssh = try await BackgroundSSH(node, ["-L", "\(own):7001:\(target.address)"])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<20 {
                group.addTask {
                    for number in 0..<50 { try await expectEcho(Array("\(worker)/\(number)".utf8), node, .ip(own, port: 7001)) }
                }
            }
            try await group.waitForAll()
        }
        try await ssh.end()
    }

    @Test func `-L reaches a unix socket`() async throws {
        let node = try await TestNode()
        let target = try await node.echo(at: .unix(path: "\(node.directory)/echo"))
        let own = TestNode.ownAddress()
        let ssh = try await BackgroundSSH(
            node, ["-L", "\(own):7001:\(node.directory)/echo", "-L", "\(node.directory)/local:\(node.directory)/echo"])
        try await expectEcho(Self.bulk, node, .ip(own, port: 7001))
        try await expectEcho(Array("local".utf8), node, .unix(path: "\(node.directory)/local"))
        try await ssh.end()
        _ = target
    }

    @Test(.enabled(if: isRoot, "needs root"))
    func `a unix socket is reached and made with the rights of the login user, not the node's`() async throws {
        let node = try await TestNode()
        let target = try await node.echo(at: .unix(path: "\(node.directory)/echo"))
        let own = TestNode.ownAddress()
        try FileIO.setMode(0o711, of: node.directory)
        let ssh = try await BackgroundSSH(
            node, ["-L", "\(own):7001:\(node.directory)/echo"], credential: .init(principals: ["nobody"]), login: "nobody")
        let answer = try await node.exchange([], with: .ip(own, port: 7001))
        #expect(answer.isEmpty)
        #expect(node.log.withLock { $0.contains { $0.contains("forward refused") && $0.contains("permission denied") } })
        let made = try await ssh.control("forward", ["-R", "\(node.directory)/made:\(target.address)"])
        #expect(made.exit != .status(0))
        try FileIO.setMode(0o666, of: "\(node.directory)/echo")
        try await expectEcho(Array("y".utf8), node, .ip(own, port: 7001))
        try await ssh.end()
    }

    // MARK: Toward the client's side

    @Test func `-R to a port that the system chooses carries bulk both ways at once`() async throws {
        let node = try await TestNode()
        let target = try await node.echo()
        let ssh = try await BackgroundSSH(node)
        let port = try await ssh.forwardAnyPort(to: target.address)
        try await expectEcho(Self.bulk, node, .ip(.loopback4, port: port))
        try await expectEcho(Array("six".utf8), node, .ip(.loopback6, port: port))
        try await ssh.end()
        await #expect(throws: TeleportError.self, "it goes with its connection") {
            try await node.exchange([], with: .ip(.loopback4, port: port))
        }
    }

    @Test(arguments: ["", "localhost:", "*:", "0.0.0.0:", "192.0.2.1:"])
    func `whatever address is asked for, the node listens on its loopback`(address: String) async throws {
        let node = try await TestNode()
        let ssh = try await BackgroundSSH(node)
        let outcome = try await ssh.control("forward", ["-R", "\(address)0:127.0.0.1:1"])
        let port = try #require(UInt16(outcome.text.filter(\.isNumber)), "\(outcome.errors)")
        let listening = try await node.run("/usr/bin/ss", ["-Hltn", "sport = :\(port)"])
        let addresses = Set(listening.lines.compactMap { $0.split(separator: " ").dropFirst(3).first.map(String.init) })
        #expect(addresses == ["127.0.0.1:\(port)", "[::1]:\(port)"])
        try await ssh.end()
    }

    @Test func `-R to one of the two loopback addresses is not on the other`() async throws {
        let node = try await TestNode()
        let target = try await node.echo()
        let ssh = try await BackgroundSSH(node)
        let outcome = try await ssh.control("forward", ["-R", "127.0.0.1:0:\(target.address)"])
        let port = try #require(UInt16(outcome.text.filter(\.isNumber)), "\(outcome.errors)")
        try await expectEcho(Array("four".utf8), node, .ip(.loopback4, port: port))
        await #expect(throws: TeleportError.self) { try await node.exchange([], with: .ip(.loopback6, port: port)) }
        try await ssh.end()
    }

    @Test func `a port that is taken, and the node's own, are refused`() async throws {
        let node = try await TestNode()
        let taken = try await node.echo()
        for port in [try #require(taken.address.port), node.port] {
            let outcome = try await node.ssh(
                "true", options: ["-R", "127.0.0.1:\(port):127.0.0.1:1", "-o", "ExitOnForwardFailure=yes"])
            #expect(outcome.exit == .status(255))
        }
    }

    @Test(.enabled(if: isRoot, "needs root"))
    func `a port below 1024 is for root logins`() async throws {
        let node = try await TestNode()
        let outcome = try await node.ssh(
            options: ["-N", "-v", "-R", "1023:127.0.0.1:1", "-o", "ExitOnForwardFailure=yes"],
            credential: .init(principals: ["nobody"]), login: "nobody")
        #expect(outcome.exit == .status(255))
        #expect(outcome.errors.contains("ports below 1024 are for root"), "\(outcome.errors)")
    }

    @Test func `a cancelled forward is gone, and its port free for the next`() async throws {
        let node = try await TestNode()
        let target = try await node.echo()
        let ssh = try await BackgroundSSH(node)
        let port = try await ssh.forwardAnyPort(to: target.address)
        let cancelled = try await ssh.control("cancel", ["-R", "0:\(target.address)"])
        #expect(cancelled.exit == .status(0), "\(cancelled.errors)")
        await #expect(throws: TeleportError.self) { try await node.exchange([], with: .ip(.loopback4, port: port)) }
        let again = try await ssh.control("forward", ["-R", "\(port):\(target.address)"])
        #expect(again.exit == .status(0), "\(again.errors)")
        try await expectEcho(Array("again".utf8), node, .ip(.loopback4, port: port))
        try await ssh.end()
    }

    @Test func `-R of a unix socket makes it the user's own, and takes it away`() async throws {
        let node = try await TestNode()
        let target = try await node.echo()
        let path = "\(node.directory)/remote"
        let ssh = try await BackgroundSSH(node, ["-R", "\(path):\(target.address)"])
        #expect(try FileIO.status(path)?.mode == 0o600)
        #expect(try FileIO.status(path)?.owner == node.account.identifier)
        try await expectEcho(Self.bulk, node, .unix(path: path))
        let again = try await node.ssh("true", options: ["-R", "\(path):127.0.0.1:1", "-o", "ExitOnForwardFailure=yes"])
        #expect(again.exit == .status(255), "a path that exists is not taken over")
        try await expectEcho(Array("still there".utf8), node, .unix(path: path))
        let cancelled = try await ssh.control("cancel", ["-R", "\(path):\(target.address)"])
        #expect(cancelled.exit == .status(0), "\(cancelled.errors)")
        #expect(try await node.ssh("while test -e \(path); do :; done; echo gone").text == "gone\n")
        let second = try await ssh.control("forward", ["-R", "\(path):\(target.address)"])
        #expect(second.exit == .status(0), "\(second.errors)")
        try await ssh.end()
        #expect(try await node.ssh("while test -e \(path); do :; done; echo gone").text == "gone\n")
    }

    // MARK: Who may not

    @Test(arguments: [
        ["-R", "0:127.0.0.1:1"], ["-R", "/tmp/teleport-never:127.0.0.1:1"],
    ])
    func `a certificate without port forwarding opens no remote forward, and -v says why`(options: [String]) async throws {
        let node = try await TestNode()
        let outcome = try await node.ssh("true", options: ["-v", "-o", "ExitOnForwardFailure=yes"] + options, credential: .init(flags: []))
        #expect(outcome.exit == .status(255))
        #expect(outcome.errors.contains("permits no port forwarding"), "\(outcome.errors)")
    }

    @Test func `a certificate without port forwarding reaches no unix socket`() async throws {
        let node = try await TestNode()
        let own = TestNode.ownAddress()
        let ssh = try await BackgroundSSH(node, ["-L", "\(own):7001:/run/never"], credential: .init(flags: []))
        let answer = try await node.exchange([], with: .ip(own, port: 7001))
        #expect(answer.isEmpty)
        #expect(node.log.withLock { $0.contains { $0.contains("channel refused") && $0.contains("no port forwarding") } })
        try await ssh.end()
    }
}
