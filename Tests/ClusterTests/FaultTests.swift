import Base
import ClusterHarness
import ClusterModel
import Config
import Crypto
import EventLoop
import Testing

@Suite("Faults of hosts and nodes", .serialized, .timeLimit(.minutes(5)))
struct FaultTests {
    /// Not the one of other tests: here processes die.
    private static let broken = Result { try ClusterHarness("two-sites") }

    private static func harness() async throws -> ClusterHarness {
        let harness = try broken.get()
        try await harness.ready()
        return harness
    }

    /// Every way to db1@east that users have.
    private func expectReachable(_ person: Person) async throws {
        let outcome = try await person.tsh("ssh", "\(person.harness.login)@db1@east", "exit 3")
        #expect(outcome.exit == .status(3), "\(outcome)")
        for route in Person.Route.allCases {
            let outcome = try await person.ssh(route, "db1", "exit 3")
            #expect(outcome.exit == .status(3), "\(route): \(outcome)")
        }
    }

    /// The tunnel is to be back five seconds after its proxy answers; more on a machine that does other things beside.
    private static let tunnelLimit: Duration = .seconds(15)

    @Test(arguments: ["hub", "east"])
    func `a proxy that is killed comes back, and the tunnel with it`(cluster: String) async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        let session = try await EchoSession(person, "db1@east")
        try await harness.kill("\(cluster)/proxy")
        try await session.expectCut()
        try await harness.waitUntilAnswering(try #require(try harness.cluster(cluster).proxies.first).ssh)
        let time = try await until("db1@east is reached again", within: Self.tunnelLimit) {
            try await person.tsh("ssh", "\(harness.login)@db1@east", "true").exit == .status(0)
        }
        print("\(cluster)/proxy killed: db1@east reached \(time) after the proxy answers")
        try await expectReachable(person)
    }

