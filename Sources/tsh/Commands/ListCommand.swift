import ArgumentParser
import Base
import ClientKit
import ClusterModel
import EventLoop
import Programs

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "Lists the nodes of a site.", discussion: "Example: tsh ls --cluster=east env=prod --format=json")
    @OptionGroup var client: ClientOptions
    @Option(help: "text or json.") var format = OutputFormat.text
    @Argument(help: ArgumentHelp("Only nodes with these labels.", valueName: "k=v,…")) var labels: String?

    func run() throws {
        let selector = try labels.map { text throws(TeleportError) in try LabelSelector(parsing: text) }
        let login = try client.login()
        let format = format
        try Program.onLoop { loop in
            let nodes = try await ClusterDialer.ask(as: login, loop) { $0.nodes(of: login.site, then: $1) }
                .filter { node in selector?.matches(node.labels) ?? true }
            let lines = NodeLine.sorted(nodes, cluster: login.site)
            try format.show(lines) { Table(NodeLine.columns, rows: lines.map(\.cells)) }
        }
    }
}

struct ClustersCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clusters", abstract: "Lists the proxy's own cluster and the sites behind it.",
        discussion: "Example: tsh clusters --format=json")
    @OptionGroup var client: ClientOptions
    @Option(help: "text or json.") var format = OutputFormat.text

    func run() throws {
        let login = try client.login()
        let format = format
        try Program.onLoop { loop in
            let sites = try await ClusterDialer.ask(as: login, loop) { $0.sites(then: $1) }
            try format.show(sites) {
                Table(
                    ["Cluster", "Status", "Type"],
                    rows: sites.map { [$0.name, $0.status, $0.root ? "root" : $0.openssh == true ? "openssh" : "leaf"] })
            }
        }
    }
}
