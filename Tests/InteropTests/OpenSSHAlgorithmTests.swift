import ClusterHarness
import EventLoop
import SSHWire
import Testing

@Suite("Every algorithm that we offer, with OpenSSH", .serialized, .timeLimit(.minutes(5)))
struct OpenSSHAlgorithmTests {
    /// Where an algorithm is agreed on.
    enum Server: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case node, nodeBehindTunnel, proxy

        var testDescription: String { rawValue }

        /// What comes back for ``words``.
        var answer: String { self == .proxy ? "[" : "hello" }

        var words: [String] {
            switch self {
            case .node: [Path.direct.host, "cat"]
            case .nodeBehindTunnel: [Path.tunnel.host, "cat"]
            case .proxy: ["proxy.hop", "-s", "proxysites"]
            }
        }
    }

    /// An option of OpenSSH that leaves one algorithm, and what `-v` says when it has been agreed on.
    struct Choice: Sendable, CustomTestStringConvertible {
        let option: String
        let name: String
        let says: String
        /// What else has to be chosen so that this one matters.
        var also: [String] = []

        var testDescription: String { "\(option)=\(name)" }
    }

    static let choices: [Choice] =
        AlgorithmNames.keyExchange.map { Choice(option: "KexAlgorithms", name: $0, says: "kex: algorithm: \($0)") }
        + AlgorithmNames.ciphers.map { Choice(option: "Ciphers", name: $0, says: "kex: server->client cipher: \($0) ") }
        + AlgorithmNames.macs.map { Choice(option: "MACs", name: $0, says: " MAC: \($0) ", also: ["-o", "Ciphers=aes128-ctr"]) }
        + ["ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"].map {
            Choice(option: "HostKeyAlgorithms", name: $0, says: "kex: host key algorithm: \($0)")
        }

    /// - Returns: what OpenSSH said of it.
    private func connect(_ server: Server, _ options: [String]) async throws -> String {
        let site = try await InteropSite.shared()
        // A host key without its certificate is known from another file.
        let files = ["-o", "UserKnownHostsFile=\(site.authorities) \(site.knownHosts)"]
        let outcome = try await site.run(
            "/usr/bin/ssh", ["-v", "-F", site.sshConfig] + files + options + server.words, input: Array("hello".utf8))
        #expect(outcome.exit == .status(0) && outcome.text.hasPrefix(server.answer), "\(outcome)")
        return outcome.errors
    }

    @Test(arguments: Server.allCases, choices)
    func `it is agreed on, and carries a session`(server: Server, choice: Choice) async throws {
        let said = try await connect(server, ["-o", "\(choice.option)=\(choice.name)"] + choice.also)
        #expect(said.contains(choice.says), "\(said)")
    }

    static let signatures: [(UserKey, String)] = [
        (.ed25519, "ssh-ed25519-cert-v01@openssh.com"), (.ecdsaP256, "ecdsa-sha2-nistp256-cert-v01@openssh.com"),
        (.ecdsaP384, "ecdsa-sha2-nistp384-cert-v01@openssh.com"), (.ecdsaP521, "ecdsa-sha2-nistp521-cert-v01@openssh.com"),
        (.rsa, "rsa-sha2-256-cert-v01@openssh.com"), (.rsa, "rsa-sha2-512-cert-v01@openssh.com"),
    ]

    @Test(arguments: Server.allCases, signatures)
    func `a user's key of each type signs`(server: Server, signature: (key: UserKey, algorithm: String)) async throws {
        let site = try await InteropSite.shared()
        let user = server == .proxy ? ["-l", site.user] : []
        let said = try await connect(
            server, ["-o", "IdentityFile=\(site.key(signature.key))", "-o", "PubkeyAcceptedAlgorithms=\(signature.algorithm)"] + user)
        #expect(said.contains("Server accepts key: \(site.key(signature.key))"), "\(said)")
    }

    static let refused = [
        "KexAlgorithms=diffie-hellman-group14-sha256", "KexAlgorithms=diffie-hellman-group14-sha1", "Ciphers=aes128-cbc",
        "Ciphers=3des-cbc",
        "MACs=hmac-sha1", "MACs=umac-128-etm@openssh.com", "HostKeyAlgorithms=ssh-rsa",
    ]

    @Test(arguments: Server.allCases, refused)
    func `what we do not offer is not agreed on`(server: Server, option: String) async throws {
        let site = try await InteropSite.shared()
        let outcome = try await site.run(
            "/usr/bin/ssh",
            ["-F", site.sshConfig, "-o", option] + (option.hasPrefix("MACs") ? ["-o", "Ciphers=aes128-ctr"] : []) + server.words)
        #expect(outcome.exit == .status(255) && outcome.errors.contains(/no (common|matching)/), "\(outcome)")
    }
}
