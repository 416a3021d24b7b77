import Base
import ClusterHarness
import ClusterModel
import Config
import Crypto
import EventLoop
import Testing

@Suite("A node behind a firewall", .serialized, .timeLimit(.minutes(5)))
struct BehindNATTests {
    /// Processes die here; each test waits until all are back.
    private static let behindNAT = Result { try ClusterHarness("behind-nat") }

    private static func harness() async throws -> ClusterHarness {
        let harness = try behindNAT.get()
        try await harness.ready()
        return harness
    }

    private struct Line: Decodable {
        let name: String
        let uuid: String
        let addr: String
    }

    private func camera(_ person: Person) async throws -> Line {
        let nodes = try JSONText.decode([Line].self, from: try await person.tsh("ls", "--format=json").succeeded().output)
        return try #require(nodes.first { $0.name == "cam1" })
    }

    private func proxyCommand(_ person: Person, options: String = "") -> [String] {
        ["-o", "ProxyCommand=/usr/bin/ssh -F \(person.sshConfigPath) \(options) -p 3023 %r@\(person.proxyHost) -s proxy:%h:%p"]
    }

    private func ssh(_ person: Person, _ arguments: [String], input: [UInt8] = []) async throws -> Outcome {
        try await person.harness.runner.run("/usr/bin/ssh", ["-F", person.sshConfigPath] + arguments, input: input)
    }

    private func waitUntilReached(_ person: Person) async throws -> Duration {
        try await until("cam1 is reached again") {
            try await person.tsh("ssh", "\(person.harness.login)@cam1", "exit 3").exit == .status(3)
        }
    }

    @Test func `it is listed like any other, without an address`() async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        let camera = try await camera(person)
        #expect(camera.addr.isEmpty)
        let listed = try await person.tsh("ls", "role=camera")
        #expect(listed.lines.contains { $0.contains("cam1") && $0.contains("(tunnel)") && $0.contains(camera.uuid) }, "\(listed)")
        #expect(!listed.text.contains("web1"), "\(listed)")
        let nodes = try await harness.tctl("hub", "nodes", "ls")
        #expect(nodes.text.contains("cam1") && nodes.text.contains("web1"), "\(nodes)")
        // No word of where the auth server is has come to its host.
        let config = try #require(try harness.cluster("hub").hosts.first { $0.name == "cam1" }?.config)
        let auth = try harness.cluster("hub").auth.prefix { $0 != ":" }
        let log = try harness.log(of: "hub/cam1")
        for text in [String(decoding: try FileIO.read(config), as: UTF8.self), log] { #expect(!text.contains(auth), "\(text)") }
    }

    @Test func `tsh and ssh reach it by its name and its UUID, on every route`() async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        let uuid = try await camera(person).uuid
        let command = "cat; echo ${SSH_TELEPORT_HOST_UUID}; echo oops >&2; exit 7"
        for name in ["cam1", uuid] {
            let tsh = try await person.tsh("ssh", "\(harness.login)@\(name)", command, input: Array("in\n".utf8))
            #expect(tsh.exit == .status(7) && tsh.text == "in\n\(uuid)\n" && tsh.errors.hasSuffix("oops\n"), "\(tsh)")
            for arguments in [
                proxyCommand(person) + [name], proxyCommand(person) + ["\(name).hub"], proxyCommand(person) + ["-p", "3022", name],
                ["-J", "\(person.proxyHost):3023", "\(name).hub"],
            ] {
                let outcome = try await ssh(person, arguments + [command], input: Array("in\n".utf8))
                #expect(outcome.exit == .status(7) && outcome.text == "in\n\(uuid)\n", "\(arguments): \(outcome)")
            }
        }
        let labelled = try await person.tsh("ssh", "\(harness.login)@env=prod", "echo here")
        #expect(labelled.lines.sorted() == ["cam1: here", "web1: here"], "\(labelled)")
    }

    @Test func `files go there and come back whole`() async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        let folder = person.folder
        let big = SystemRandomness().bytes(3 << 20)
        try FileIO.write(big, to: "\(folder)/big")
        let options = ["-q", "-F", person.sshConfigPath] + proxyCommand(person)
        for (from, to) in [("\(folder)/big", "cam1:\(folder)/there"), ("cam1:\(folder)/there", "\(folder)/back")] {
            try await harness.runner.run("/usr/bin/scp", options + [from, to]).succeeded()
        }
        try await person.tsh("scp", "\(harness.login)@cam1:\(folder)/there", "\(folder)/again").succeeded()
        for name in ["back", "again"] {
            let isSame = try FileIO.read("\(folder)/\(name)") == big
            #expect(isSame, "\(name)")
        }
    }

    @Test func `its sessions see where the user comes from`() async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        let here = harness.freeAddress(9)
        let outcome = try await ssh(person, proxyCommand(person, options: "-b \(here)") + ["cam1", "echo $SSH_CLIENT"])
        #expect(outcome.text.hasPrefix("\(here) "), "\(outcome)")
        #expect(try harness.log(of: "hub/cam1").contains("peer=\(here):"))
    }

    @Test func `it is back by itself after its proxy was killed`() async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        let session = try await EchoSession(person, "cam1")
        try await harness.kill("hub/proxy")
        try await session.expectCut()
        try await harness.waitUntilAnswering(person.proxy.ssh)
        print("hub/proxy killed: cam1 reached \(try await waitUntilReached(person)) after the proxy answers")
    }

    @Test func `while it is away its users are told so, and when it is back it is reached`() async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        try await harness.takeDown("hub/cam1")
        let expected = "node cam1 is not connected"
        try await until("the proxy has noticed") {
            try await person.tsh("ssh", "\(harness.login)@cam1", "true").errors.contains(expected)
        }
        let outcome = try await ssh(person, proxyCommand(person) + ["cam1", "true"])
        #expect(outcome.exit == .status(255) && outcome.errors.contains(expected), "\(outcome)")
        try harness.bringBack("hub/cam1")
        print("hub/cam1 started: cam1 reached after \(try await waitUntilReached(person))")
    }

    @Test func `it starts and serves while the auth server is away`() async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        let session = try await EchoSession(person, "cam1")
        try await harness.takeDown("hub/auth")
        try await session.check("still here")
        try await harness.kill("hub/cam1")
        try await session.expectCut()
        print("hub/cam1 killed while hub/auth is away: cam1 reached after \(try await waitUntilReached(person))")
        try harness.bringBack("hub/auth")
        let config = "\(harness.directory)/data/hub/auth/teleport.yaml"
        try await until("the auth server answers") {
            try await harness.runner.run(harness.programs.tctl, ["-c", config, "nodes", "ls"]).text.contains("cam1")
        }
    }

    @Test func `a token's instructions name the proxy for such a node`() async throws {
        let harness = try await Self.harness()
        let proxy = try #require(try harness.cluster("hub").proxies.first)
        for arguments in [["nodes", "add"], ["tokens", "add", "--type=node,proxy"]] {
            let config = try harness.cluster("hub").config
            let outcome = try await harness.runner.run(harness.programs.tctl, ["-c", config] + arguments).succeeded()
            #expect(outcome.text.contains("teleport start --roles=node --proxy=\(proxy.web) \\\n"), "\(outcome)")
            #expect(outcome.text.contains(" --auth-server="), "\(outcome)")
        }
        let other = try await harness.tctl("hub", "tokens", "add", "--type=proxy").succeeded()
        #expect(!other.text.contains("--proxy="), "\(other)")
    }
}
