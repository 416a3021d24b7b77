import ArgumentParser
import Base
import Programs

/// The user's client.
@main
struct Tsh: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tsh",
        abstract: "Logs in to a proxy and reaches the nodes of its cluster and of its sites.",
        discussion: """
            TELEPORT_PROXY, TELEPORT_USER, TELEPORT_SITE and TELEPORT_LOGIN stand in for --proxy, --user, --cluster and -l; \
            what is said nowhere is as at the last login. TELEPORT_CONTROL_PERSIST=10m keeps the connection to the proxy for later commands.

            Example: tsh --proxy=proxy.example.com --user=alice login
            Example: tsh ssh root@db1@east hostname
            """,
        subcommands: [
            LoginCommand.self, LogoutCommand.self, StatusCommand.self, SignupCommand.self, ListCommand.self, ClustersCommand.self,
            SSHCommand.self, CopyCommand.self, SFTPCommand.self, ConfigCommand.self, ProxyCommand.self, AgentCommand.self,
            BenchCommand.self,
            VersionCommand.self,
        ])

    static let globals = GlobalOptions(
        valued: ["--proxy", "--user", "--cluster", "-i", "--identity"], flags: ["--insecure", "-d", "--debug"])

    static func main() {
        Program.main(Tsh.self, globals: globals)
    }
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Prints the version.", discussion: "Example: tsh version")
    @OptionGroup var client: ClientOptions

    func run() {
        print(Version.line)
    }
}
