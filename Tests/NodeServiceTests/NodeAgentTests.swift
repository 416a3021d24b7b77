import Base
import EventLoop
import NodeService
import SSHWire
import Testing

@Suite("Agent forwarding", .timeLimit(.minutes(2)))
struct NodeAgentTests {
    private static let isRoot = UserAccounts.effectiveIdentifier == 0

    /// Runs a shell script beside an agent that holds one key; `ssh OPTIONS "${node[@]}" COMMAND` reaches the node.
    private func withAgent(_ node: TestNode, _ script: String, credential: TestNode.Credential = .init()) async throws -> TestNode.Outcome {
        let arguments = node.arguments(key: try node.write(credential), options: ["-o", "IdentityAgent=SSH_AUTH_SOCK"])
        let lines = """
            ssh-keygen -q -t ed25519 -N '' -C forwarded -f \(node.directory)/forwarded && ssh-add -q \(node.directory)/forwarded
            node=(\(arguments.joined(separator: " ")))
            \(script)
            """
        return try await node.run("/usr/bin/ssh-agent", ["/bin/bash", "-c", lines], environment: ["HOME=\(node.directory)"])
    }

    @Test func `-A brings the keys of the client's agent, by a socket that is the user's alone`() async throws {
        let node = try await TestNode()
        let command = "ssh-add -l; stat -c %a:%u $SSH_AUTH_SOCK; stat -c %a:%u ${SSH_AUTH_SOCK%/*}; echo $SSH_AUTH_SOCK"
        let outcome = try await withAgent(node, #"ssh -A "${node[@]}" '\#(command)'"#)
        #expect(outcome.lines.first?.hasSuffix("forwarded (ED25519)") == true, "\(outcome.text)\(outcome.errors)")
        let user = node.account.identifier
        #expect(outcome.lines.dropFirst().prefix(2) == ["600:\(user)", "700:\(user)"])
        let path = try #require(outcome.lines.last)
        #expect(path.hasPrefix("/tmp/ssh-"))
        let directory = path.split(separator: "/").dropLast().joined(separator: "/")
        #expect(try await node.ssh("while test -e /\(directory); do :; done; echo gone").text == "gone\n")
    }

    @Test func `without -A there is no socket`() async throws {
        let node = try await TestNode()
        let outcome = try await withAgent(node, #"ssh "${node[@]}" 'echo "[$SSH_AUTH_SOCK]"'"#)
        #expect(outcome.text == "[]\n", "\(outcome.errors)")
    }

    @Test func `sessions of one connection share the agent`() async throws {
        let node = try await TestNode()
        let outcome = try await withAgent(
            node,
            """
            mux="-o ControlPath=\(node.directory)/mux"
            ssh -A -f -N -M $mux "${node[@]}"
            for number in 1 2; do ssh -A $mux "${node[@]}" 'ssh-add -l | wc -l; echo $SSH_AUTH_SOCK'; done
            ssh -O exit $mux "${node[@]}"
            """)
        #expect(outcome.lines.count == 4, "\(outcome.text)\(outcome.errors)")
        #expect(outcome.lines.first == "1" && Set(outcome.lines).count == 2, "\(outcome.lines)")
    }

    @Test func `a role or certificate without agent forwarding gets none, and -v says why`() async throws {
        let node = try await TestNode()
        let outcome = try await withAgent(
            node, #"ssh -v -A "${node[@]}" 'echo "[$SSH_AUTH_SOCK]"'"#,
            credential: .init(flags: [CertificateExtension.permitPortForwarding]))
        #expect(outcome.text == "[]\n", "\(outcome.errors)")
        #expect(outcome.errors.contains("permits no agent forwarding"), "\(outcome.errors)")
    }

    @Test(.enabled(if: isRoot, "needs root"))
    func `another user of the machine cannot open a forwarded agent`() async throws {
        let node = try await TestNode()
        let outcome = try await withAgent(
            node,
            #"ssh -A "${node[@]}" 'as="setpriv --reuid=65534 --regid=65534 --clear-groups"; "#
                + "$as ssh-add -l 2>&1; $as ls ${SSH_AUTH_SOCK%/*} 2>&1'")
        #expect(outcome.text.lowercased().split(separator: "\n").allSatisfy { $0.contains("permission denied") }, "\(outcome.text)")
        #expect(outcome.lines.count == 2)
    }

    @Test func `standard input that comes while the agent's socket is made is not lost`() async throws {
        let node = try await TestNode()
        let outcome = try await withAgent(node, #"seq 100000 | ssh -A "${node[@]}" 'md5sum; ssh-add -l | wc -l'; seq 100000 | md5sum"#)
        #expect(outcome.lines.count == 3 && outcome.lines.first == outcome.lines.last, "\(outcome.text)\(outcome.errors)")
        #expect(outcome.lines.dropFirst().first == "1")
    }
}
