import ArgumentParser
import NodeService
import Programs

/// The daemon: auth, proxy and node in one program.
@main
struct Teleport: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "teleport",
        abstract: "One gateway to every machine in every site.",
        discussion: """
            Example: teleport start
            """,
        subcommands: [StartCommand.self, ConfigureCommand.self, StatusCommand.self, VersionCommand.self])

    static func main() {
        SessionChild.runIfAsked()
        SocketChild.runIfAsked()
        Program.main(Teleport.self, globals: GlobalOptions(valued: [], flags: ["-d", "--debug"]))
    }
}
