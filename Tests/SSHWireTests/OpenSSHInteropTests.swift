import Base
import Crypto
import Glibc
import SSHWire
import Testing

/// Keys, certificates and lines of ours, used by the machine's own `ssh`, `sshd` and `ssh-agent`.
@Suite("Keys and certificates among OpenSSH's programs")
struct OpenSSHInteropTests {
    let openSSH: OpenSSH
    let randomness = SystemRandomness()
    let now = UnixTime(seconds: Int64(time(nil)))

    init() throws {
        openSSH = try OpenSSH()
    }

    /// A certificate for the login that runs this test, or for a host.
    private func certificate(
        _ kind: CertificateKind, for key: PublicKey, by authority: PrivateKey, principals: [String], until end: Duration = .seconds(600),
        options: CertificateOptions = CertificateOptions()
    ) throws -> Certificate {
        try CertificateSigner(key: authority, randomness: randomness).sign(
            CertificateSigner.Request(
                kind: kind, publicKey: key, keyID: "test", validPrincipals: principals, validAfter: now + .seconds(-600),
                validBefore: now + end, criticalOptions: options, extensions: CertificateOptions(flags: [CertificateExtension.permitPTY])))
    }

    private func write(_ key: PrivateKey, _ certificate: Certificate, to name: String) throws {
        try openSSH.write(PrivateKeyFile(key: key).text(randomness: randomness), to: name)
        try openSSH.write(key.publicKey.text() + "\n", to: "\(name).pub")
        try openSSH.write(certificate.text() + "\n", to: "\(name)-cert.pub")
    }

    /// `ssh` to an `sshd` that has no port: it speaks on the pipes of `ProxyCommand`.
    private func connect(_ command: String) throws -> (status: Int32, output: String) {
        try openSSH.attempt(
            "ssh -F none -i user -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile=known_hosts "
                + "-o GlobalKnownHostsFile=none -o StrictHostKeyChecking=yes -o BatchMode=yes "
                + "-o ProxyCommand='/usr/sbin/sshd -i -f \(openSSH.directory)/sshd_config 2>/dev/null' db1.east '\(command)'")
    }

    private func prepare(hostAuthority: PrivateKey, userAuthority: PrivateKey, hostType: KeyType) throws {
        let host = try PrivateKey(generating: hostType, rsaBits: 2048, randomness: randomness)
        try write(host, try certificate(.host, for: host.publicKey, by: hostAuthority, principals: ["db1.east"]), to: "host")
        try openSSH.write(userAuthority.publicKey.text(comment: "user CA") + "\n", to: "ca.pub")
        // Where no sshd has been started since the machine was, its directory is missing; only root's sshd wants it.
        if geteuid() == 0 { try openSSH.run("mkdir -p /run/sshd") }
        var hosts = KnownHosts()
        hosts.add(KnownHostsLine(marker: .certAuthority, patterns: ["*.east"], key: hostAuthority.publicKey, comment: "east"))
        try openSSH.write(hosts.text, to: "known_hosts")
        let directory = openSSH.directory
        try openSSH.write(
            """
            HostKey \(directory)/host
            HostCertificate \(directory)/host-cert.pub
            TrustedUserCAKeys \(directory)/ca.pub
            AuthorizedKeysFile none
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            UsePAM no
            PidFile none

            """, to: "sshd_config")
    }

    private func login() throws -> String {
        String(try openSSH.run("id -un").dropLast())
    }

