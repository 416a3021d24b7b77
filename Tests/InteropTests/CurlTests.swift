import Base
import ClusterHarness
import Crypto
import EventLoop
import SSHWire
import Testing

/// Debian's curl has its SSH from libssh2 1.10, and so logs in with ECDSA certificates only. The way through the
/// tunnel is `ssh -D`, which `OpenSSHForwardTests` has.
@Suite("curl", .needs(.curl), .serialized, .timeLimit(.minutes(5)))
struct CurlTests {
    private func curl(_ site: InteropSite, _ url: String, key: UserKey = .ecdsaP256, pin: PublicKey? = nil, options: [String] = [])
        async throws
        -> Outcome
    {
        // curl takes the digest in base64 with its padding.
        let digest = (pin ?? site.nodeKey).fingerprint.dropFirst("SHA256:".count) + "="
        return try await site.run(
            "/usr/bin/curl",
            ["-sS", "--hostpubsha256", String(digest), "--key", site.key(key), "--pubkey", site.certificate(key), "-u", "\(site.login):"]
                + options + [url])
    }

    @Test(arguments: ["sftp", "scp"], [UserKey.ecdsaP256, .ecdsaP384, .ecdsaP521])
    func `a file goes there and comes back unchanged, with an ECDSA certificate`(scheme: String, key: UserKey) async throws {
        let site = try await InteropSite.shared()
        let folder = try site.workspace()
        let noise = SystemRandomness().bytes(300_001)
        try FileIO.write(noise, to: "\(folder)/here")
        let url = "\(scheme)://\(site.node)\(folder)/there"
        let sent = try await curl(site, url, key: key, options: ["-T", "\(folder)/here"])
        #expect(sent.exit == .status(0), "\(sent)")
        #expect(try FileIO.read("\(folder)/there") == noise)
        let fetched = try await curl(site, url, key: key)
        #expect(fetched.exit == .status(0) && fetched.output == noise, "\(fetched)")
    }

    @Test func `a folder is listed`() async throws {
        let site = try await InteropSite.shared()
        let folder = try site.workspace()
        try FileIO.write([], to: "\(folder)/a name")
        let outcome = try await curl(site, "sftp://\(site.node)\(folder)/", options: ["--list-only"])
        #expect(outcome.exit == .status(0) && outcome.lines.contains("a name"), "\(outcome)")
    }

    /// curl's own exit codes: 67 for a refused login, 60 for a host key that is not the one wanted.
    @Test(arguments: [UserKey.ed25519, .rsa])
    func `certificates of other types do not log in: libssh2 cannot sign with them`(key: UserKey) async throws {
        let site = try await InteropSite.shared()
        let outcome = try await curl(site, "scp://\(site.node)/etc/hostname", key: key)
        #expect(outcome.exit == .status(67), "\(outcome)")
    }

    @Test func `another host key is not accepted`() async throws {
        let site = try await InteropSite.shared()
        let outcome = try await curl(site, "scp://\(site.node)/etc/hostname", pin: site.proxyKey)
        #expect(outcome.exit == .status(60), "\(outcome)")
    }
}
