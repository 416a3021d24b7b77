import ArgumentParser
import Base
import Programs

/// Cluster administration.
@main
struct Tctl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tctl",
        abstract: "Administers a cluster: users, join tokens, nodes, trust and certificates.",
        discussion: """
            Run it on the auth server's host, with -c where its configuration is not /etc/teleport.yaml, \
            or from elsewhere with --identity and --auth-server.

            Example: tctl -c /etc/teleport.yaml users add alice root,deploy
            """,
        subcommands: [
            StatusCommand.self, UsersCommand.self, TokensCommand.self, NodesCommand.self, AuthoritiesCommand.self, AuthCommand.self,
            CreateCommand.self, GetCommand.self, RemoveCommand.self, ClustersCommand.self, VersionCommand.self,
        ])

    static let globals = GlobalOptions(valued: ["-c", "--config", "--identity", "--auth-server"], flags: ["-d", "--debug"])

    static func main() {
        Program.main(Tctl.self, globals: globals)
    }
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Prints the version.", discussion: "Example: tctl version")
    @OptionGroup var admin: AdminOptions

    func run() {
        print(Version.line)
    }
}