    @Test(
        .enabled(if: OpenSSH.hasServer, "needs openssh-server"),
        arguments: KeyKind.all)
    func `ssh and sshd believe our certificates, in both directions`(kind: KeyKind) throws {
        let userAuthority = try PrivateKey(generating: kind.type, rsaBits: 2048, randomness: randomness)
        let hostAuthority = PrivateKey.generate(randomness: randomness)
        try prepare(hostAuthority: hostAuthority, userAuthority: userAuthority, hostType: kind.type)
        let user = try PrivateKey(generating: kind.type, rsaBits: 2048, randomness: randomness)

        try write(user, try certificate(.user, for: user.publicKey, by: userAuthority, principals: [try login()]), to: "user")
        let (status, output) = try connect("echo it works")
        #expect(status == 0 && output == "it works\n", "\(output)")

        let forced = try certificate(
            .user, for: user.publicKey, by: userAuthority, principals: [try login()],
            options: CertificateOptions(values: [CriticalOption.forceCommand: "echo forced"]))
        try write(user, forced, to: "user")
        #expect(try connect("echo it works").output == "forced\n")

        for refused in [
            try certificate(.user, for: user.publicKey, by: userAuthority, principals: ["nobody-here"]),
            try certificate(.user, for: user.publicKey, by: userAuthority, principals: [try login()], until: .seconds(-60)),
            try certificate(.user, for: user.publicKey, by: hostAuthority, principals: [try login()]),
            try certificate(.host, for: user.publicKey, by: userAuthority, principals: [try login()]),
            try certificate(
                .user, for: user.publicKey, by: userAuthority, principals: [try login()],
                options: CertificateOptions(values: [CriticalOption.site: "east"])),
        ] {
            try write(user, refused, to: "user")
            let (status, output) = try connect("echo it works")
            #expect(status != 0 && !output.contains("it works"))
        }
    }

    @Test func `ssh-agent keeps what we add, signs what we ask and forgets what we remove`() throws {
        let started = try openSSH.run("ssh-agent -s -a \(openSSH.directory)/agent")
        let pid = try #require(started.split(separator: "SSH_AGENT_PID=").last?.split(separator: ";").first.flatMap { Int32($0) })
        defer { kill(pid, SIGTERM) }
        let agent = try AgentSocket(path: openSSH.directory + "/agent")

        for kind in KeyKind.all {
            let key = try PrivateKey(generating: kind.type, rsaBits: 2048, randomness: randomness)
            let certificate = try certificate(.user, for: key.publicKey, by: PrivateKey.generate(randomness: randomness), principals: ["a"])
            #expect(try agent.ask(.add(AgentIdentity(key: key, certificate: certificate, comment: "ours", lifetime: 600))) == .success)
            #expect(try agent.ask(.add(AgentIdentity(key: key, comment: "plain"))) == .success)
            let identities: [AgentResponse.Identity] = [
                .init(key: certificate.blob, comment: "ours"), .init(key: key.publicKey.blob, comment: "plain"),
            ]
            #expect(try agent.ask(.requestIdentities) == .identities(identities))
            for algorithm in kind.type.signatureAlgorithms {
                let request = AgentRequest.sign(key: certificate.blob, data: [1, 2, 3], flags: AgentRequest.flags(for: algorithm))
                guard case .signature(let blob) = try agent.ask(request) else {
                    Issue.record("the agent did not sign")
                    return
                }
                try key.publicKey.verify(try Signature(decoding: blob), over: [1, 2, 3], allowed: [algorithm])
            }
            #expect(try agent.ask(.remove(key: certificate.blob)) == .success)
            #expect(try agent.ask(.removeAll) == .success)
            #expect(try agent.ask(.requestIdentities) == .identities([]))
        }
        #expect(try agent.ask(.other(200)) == .failure)
    }
}

/// A connection to an agent's socket.
private final class AgentSocket {
    enum Failure: Error { case cannotConnect, closed }

    private let descriptor: Int32

    init(path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        let status = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard status == 0 else { throw Failure.cannotConnect }
    }

    deinit {
        close(descriptor)
    }

    func ask(_ request: AgentRequest) throws -> AgentResponse {
        let bytes = request.framed()
        guard unsafe write(descriptor, bytes, bytes.count) == bytes.count else { throw Failure.closed }
        let header = try receive(4)
        return try AgentResponse(message: try receive(header.reduce(0) { $0 << 8 | Int($1) }))
    }

    private func receive(_ count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            var buffer = [UInt8](repeating: 0, count: count - bytes.count)
            let got = unsafe read(descriptor, &buffer, buffer.count)
            guard got > 0 else { throw Failure.closed }
            bytes += buffer[..<got]
        }
        return bytes
    }
}
