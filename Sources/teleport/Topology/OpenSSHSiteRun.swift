import AuthAPI
import Base
import ClusterModel
import Config
import Crypto
import EventLoop
internal import Glibc
import SSHWire

/// The programs of OpenSSH that a site without ours is made of.
struct OpenSSHPrograms {
    let sshd: String
    let ssh: String
    /// Ends the others when this process is killed: they do not look at their input.
    let setpriv: String

    /// Blocks.
    static func find() throws(TeleportError) -> OpenSSHPrograms {
        OpenSSHPrograms(
            sshd: try path(of: "sshd", package: "openssh-server"), ssh: try path(of: "ssh", package: "openssh-client"),
            setpriv: try path(of: "setpriv", package: "util-linux"))
    }

    private static func path(of program: String, package: String) throws(TeleportError) -> String {
        let folders = (ProcessEnvironment.value("PATH") ?? "").split(separator: ":").map(String.init) + ["/usr/sbin", "/usr/bin"]
        for folder in folders where folder.hasPrefix("/") {
            let path = "\(folder)/\(program)"
            if try FileIO.status(path) != nil { return path }
        }
        throw .notFound("an OpenSSH site needs \(program), which is not installed: apt-get install \(package)")
    }
}

/// The `sshd`s and the agent of one OpenSSH site of a topology.
final class OpenSSHSiteRun {
    let site: TopologySite
    let servers: [KeptProcess]
    let agent: KeptProcess

    /// - Parameter ended: called each time that one of the programs ends without having been told to.
    init(
        _ site: TopologySite, _ programs: OpenSSHPrograms, randomness: any Randomness, on loop: Loop,
        ended: @escaping (KeptProcess, ChildProcess.Exit) -> Void
    ) {
        self.site = site
        let guarded = ["--pdeathsig", "TERM", "--"]
        servers = site.hosts.map { host in
            KeptProcess(
                KeptProcess.Program(
                    name: "\(site.name)/\(host.name)", executable: programs.setpriv,
                    arguments: guarded + [programs.sshd, "-D", "-e", "-f", host.configPath], logPath: host.logPath),
                randomness: randomness, on: loop, ended: ended)
        }
        agent = KeptProcess(
            KeptProcess.Program(
                name: "\(site.name)'s agent", executable: programs.setpriv, arguments: guarded + [programs.ssh] + site.agentArguments,
                logPath: site.agentLogPath),
            randomness: randomness, on: loop, ended: ended)
    }

    var processes: [KeptProcess] { servers + [agent] }

    /// Writes what the programs read, and lists the site in its hub. Host keys of before are kept.
    func prepare(_ hub: AuthClient, _ loop: isolated EventLoop) async throws {
        let site = site
        let randomness = SystemRandomness()
        let authorities = try await hub.resources(.certificateAuthority).compactMap { resource -> CertificateAuthority? in
            if case .certificateAuthority(let authority) = resource, authority.cluster == site.hub { authority } else { nil }
        }
        let users = authorities.filter { $0.type == .user }.flatMap(\.keys)
        let hosts = authorities.filter { $0.type == .host }.flatMap(\.keys)
        let key = PrivateKey.generate(randomness: randomness)
        let signed = try await hub.signSite(
            SignSiteRequest(
                site: site.name, publicKey: key.publicKey.text(), ttlSeconds: CertificateRequest.hostTTL.components.seconds))
        let resource = try await loop.work { () throws(TeleportError) -> OpenSSHSite in
            try FileIO.createDirectory(site.directory)
            try writeText(PrivateKeyFile(key: key).text(randomness: randomness), site.agentKeyPath)
            try writeText(signed.certificate + "\n", site.agentCertificatePath)
            try writeText(
                hosts.map { KnownHostsLine(marker: .certAuthority, patterns: ["*"], key: $0, comment: site.hub).line + "\n" }.joined(),
                site.knownHostsPath)
            try writeText(site.agentConfigText, site.agentConfigPath)
            var hostKeys: [String: String] = [:]
            for host in site.hosts { hostKeys[host.name] = try host.prepare(users: users, randomness) }
            // Debian's sshd wants it, and its unit makes it.
            if geteuid() == 0 { try FileIO.createDirectory("/run/sshd", mode: 0o755) }
            return site.resource(hostKeys: hostKeys)
        }
        try await hub.put(.opensshSite(resource), replace: true)
    }
}

private func writeText(_ text: String, _ path: String) throws(TeleportError) {
    try FileIO.write(Array(text.utf8), to: path, mode: 0o600)
}

extension TopologySite.Host {
    /// - Returns: the host's public key.
    fileprivate func prepare(users: [PublicKey], _ randomness: any Randomness) throws(TeleportError) -> String {
        try FileIO.createDirectory(directory)
        try writeText(configText, configPath)
        try writeText(users.map { $0.text() + "\n" }.joined(), userAuthorityPath)
        guard try FileIO.status(keyPath) == nil else {
            let text = String(decoding: try FileIO.read(keyPath), as: UTF8.self)
            do throws(KeyError) {
                return try PrivateKeyFile(text: text).key.publicKey.text()
            } catch {
                throw .badParameter("\(keyPath) cannot be read: \(error.explanation)", cause: error)
            }
        }
        let key = PrivateKey.generate(randomness: randomness)
        try writeText(PrivateKeyFile(key: key).text(randomness: randomness), keyPath)
        return key.publicKey.text()
    }
}
