import Base
import ClusterHarness
import EventLoop
import Testing

@Suite("The example for OpenSSH", .serialized, .timeLimit(.minutes(5)))
struct ExampleTests {
    /// `examples/openssh/ssh_config` with this person's files and the topology's proxy in place of those it stands for.
    private func sshConfig(_ person: Person) throws -> String {
        let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
        let path = "\(person.folder)/example_ssh_config"
        let text = String(decoding: try FileIO.read("\(root)/examples/openssh/ssh_config"), as: UTF8.self)
            .replacing("ProxyCommand ssh ", with: "ProxyCommand ssh -F \(path) ")
            .replacing("~/.ssh/teleport_known_hosts", with: "\(person.folder)/known_hosts")
            .replacing("~/.ssh/teleport", with: "\(person.folder)/key")
            .replacing("hub.example.com", with: person.proxyHost)
            .replacing("User alice", with: "User ci")
        try FileIO.write(Array(text.utf8), to: path)
        return path
    }

    @Test(arguments: [("db1.east", []), ("db1.east", ["-J"]), ("web1.hub", [])])
    func `it leads to every host that it names`(host: String, jump: [String]) async throws {
        let harness = try await ClusterHarness.shared()
        let person = try await harness.person()
        let arguments = ["-F", try sshConfig(person), "-o", "BatchMode=yes", "-o", "IdentityAgent=none"]
        let outcome = try await harness.runner.run(
            "/usr/bin/ssh",
            arguments + jump.flatMap { [$0, person.proxyHost] } + ["\(harness.login)@\(host)", "echo $SSH_TELEPORT_USER; exit 4"])
        #expect(outcome.exit == .status(4) && outcome.text == "ci\n", "\(outcome)")
    }
}
