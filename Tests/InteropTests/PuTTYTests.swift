import Base
import ClusterHarness
import Crypto
import EventLoop
import SSHWire
import Testing

@Suite("PuTTY's plink", .needs(.putty), .serialized, .timeLimit(.minutes(5)))
struct PuTTYTests {
    /// Somebody's PuTTY: their key with its certificate in one file, and their home.
    struct PuTTY {
        let site: InteropSite
        let folder: String
        let key: String

        /// - Parameter certified: else the bare key.
        init(_ site: InteropSite, _ type: UserKey = .ed25519, certified: Bool = true) async throws {
            self.site = site
            folder = try site.workspace()
            key = "\(folder)/key.ppk"
            try await site.run(
                "/usr/bin/puttygen", [site.key(type), "-o", key] + (certified ? ["--certificate", site.certificate(type)] : [])
            ).succeeded()
        }

        /// Trusts the authority of each site, and no host key (the file that PuTTY's dialogue writes).
        func trustAuthorities() throws {
            let hosts = "\(folder)/.putty/sshhostcas"
            for path in ["\(folder)/.putty", hosts] { try FileIO.createDirectory(path) }
            for line in String(decoding: try FileIO.read(site.authorities), as: UTF8.self).split(separator: "\n") {
                let words = line.split(separator: " ")
                let text = "PublicKey=\(words[3])\nValidity=*\nPermitRSASHA1=0\nPermitRSASHA256=1\nPermitRSASHA512=1\n"
                try FileIO.write(Array(text.utf8), to: "\(hosts)/\(words[4])")
            }
        }

        /// What stands before the host of `program`.
        ///
        /// - Parameter pinned: whether the host keys are known; else their authorities have to be.
        func arguments(_ path: Path, pinned: Bool = true) -> [String] {
            func pin(_ fingerprint: String) -> [String] { pinned ? ["-hostkey", fingerprint] : [] }
            let common = ["-batch", "-noagent", "-i", key]
            switch path {
            case .direct: return common + pin(site.nodeKey.fingerprint) + ["-P", "\(site.node.port)"]
            case .tunnel:
                let hop =
                    ["/usr/bin/plink"] + common + pin(site.proxyKey.fingerprint)
                    + ["-P", "\(site.proxy.port)", "-nc", "db1.east:3022", "\(site.user)@\(site.proxy.host)"]
                return common + pin(site.nodeKey.fingerprint) + ["-P", "3022", "-proxycmd", hop.joined(separator: " ")]
            }
        }

        func host(_ path: Path) -> String { "\(site.login)@\(path == .direct ? site.node.host : "db1.east")" }

        func plink(_ path: Path, _ command: String, options: [String] = [], pinned: Bool = true, input: String = "") async throws
            -> Outcome
        {
            try await site.run(
                "/usr/bin/plink", arguments(path, pinned: pinned) + options + [host(path), command], input: Array(input.utf8),
                environment: ["HOME=\(folder)"])
        }
    }

    @Test(arguments: Path.allCases, UserKey.allCases)
    func `a certificate over each type of key logs in, and a command has its input, outputs and status`(path: Path, key: UserKey)
        async throws
    {
        let putty = try await PuTTY(try await InteropSite.shared(), key)
        let outcome = try await putty.plink(path, "cat; echo oops >&2; exit 3", input: "in")
        #expect(outcome.exit == .status(3) && outcome.text == "in" && outcome.errors.hasSuffix("oops\n"), "\(outcome)")
    }

    @Test(arguments: Path.allCases)
    func `host certificates are believed for their authority's sake`(path: Path) async throws {
        let putty = try await PuTTY(try await InteropSite.shared())
        let stranger = try await putty.plink(path, "true", pinned: false)
        #expect(stranger.exit == .status(1) && stranger.output.isEmpty, "\(stranger)")
        try putty.trustAuthorities()
        let outcome = try await putty.plink(path, "echo believed", pinned: false)
        #expect(outcome.exit == .status(0) && outcome.text == "believed\n", "\(outcome)")
    }

