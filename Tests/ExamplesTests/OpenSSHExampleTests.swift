import Testing

@Suite("Examples for OpenSSH")
struct OpenSSHExampleTests {
    /// What `ssh` makes of the example for a host.
    struct Destination: Sendable, CustomTestStringConvertible {
        let arguments: String
        let lines: [String]
        var testDescription: String { arguments }
    }

    static let destinations = [
        Destination(arguments: "hub.example.com", lines: ["port 3023", "user alice"]),
        Destination(
            arguments: "root@web1.hub",
            lines: ["hostname web1.hub", "port 22", "user root", "proxycommand ssh -p 3023 %r@hub.example.com -s proxy:%h:%p"]),
        Destination(
            arguments: "root@db1.east",
            lines: ["hostname db1.east", "port 22", "user root", "proxycommand ssh -p 3023 %r@hub.example.com -s proxy:%h:%p@east"]),
        Destination(arguments: "-J hub.example.com root@db1.east", lines: ["port 22", "proxyjump hub.example.com"]),
        Destination(arguments: "root@db1.west", lines: ["port 22", "proxyjump hub.example.com:3023"]),
    ]

    @Test(arguments: destinations)
    func `ssh goes where the comments say`(destination: Destination) throws {
        let shell = try Shell()
        try shell.write(try Shell.example("openssh/ssh_config"), to: "ssh_config")
        let lines = try shell.run("ssh -G -F ssh_config \(destination.arguments)").split(separator: "\n").map(String.init)
        for line in destination.lines { #expect(lines.contains(line)) }
        #expect(lines.contains("identitiesonly yes"))
        #expect(lines.contains("stricthostkeychecking true"))
        #expect(lines.contains { $0.hasPrefix("identityfile ") && $0.hasSuffix("/.ssh/teleport") })
        #expect(lines.contains { $0.hasPrefix("certificatefile ") && $0.hasSuffix("/.ssh/teleport-cert.pub") })
        #expect(lines.contains { $0.hasPrefix("userknownhostsfile ") && $0.hasSuffix("/.ssh/teleport_known_hosts") })
    }

    @Test func `the agent of an OpenSSH site goes to its hub, and ends where it is of no use`() throws {
        let shell = try Shell()
        try shell.write(try Shell.example("openssh/agent_config"), to: "agent_config")
        let lines = try shell.run("ssh -G -F agent_config -N -R 0 branch-agent").split(separator: "\n").map(String.init)
        for line in [
            "hostname hub.example.com", "port 3024", "user branch", "exitonforwardfailure yes", "serveraliveinterval 15",
            "serveralivecountmax 3",
            "stricthostkeychecking true", "identitiesonly yes", "batchmode yes", "permitremoteopen 10.1.0.5:22 10.1.0.6:22",
            "identityfile /etc/ssh/teleport/branch", "certificatefile /etc/ssh/teleport/branch-cert.pub",
        ] {
            #expect(lines.contains(line), "\(line) in \(lines)")
        }
    }

    @Test func `no other host is touched`() throws {
        let shell = try Shell()
        try shell.write(try Shell.example("openssh/ssh_config"), to: "ssh_config")
        try shell.write("", to: "empty")
        #expect(try shell.run("ssh -G -F ssh_config git.example.org") == shell.run("ssh -G -F empty git.example.org"))
    }

    /// An authority for users, one for hosts, and what they signed for `db1` and for whoever runs the tests.
    private func sshd() throws -> Shell {
        let shell = try Shell()
        if Shell.isRoot { try shell.run("mkdir -p -m 0755 /run/sshd") }
        try shell.run(
            """
            for key in user_ca host_ca teleport_host_key user bare; do ssh-keygen -q -t ed25519 -N '' -f $key || exit 1; done
            cp user_ca.pub teleport_user_ca.pub
            ssh-keygen -q -s host_ca -h -I db1 -n db1,db1.east teleport_host_key.pub
            ssh-keygen -q -s user_ca -I alice -n "$(id -un)" user.pub
            printf '@cert-authority * %s\\n' "$(cat host_ca.pub)" >known_hosts
            """)
        let config = try Shell.example("openssh/sshd_config").replacing("/etc/ssh", with: shell.folder)
        // The folder is below /tmp, which everybody may write.
        try shell.write(config + "\nStrictModes no\nPidFile none\n", to: "sshd_config")
        return shell
    }

    private func ssh(_ key: String) -> String {
        """
        ssh -F none -o BatchMode=yes -o IdentityAgent=none -o IdentitiesOnly=yes -i \(key) -o StrictHostKeyChecking=yes \
        -o UserKnownHostsFile=known_hosts -o GlobalKnownHostsFile=/dev/null -o HostKeyAlgorithms=ssh-ed25519-cert-v01@openssh.com \
        -o ProxyCommand="/usr/sbin/sshd -i -f $PWD/sshd_config" db1.east
        """
    }

    @Test(.enabled(if: Shell.has("/usr/sbin/sshd"), "openssh-server is not installed"))
    func `sshd takes the file without a word`() throws {
        let shell = try sshd()
        #expect(try shell.run("/usr/sbin/sshd -t -f $PWD/sshd_config") == "")
    }

    @Test(.enabled(if: Shell.has("/usr/sbin/sshd"), "openssh-server is not installed"))
    func `sshd lets a certificate in, proves itself by one, and refuses bare keys`() throws {
        let shell = try sshd()
        #expect(try shell.run("\(ssh("user")) echo in").contains("in\n"))
        let refused = try shell.run("! \(ssh("bare")) echo in")
        #expect(refused.contains("Permission denied (publickey)"))
    }
}
