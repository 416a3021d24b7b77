import Base
import ClusterHarness
import Crypto
import EventLoop
import Testing

@Suite("OpenSSH by the word of tsh", .serialized, .timeLimit(.minutes(5)))
struct TshOpenSSHTests {
    /// What `tsh config` prints for the person, in a file.
    private func configuration(_ person: Person) async throws -> String {
        let home = "\(person.folder)/home"
        try FileIO.createDirectory("\(home)/.ssh")
        try FileIO.write(try FileIO.read("\(person.folder)/known_hosts"), to: "\(home)/.ssh/known_hosts")
        let outcome = try await person.harness.runner.run(
            "/usr/bin/env",
            ["HOME=\(home)", person.harness.programs.tsh, "--proxy=\(person.proxyHost)", "-i", "\(person.folder)/key", "config"])
        #expect(outcome.exit == .status(0) && outcome.errors.isEmpty, "\(outcome)")
        let path = "\(person.folder)/config"
        // OpenSSH finds its files by the account and not by HOME.
        let text = "UserKnownHostsFile \(home)/.ssh/known_hosts\nIdentityAgent none\nBatchMode yes\n" + outcome.text
        try FileIO.write(Array(text.replacing("-i \(person.folder)/key", with: "-i \(person.identity)").utf8), to: path)
        return path
    }

    @Test(arguments: [("db1.east", "east"), ("web1.hub", "hub")])
    func `ssh needs no more than the block that tsh config prints`(host: String, cluster: String) async throws {
        let harness = try await ClusterHarness.shared()
        let config = try await configuration(harness.person())
        for destination in ["\(harness.login)@\(host)", host] {
            let outcome = try await harness.runner.run(
                "/usr/bin/ssh", ["-F", config, destination, "cat; echo $SSH_TELEPORT_CLUSTER_NAME; exit 3"], input: Array("in ".utf8))
            #expect(outcome.exit == .status(3) && outcome.text == "in \(cluster)\n", "\(outcome)")
        }
    }

    @Test func `ssh says which node there is not`() async throws {
        let harness = try await ClusterHarness.shared()
        let config = try await configuration(harness.person())
        let outcome = try await harness.runner.run("/usr/bin/ssh", ["-F", config, "nosuch.east", "true"])
        #expect(outcome.exit == .status(255) && outcome.errors.contains("ERROR: no way there: no node \"nosuch\""), "\(outcome)")
    }

    @Test(arguments: [
        ["db1:22", "--cluster=east"], ["db1:0", "--cluster=east"], ["root@db1.east:22"], ["web1:3022"], ["web1.hub:22", "--cluster=east"],
    ])
    func `tsh proxy ssh leads to the node's port`(arguments: [String]) async throws {
        let person = try await ClusterHarness.shared().person()
        let outcome = try await person.harness.runner.run(person.harness.programs.tsh, person.tshArguments + ["proxy", "ssh"] + arguments)
        #expect(outcome.text.hasPrefix("SSH-2.0-Teleport"), "\(outcome)")
    }

    @Test(arguments: ["db1", "db1:", "db1:x", ":22", "db1:65536"])
    func `what is no host and port is wrong usage`(target: String) async throws {
        let outcome = try await ClusterHarness.shared().person().tsh("proxy", "ssh", target)
        #expect(outcome.exit == .status(2) && outcome.errors.hasPrefix("ERROR: \(target) is not"), "\(outcome)")
    }

    @Test(arguments: ["db1.east", "db2.east"])
    func `a node's name that ends in a site's is a node of the site`(target: String) async throws {
        let harness = try await ClusterHarness.shared()
        let outcome = try await harness.person().tsh("ssh", "\(harness.login)@\(target)", "echo $SSH_TELEPORT_CLUSTER_NAME")
        #expect(outcome.exit == .status(0) && outcome.text == "east\n", "\(outcome)")
    }
}
