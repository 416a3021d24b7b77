import ArgumentParser
import Base
import ClientKit
import ClusterModel
import EventLoop
import Programs

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Prints a block of ssh_config with which plain OpenSSH reaches the nodes: ssh root@db1.east.",
        discussion: """
            It names the sites there are now, and the key, certificate and host authorities of the login or of -i.

            Example: tsh config >> ~/.ssh/config
            """)
    @OptionGroup var client: ClientOptions

    func run() throws {
        let login = try client.login()
        let files = try files(login)
        let user = try login.login(asked: ProcessEnvironment.value("TELEPORT_LOGIN"), localUser: LocalUser.name())
        let command = try proxyCommand(login)
        try Program.onLoop { loop in
            let sites = try await ClusterDialer.ask(as: login, loop) { $0.sites(then: $1) }
            for site in sites where site.openssh != true && !login.identity.knownClusters.contains(site.name) {
                Program.complain(
                    "WARNING: the authority for hosts of \(site.name) came after your login; run `tsh login` to reach its nodes")
            }
            let config = OpenSSHConfig(
                clusters: sites.map(\.name), login: user, identityFile: files.key, certificateFile: files.certificate,
                knownHostsFile: files.knownHosts, proxyCommand: command)
            print("# The nodes behind the proxy \(login.proxy.host), as `tsh config` found them: ssh \(user)@NODE.CLUSTER")
            print(config.text, terminator: "")
        }
    }

    /// Where OpenSSH finds what we are known by, and whom to believe.
    private func files(_ login: ClientLogin) throws(TeleportError) -> KeyStore.Files {
        let store = KeyStore(home: try Home.directory())
        guard let identity = client.identity else {
            guard let profile = try store.profile(proxy: try client.wishes.proxyAddress?.host) else {
                preconditionFailure("a login without an identity file has a profile")
            }
            return try store.files(of: profile)
        }
        let path = try FileIO.absolute(identity)
        let files = KeyStore.Files(key: path, certificate: "\(path)-cert.pub", knownHosts: nil)
        guard try FileIO.status(files.certificate) != nil else {
            throw .badParameter(
                "OpenSSH finds no certificate beside \(identity); sign with `tctl auth sign --format=openssh`, and add the host authorities from `tctl authorities --type=host export` to ~/.ssh/known_hosts"
            )
        }
        return files
    }

    /// The same proxy and the same identity as now, wherever `ssh` is called from.
    private func proxyCommand(_ login: ClientLogin) throws(TeleportError) -> [String] {
        let (host, port) = (login.proxy.host, login.proxy.port)
        let proxy = port == ProxyAddress.defaultSSHPort ? host : "\(HostPort(host: host, port: ProxyAddress.defaultWebPort)),\(port)"
        var words = [try FileIO.executablePath(), "proxy", "ssh", "--proxy=\(proxy)"]
        if let identity = client.identity { words += ["-i", try FileIO.absolute(identity)] }
        return words
    }
}