    @Test(arguments: Path.allCases)
    func `a command has a terminal if it is asked for`(path: Path) async throws {
        let putty = try await PuTTY(try await InteropSite.shared())
        let outcome = try await putty.plink(path, "tty >/dev/null && echo terminal; exit 4", options: ["-t"])
        #expect(outcome.exit == .status(4) && outcome.text == "terminal\r\n", "\(outcome)")
    }

    @Test func `the proxy's subsystem is a way to a node as well`() async throws {
        let site = try await InteropSite.shared()
        let putty = try await PuTTY(site)
        let hop =
            "/usr/bin/plink -batch -noagent -i \(putty.key) -hostkey \(site.proxyKey.fingerprint) -P \(site.proxy.port) -s "
            + "\(site.user)@\(site.proxy.host) proxy:db1:3022@east"
        let outcome = try await site.run(
            "/usr/bin/plink",
            ["-batch", "-noagent", "-i", putty.key, "-hostkey", site.nodeKey.fingerprint, "-proxycmd", hop]
                + [putty.host(.tunnel), "echo $SSH_TELEPORT_CLUSTER_NAME"], environment: ["HOME=\(putty.folder)"])
        #expect(outcome.exit == .status(0) && outcome.text == "east\n", "\(outcome)")
    }

    /// By SFTP, and by SCP's own protocol.
    @Test(arguments: Path.allCases, ["-sftp", "-scp"])
    func `pscp copies a file there and back`(path: Path, option: String) async throws {
        let putty = try await PuTTY(try await InteropSite.shared())
        let noise = SystemRandomness().bytes(300_001)
        try FileIO.write(noise, to: "\(putty.folder)/here")
        for names in [
            ["\(putty.folder)/here", "\(putty.host(path)):\(putty.folder)/there"],
            ["\(putty.host(path)):\(putty.folder)/there", "\(putty.folder)/back"],
        ] {
            try await putty.site.run(
                "/usr/bin/pscp", ["-q", option] + putty.arguments(path) + names, environment: ["HOME=\(putty.folder)"]
            ).succeeded()
        }
        #expect(try FileIO.read("\(putty.folder)/there") == noise)
        #expect(try FileIO.read("\(putty.folder)/back") == noise)
    }

    @Test(arguments: Path.allCases)
    func `psftp does what it can be told`(path: Path) async throws {
        let putty = try await PuTTY(try await InteropSite.shared())
        let (folder, noise) = (putty.folder, SystemRandomness().bytes(300_001))
        try FileIO.write(noise, to: "\(folder)/here")
        let batch = """
            mkdir \(folder)/made
            put \(folder)/here \(folder)/made/there
            mv \(folder)/made/there \(folder)/made/moved
            chmod 640 \(folder)/made/moved
            ls \(folder)/made
            get \(folder)/made/moved \(folder)/back
            rm \(folder)/made/moved
            rmdir \(folder)/made

            """
        try FileIO.write(Array(batch.utf8), to: "\(folder)/batch")
        let outcome = try await putty.site.run(
            "/usr/bin/psftp", putty.arguments(path) + ["-b", "\(folder)/batch", putty.host(path)], environment: ["HOME=\(folder)"])
        #expect(outcome.exit == .status(0) && outcome.lines.contains { $0.hasPrefix("-rw-r-----") && $0.hasSuffix(" moved") }, "\(outcome)")
        #expect(try FileIO.read("\(folder)/back") == noise)
        #expect(try FileIO.status("\(folder)/made") == nil)
    }

    @Test func `a bare key is refused, by node and proxy`() async throws {
        let site = try await InteropSite.shared()
        let putty = try await PuTTY(site, certified: false)
        for (address, user, key) in [(site.node, site.login, site.nodeKey), (site.proxy, site.user, site.proxyKey)] {
            let outcome = try await site.run(
                "/usr/bin/plink",
                [
                    "-batch", "-noagent", "-i", putty.key, "-hostkey", key.fingerprint, "-P", "\(address.port)", "\(user)@\(address.host)",
                    "true",
                ])
            #expect(outcome.exit == .status(1) && outcome.errors.contains("Server refused our key"), "\(outcome)")
        }
    }
}
