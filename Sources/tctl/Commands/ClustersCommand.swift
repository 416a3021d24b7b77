import ArgumentParser
import AuthAPI
import Base
import ClusterModel
import Programs

struct ClustersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clusters", abstract: "Sites that dial in and root clusters that this one dials.",
        discussion: "Example: tctl clusters ls",
        subcommands: [List.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "Lists the clusters with the state of their tunnels.",
            discussion: "Example: tctl clusters ls --format=json")
        @OptionGroup var admin: AdminOptions
        @Option(help: "text or json.") var format = OutputFormat.text

        struct Line: Encodable {
            let name: String
            /// `leaf` and `openssh` dial in, `root` is dialled.
            let type: String
            let status: String
            let last_heartbeat: String?
        }

        func run() throws {
            let format = format
            try admin.run { client, _ in
                var lines: [Line] = []
                for case .remoteCluster(let leaf) in try await client.resources(.remoteCluster) {
                    lines.append(
                        Line(
                            name: leaf.name, type: "leaf", status: leaf.connected ? "online" : "offline",
                            last_heartbeat: leaf.lastHeartbeat?.text))
                }
                for case .opensshSite(let site) in try await client.resources(.opensshSite) {
                    lines.append(
                        Line(
                            name: site.name, type: "openssh", status: site.connected ? "online" : "offline",
                            last_heartbeat: site.lastHeartbeat?.text))
                }
                for case .trustedCluster(let root) in try await client.resources(.trustedCluster) {
                    let status = root.connected ? "online" : root.enabled ? "offline" : "disabled"
                    lines.append(Line(name: root.name, type: "root", status: status, last_heartbeat: root.lastHeartbeat?.text))
                }
                try format.show(lines) {
                    var table = Table(["Cluster", "Type", "Status", "Last heartbeat"])
                    for line in lines { table.add([line.name, line.type, line.status, line.last_heartbeat ?? "-"]) }
                    return table
                }
            }
        }
    }
}
