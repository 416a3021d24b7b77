import ArgumentParser
import AuthAPI
import Base
import ClientKit
import ClusterModel
import Programs

struct NodesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nodes", abstract: "Nodes of the cluster and of its sites.", discussion: "Example: tctl nodes ls",
        subcommands: [List.self, Add.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "Lists the nodes.", discussion: "Example: tctl nodes ls --cluster=east --format=json")
        @OptionGroup var admin: AdminOptions
        @Option(help: "text or json.") var format = OutputFormat.text
        @Option(help: ArgumentHelp("A site, asked through its tunnel.", valueName: "site")) var cluster: String?

        func run() throws {
            let (format, cluster) = (format, cluster)
            try admin.run { client, loop in
                let own = try await client.ping().cluster
                let nodes =
                    if let cluster, cluster != own {
                        try await SiteNodes.list(site: cluster, with: client, loop)
                    } else {
                        try await client.resources(.node).compactMap { if case .node(let node) = $0 { node } else { nil } }
                    }
                let lines = NodeLine.sorted(nodes, cluster: cluster ?? own)
                try format.show(lines) { Table(NodeLine.columns, rows: lines.map(\.cells)) }
            }
        }
    }

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Makes a token for a node and prints what to run there.",
            discussion: "Example: tctl nodes add --ttl=30m")
        @OptionGroup var admin: AdminOptions
        @Option(help: "node, proxy, auth; several are separated by commas.") var roles = "node"
        @Option(help: "How long the token is good for.") var ttl = DurationText(.seconds(1800))
        @Option(help: "The token itself; by default a random one.") var value: String?
        @Option(help: "text or json.") var format = OutputFormat.text

        func run() throws {
            try TokensCommand.add(admin, type: roles, ttl: ttl, value: value, format: format)
        }
    }
}
