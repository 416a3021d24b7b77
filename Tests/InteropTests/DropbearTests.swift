import Base
import ClusterHarness
import EventLoop
import SSHWire
import Testing

/// dbclient knows no certificates, so nobody can log in with it; everything before that works.
@Suite("Dropbear's dbclient", .needs(.dropbear), .serialized, .timeLimit(.minutes(5)))
struct DropbearTests {
    private func dbclient(_ site: InteropSite, _ arguments: [String], hostKey: String) async throws -> Outcome {
        let folder = try site.workspace()
        try await site.run("/usr/bin/dropbearconvert", ["openssh", "dropbear", site.key(.ed25519), "\(folder)/key"]).succeeded()
        try FileIO.createDirectory("\(folder)/.ssh")
        try FileIO.write(Array(hostKey.utf8), to: "\(folder)/.ssh/known_hosts")
        return try await site.run("/usr/bin/dbclient", ["-i", "\(folder)/key"] + arguments, environment: ["HOME=\(folder)"])
    }

    @Test(arguments: ["chacha20-poly1305@openssh.com", "aes128-ctr", "aes256-ctr"])
    func `keys are exchanged and the host is known, and the bare key is refused`(cipher: String) async throws {
        let site = try await InteropSite.shared()
        for (address, user, key) in [(site.node, site.login, site.nodeKey), (site.proxy, site.user, site.proxyKey)] {
            let outcome = try await dbclient(
                site, ["-c", cipher, "-p", "\(address.port)", "\(user)@\(address.host)", "true"], hostKey: "\(address.host) \(key.text())\n"
            )
            // It says so once the server has refused the last key: the transport, the host key and the service were all accepted.
            #expect(outcome.exit == .status(1) && outcome.errors.contains("No auth methods could be used."), "\(outcome)")
        }
    }

    @Test func `a host with another key is not spoken to`() async throws {
        let site = try await InteropSite.shared()
        let outcome = try await dbclient(
            site, ["-p", "\(site.node.port)", "\(site.login)@\(site.node.host)", "true"],
            hostKey: "\(site.node.host) \(site.proxyKey.text())\n")
        #expect(outcome.exit == .status(1) && outcome.errors.contains("host key mismatch"), "\(outcome)")
    }
}
