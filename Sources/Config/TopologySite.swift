package import Base
package import ClusterModel

/// What runs an OpenSSH site of a topology: the files of its hosts' `sshd`s and of its agent, as a real site would have them.
package struct TopologySite: Sendable {
    package struct Host: Sendable {
        package let name: String
        /// Where its `sshd` listens: at the port of a node.
        package let listen: HostPort
        package let labels: Labels
        /// `DATA_DIR/SITE/HOST`.
        package let directory: String

        package var configPath: String { directory + "/sshd_config" }
        package var logPath: String { directory + "/sshd.log" }
        package var pidPath: String { directory + "/sshd.pid" }
        package var keyPath: String { directory + "/ssh_host_ed25519_key" }
        package var userAuthorityPath: String { directory + "/teleport_user_ca.pub" }
    }

    package let name: String
    /// The cluster that lists it.
    package let hub: String
    package let hosts: [Host]
    /// `DATA_DIR/SITE`: the agent's files.
    package let directory: String
    private let tunnel: HostPort

    init(_ site: Topology.OpenSSHSite, tunnel: HostPort, dataDir: String) {
        name = site.name
        hub = site.hub
        self.tunnel = tunnel
        let directory = "\(dataDir)/\(site.name)"
        self.directory = directory
        hosts = site.hosts.map { host in
            guard let address = host.address else { preconditionFailure("an sshd listens") }
            return Host(
                name: host.name, listen: HostPort(host: "\(address)", port: ConfigDefaults.nodePort), labels: host.labels,
                directory: "\(directory)/\(host.name)")
        }
    }

    package var agentConfigPath: String { directory + "/ssh_config" }
    package var agentKeyPath: String { directory + "/agent_key" }
    package var agentCertificatePath: String { agentKeyPath + "-cert.pub" }
    package var agentLogPath: String { directory + "/agent.log" }
    package var knownHostsPath: String { directory + "/known_hosts" }

    /// `examples/openssh/agent_config` with this site's places; it reaches the listed hosts and nothing else.
    package var agentConfigText: String {
        """
        # Written from a topology; changes are lost when it starts again.
        Host \(name)-agent
            HostName \(tunnel.host)
            Port \(tunnel.port)
            User \(name)
            IdentityFile "\(agentKeyPath)"
            CertificateFile "\(agentCertificatePath)"
            IdentitiesOnly yes
            IdentityAgent none
            BatchMode yes
            UserKnownHostsFile "\(knownHostsPath)"
            GlobalKnownHostsFile /dev/null
            StrictHostKeyChecking yes
            ExitOnForwardFailure yes
            ServerAliveInterval 15
            ServerAliveCountMax 3
            PermitRemoteOpen \(hosts.isEmpty ? "none" : hosts.map { "\($0.listen)" }.joined(separator: " "))

        """
    }

    /// The words of the agent: `ssh -N -R 0`.
    package var agentArguments: [String] { ["-F", agentConfigPath, "-N", "-R", "0", "\(name)-agent"] }

    /// - Parameter hostKeys: the public key of each host, by its name.
    package func resource(hostKeys: [String: String]) -> OpenSSHSite {
        OpenSSHSite(
            name: name,
            nodes: hosts.map { host in
                OpenSSHSite.Host(
                    name: host.name, addr: "\(host.listen)", labels: host.labels, hostKeys: hostKeys[host.name].map { [$0] } ?? [])
            })
    }

    var summary: TopologySummary.Cluster {
        TopologySummary.Cluster(
            name: name, root: false, proxies: [], auth: "", config: "",
            nodes: hosts.map { TopologySummary.Node(name: $0.name, addr: "\($0.listen)") },
            hosts: hosts.map { TopologySummary.Host($0) })
    }
}

extension TopologySite.Host {
    /// `examples/openssh/sshd_config` for an `sshd` that anybody may run, in a folder that anybody may have made.
    package var configText: String {
        """
        # Written from a topology; changes are lost when it starts again.
        ListenAddress \(listen)
        PidFile \(pidPath)
        HostKey \(keyPath)
        TrustedUserCAKeys \(userAuthorityPath)
        AuthorizedKeysFile none
        AuthenticationMethods publickey
        PasswordAuthentication no
        KbdInteractiveAuthentication no
        PermitRootLogin prohibit-password
        StrictModes no
        UsePAM no
        MaxStartups 100
        GatewayPorts clientspecified
        Subsystem sftp internal-sftp

        """
    }
}