    @Test(arguments: ["hub", "east"])
    func `certificates work while an auth server is away`(cluster: String) async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        let session = try await EchoSession(person, "db1@east")
        try await harness.takeDown("\(cluster)/auth")
        try await expectReachable(person)
        try await session.check("still here")
        // What starts meanwhile works from what it knew.
        try await harness.kill("\(cluster)/proxy")
        let time = try await until("db1@east is reached again") {
            try await person.tsh("ssh", "\(harness.login)@db1@east", "true").exit == .status(0)
        }
        print("\(cluster)/proxy killed while \(cluster)/auth is away: db1@east reached after \(time)")
        try await expectReachable(person)
        try harness.bringBack("\(cluster)/auth")
        try await until("the auth server answers") {
            let config = "\(harness.directory)/data/\(cluster)/auth/teleport.yaml"
            return try await harness.runner.run(harness.programs.tctl, ["-c", config, "status"]).exit == .status(0)
        }
        try await expectReachable(try await harness.person())
    }

    @Test(arguments: ["hub", "east"])
    func `an auth server that is killed comes back, and a session does not notice`(cluster: String) async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        let session = try await EchoSession(person, "db1@east")
        try await harness.kill("\(cluster)/auth")
        try await expectReachable(person)
        try await harness.waitUntilAnswering(try harness.cluster(cluster).auth)
        try await expectReachable(try await harness.person())
        try await session.check("still here")
    }

    @Test func `auth servers that hang delay no session`() async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        for host in ["hub/auth", "east/auth"] { try await harness.freeze(host) }
        do {
            try await expectReachable(person)
        } catch {
            Issue.record(error)
        }
        for host in ["hub/auth", "east/auth"] { try await harness.thaw(host) }
    }

    @Test func `a site that is not connected is said to be so`() async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        try await harness.takeDown("east/proxy")
        let says = "site east is not connected"
        let outcome = try await person.tsh("ssh", "\(harness.login)@db1@east", "true")
        #expect(outcome.exit == .status(255) && outcome.errors.hasPrefix("ERROR: ") && outcome.errors.contains(says), "\(outcome)")
        for route in Person.Route.allCases {
            let outcome = try await person.ssh(route, "db1", "true")
            #expect(outcome.exit == .status(255) && outcome.errors.contains(says), "\(outcome)")
        }
        let other = try await person.tsh("ssh", "\(harness.login)@web1", "true")
        #expect(other.exit == .status(0), "\(other)")
        try harness.bringBack("east/proxy")
        try await until("db1@east is reached again") {
            try await person.tsh("ssh", "\(harness.login)@db1@east", "true").exit == .status(0)
        }
    }

    @Test func `a proxy that was away for long has its tunnel back as soon`() async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        try await harness.takeDown("hub/proxy")
        try await harness.waitForLog(of: "east/proxy", "no tunnel", more: 6)
        try harness.bringBack("hub/proxy")
        try await harness.waitUntilAnswering(try #require(try harness.cluster("hub").proxies.first).ssh)
        let time = try await until("db1@east is reached again", within: Self.tunnelLimit) {
            try await person.tsh("ssh", "\(harness.login)@db1@east", "true").exit == .status(0)
        }
        print("hub/proxy away for six attempts: db1@east reached \(time) after the proxy answers")
        try await expectReachable(person)
    }

    @Test func `a site that is not known is named`() async throws {
        let person = try await Self.harness().person()
        let proxy = "ProxyCommand=/usr/bin/ssh -F \(person.sshConfigPath) -p 3023 %r@\(person.proxyHost) -s proxy:%h:%p@atlantis"
        let outcome = try await person.harness.runner.run("/usr/bin/ssh", ["-F", person.sshConfigPath, "-o", proxy, "db1", "true"])
        #expect(outcome.exit == .status(255) && outcome.errors.contains("site atlantis is not known"), "\(outcome)")
        let own = try await person.tsh("ssh", "\(person.harness.login)@db1@atlantis", "true")
        #expect(own.exit == .status(255) && own.errors.contains("atlantis"), "\(own)")
    }

    @Test func `a node that takes connections and never answers fails for who asks, and for nobody else`() async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        let silent = try await SilentListener(address: harness.freeAddress(7), port: 3022, on: harness.eventLoop)
        for cluster in ["hub", "east"] { try await harness.register("mute", address: silent.address, in: cluster) }
        let agents = try harness.log(of: "hub/proxy").ranges(of: "an agent connected").count
        let clock = SystemClock()
        let start = clock.now()
        async let far = person.tsh("ssh", "\(harness.login)@mute@east", "true")
        async let near = person.tsh("ssh", "\(harness.login)@mute", "true")
        async let subsystem = person.ssh(.subsystem, "mute", "true")
        async let jump = person.ssh(.jump, "mute", "true")
        try await expectReachable(person)
        let meanwhile = clock.now() - start
        for outcome in try await [far, near, subsystem, jump] {
            #expect(outcome.exit == .status(255), "\(outcome)")
            #expect(outcome.errors.contains("node mute at \(silent.address)"), "\(outcome)")
        }
        print("a silent node is given up after \(clock.now() - start); others were served within \(meanwhile)")
        try await expectReachable(person)
        #expect(try harness.log(of: "hub/proxy").ranges(of: "an agent connected").count == agents, "the tunnel broke")
    }

    @Test func `a node that refuses is named, with its address`() async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        let address = "\(harness.freeAddress(8)):3022"
        try await harness.register("shut", address: address, in: "east")
        let says = "node shut at \(address) cannot be reached: "
        let outcome = try await person.tsh("ssh", "\(harness.login)@shut@east", "true")
        #expect(outcome.exit == .status(255) && outcome.errors.contains(says) && outcome.errors.contains("refused"), "\(outcome)")
        for route in Person.Route.allCases {
            let outcome = try await person.ssh(route, "shut", "true")
            #expect(outcome.exit == .status(255) && outcome.errors.contains(says), "\(outcome)")
        }
    }

    @Test func `a name that two nodes bear is refused with the identifiers of both, each of which works`() async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        let nodes = try harness.cluster("east").nodes
        var identifiers: [String] = []
        for number in 0..<2 {
            identifiers.append(try await harness.register("twin", address: "\(harness.freeAddress(9)):\(3022 + number)", in: "east"))
        }
        #expect(nodes.count == 2)
        var outcomes = [try await person.tsh("ssh", "\(harness.login)@twin@east", "true")]
        for route in Person.Route.allCases { outcomes.append(try await person.ssh(route, "twin", "true", port: "22")) }
        for outcome in outcomes {
            #expect(outcome.exit == .status(255), "\(outcome)")
            #expect(identifiers.allSatisfy { outcome.errors.contains($0) }, "\(outcome)")
        }
        // By its identifier the first is found, and nothing listens there.
        let first = try await person.tsh("ssh", "\(harness.login)@\(identifiers[0])@east", "true")
        #expect(first.errors.contains("node twin at \(harness.freeAddress(9)):3022 cannot be reached"), "\(first)")
    }

    static let validities: [(validity: String, isGood: Bool)] = [("-1h:+1h", true), ("-1h:-1s", false)]

    @Test(arguments: validities)
    func `a certificate that expired a second ago opens neither proxy nor node`(validity: String, isGood: Bool) async throws {
        let harness = try await Self.harness()
        let person = try await harness.person()
        try await sign(validity, for: person)
        let config = "\(person.folder)/made_config"
        try FileIO.write(
            Array(person.sshConfig.replacing("IdentityFile \(person.folder)/key", with: "IdentityFile \(person.folder)/made").utf8),
            to: config)
        let node = try #require(try harness.cluster("hub").nodes.first)
        let ways = [
            ("hub/proxy", ["-p", "3023", person.proxyHost, "-s", "proxysites"]),
            ("hub/web1", ["-p", "3022", "-o", "HostKeyAlias=\(node.name)", String(node.addr.prefix { $0 != ":" }), "true"]),
        ]
        for (host, arguments) in ways {
            let outcome = try await harness.runner.run("/usr/bin/ssh", ["-F", config] + arguments)
            if isGood {
                #expect(outcome.exit == .status(0), "\(host): \(outcome)")
            } else {
                #expect(outcome.exit == .status(255) && outcome.errors.contains("Permission denied"), "\(host): \(outcome)")
                #expect(try harness.log(of: host).contains("expired"), "\(host)")
            }
        }
    }

    /// Makes `made` and `made-cert.pub` with the hub's own user authority, as `ssh-keygen -V` dates it.
    private func sign(_ validity: String, for person: Person) async throws {
        struct Authority: Decodable {
            struct Spec: Decodable {
                let private_keys: [String]
            }
            let spec: Spec
        }
        let harness = person.harness
        let secrets = try await harness.tctl("hub", "get", "cert_authority/user/hub", "--with-secrets", "--format=json")
        let key = try #require(try JSONText.decode([Authority].self, from: secrets.output).first?.spec.private_keys.first)
        try FileIO.write(Array(key.utf8), to: "\(person.folder)/authority")
        let script = """
            cd "$1"
            ssh-keygen -q -t ed25519 -N '' -f made
            ssh-keygen -q -s authority -I ci -n "$2" -V "$3" -O extension:x-teleport-authority=hub -O 'extension:teleport-roles=["access"]' made.pub
            """
        let made = try await harness.runner.run("/bin/bash", ["-ec", script, "bash", person.folder, harness.login, validity])
        #expect(made.exit == .status(0), "\(made)")
    }
}

