import Config
import Testing

@Suite("Examples for systemd")
struct SystemdExampleTests {
    static let units = ["teleport.service", "teleport-node.service", "teleport-openssh-site.service"]
    static let dropIn = "teleport.service.d/gateway.conf"

    @Test(.enabled(if: Shell.has("/usr/bin/systemd-analyze"), "systemd is not installed"), arguments: units)
    func `systemd finds nothing to say`(unit: String) throws {
        let shell = try Shell()
        try shell.run("mkdir teleport.service.d")
        try shell.write(try Shell.example("systemd/\(Self.dropIn)"), to: Self.dropIn)
        // Where this machine has the program is not what is looked at.
        try shell.write(try Shell.example("systemd/\(unit)").replacing("/usr/local/bin/teleport", with: "/bin/true"), to: unit)
        // It looks at the machine's own units and mounts too, which come and go.
        #expect(try shell.run("systemd-analyze verify --man=no ./\(unit) 2>&1 | grep -F \(unit) || true") == "")
    }

    @Test(arguments: units + [dropIn])
    func `every line is a section, a comment or a setting`(name: String) throws {
        let text = try Shell.example("systemd/\(name)")
        let lines = text.split(separator: "\n").filter { !$0.hasPrefix("#") }
        #expect(lines.contains("[Service]"))
        for line in lines {
            #expect(line.wholeMatch(of: /\[(Unit|Service|Install)\]|[A-Z]\w+=.*/) != nil, "\(line)")
        }
    }

    /// The command line of a unit, split at blanks.
    private func command(_ unit: String) throws -> [String] {
        let text = try Shell.example("systemd/\(unit)")
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("ExecStart=") })
        return line.dropFirst("ExecStart=".count).split(separator: " ").map(String.init)
    }

    @Test func `the daemon reads its configuration file`() throws {
        #expect(try command("teleport.service") == ["/usr/local/bin/teleport", "start", "-c", ConfigDefaults.file])
    }

    @Test func `the agent of an OpenSSH site is kept up`() throws {
        #expect(
            try command("teleport-openssh-site.service") == [
                "/usr/bin/ssh", "-F", "/etc/ssh/teleport/agent_config", "-N", "-R", "0", "branch-agent",
            ])
        let lines = try Shell.example("systemd/teleport-openssh-site.service").split(separator: "\n")
        for line in ["Restart=always", "StartLimitIntervalSec=0"] { #expect(lines.contains { $0 == line }, "\(line)") }
    }

    @Test func `the node's flags and variables are what a node starts with`() throws {
        let text = try Shell.example("systemd/teleport-node.service")
        var variables: [String: String] = [:]
        for match in text.matches(of: /(?m)^#     ([A-Z_]+)=(.+)$/) { variables[String(match.1)] = String(match.2) }
        var flags: [String: String] = [:]
        for word in try command("teleport-node.service").dropFirst(2) {
            let match = try #require(word.wholeMatch(of: /--([a-z-]+)=(?:\$\{(\w+)\}|(.*))/), "\(word)")
            flags[String(match.1)] = try match.2.map { try #require(variables[String($0)], "\($0)") } ?? String(match.3 ?? "")
        }
        #expect(flags.count == 5)
        let overrides = try ConfigOverrides(
            roles: flags["roles"], authServer: flags["auth-server"], token: flags["token"], caPin: flags["ca-pin"], labels: flags["labels"])
        let config = try Config(overrides: overrides, hostname: "db1")
        #expect(config.roles == [.node])
        #expect(config.node?.labels == ["env": "prod", "role": "db"])
        #expect(config.authToken == variables["TOKEN"])
        #expect(config.caPins.map(\.description) == [variables["CA_PIN"]])
    }
}
