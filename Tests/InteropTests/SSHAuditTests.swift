import Base
import ClusterHarness
import EventLoop
import Testing

@Suite("ssh-audit", .needs(.sshAudit), .serialized, .timeLimit(.minutes(5)))
struct SSHAuditTests {
    /// What ssh-audit finds fault with and we offer all the same, each for its reason.
    static let exceptions: [String: String] = [
        // Its opinion of where the curves come from; FIPS 140 knows no others, and clients that are held to it have nothing else.
        "ecdh-sha2-nistp256": "using weak elliptic curves",
        "ecdh-sha2-nistp384": "using weak elliptic curves",
        "ecdh-sha2-nistp521": "using weak elliptic curves",
        // For AES-CTR with clients that know no other MAC: paramiko, libssh2, Dropbear.
        "hmac-sha2-256": "using encrypt-and-MAC mode",
        "hmac-sha2-512": "using encrypt-and-MAC mode",
        // The remedy for the Terrapin attack, which versions before 3.1 do not know by name.
        "kex-strict-s-v00@openssh.com": "unknown algorithm",
    ]

    enum Door: CaseIterable, Sendable {
        case node, proxy, tunnelServer
    }

    /// `(kex) NAME -- [fail] NOTE`, and its further notes on lines of their own.
    private struct Finding: Hashable {
        let algorithm: String
        let note: String
    }

    @Test(arguments: Door.allCases)
    func `it finds no fault but those that are accepted by name`(door: Door) async throws {
        let site = try await InteropSite.shared()
        let address =
            switch door {
            case .node: site.node
            case .proxy: site.proxy
            case .tunnelServer: site.tunnelServer
            }
        let outcome = try await site.run("/usr/bin/ssh-audit", ["-n", "-b", "-p", "\(address.port)", address.host])
        var algorithm = ""
        var findings: Set<Finding> = []
        var algorithms: Set<String> = []
        for line in outcome.lines {
            if let match = line.firstMatch(of: /^\((kex|key|enc|mac)\) (\S+)/) {
                algorithm = String(match.2)
                algorithms.insert(algorithm)
            }
            if let match = line.firstMatch(of: /\[(?:fail|warn)\] (.*\S)/) {
                findings.insert(Finding(algorithm: algorithm, note: String(match.1)))
            }
        }
        // It has seen every kind of algorithm, strict key exchange among them.
        for name in ["curve25519-sha256", "ssh-ed25519", "aes128-gcm@openssh.com", "hmac-sha2-256-etm@openssh.com"] {
            #expect(algorithms.contains(name), "\(outcome)")
        }
        #expect(algorithms.contains("kex-strict-s-v00@openssh.com"), "\(outcome)")
        let others = findings.filter { Self.exceptions[$0.algorithm] != $0.note }
        #expect(others.isEmpty, "\(outcome)")
    }
}