@Suite("The end of trust", .serialized, .timeLimit(.minutes(5)))
struct TrustRemovalTests {
    @Test func `a leaf that removes trust cuts tunnel and sessions, and its nodes refuse the root's people`() async throws {
        let harness = try ClusterHarness("two-sites")
        try await harness.ready()
        let person = try await harness.person()
        let node = try #require(try harness.cluster("east").nodes.first { $0.name == "db1" })
        let direct = ["-F", person.sshConfigPath, "-p", "3022", "-o", "HostKeyAlias=db1", String(node.addr.prefix { $0 != ":" }), "true"]
        let before = try await harness.runner.run("/usr/bin/ssh", direct)
        #expect(before.exit == .status(0), "\(before)")
        try await cut(harness, person, cluster: "east", resource: "trusted_cluster/hub", says: "site east is not connected")
        let after = try await harness.runner.run("/usr/bin/ssh", direct)
        #expect(after.exit == .status(255) && after.errors.contains("Permission denied"), "\(after)")
    }

    @Test func `a root that removes a leaf cuts tunnel and sessions, and lets its agent in no more`() async throws {
        let harness = try ClusterHarness("two-sites")
        try await harness.ready()
        let person = try await harness.person()
        try await cut(harness, person, cluster: "hub", resource: "remote_cluster/east", says: "east")
        try await harness.waitForLog(of: "hub/proxy", "an agent was refused")
    }

    private func cut(_ harness: ClusterHarness, _ person: Person, cluster: String, resource: String, says: String) async throws {
        let session = try await EchoSession(person, "db1@east")
        let clock = SystemClock()
        let removed = try await harness.tctl(cluster, "rm", resource)
        #expect(removed.exit == .status(0), "\(removed)")
        let start = clock.now()
        try await session.expectCut()
        let time = clock.now() - start
        print("\(resource) removed in \(cluster): the session ended \(time) later")
        #expect(time < .seconds(10))
        var outcomes = [try await person.tsh("ssh", "\(harness.login)@db1@east", "true")]
        for route in Person.Route.allCases { outcomes.append(try await person.ssh(route, "db1", "true")) }
        for outcome in outcomes { #expect(outcome.exit == .status(255) && outcome.errors.contains(says), "\(outcome)") }
        let other = try await person.tsh("ssh", "\(harness.login)@web1", "true")
        #expect(other.exit == .status(0), "\(other)")
    }
}
