import ArgumentParser
import AuthAPI
import Base
import ClusterModel
import Programs
import SSHWire

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Shows the cluster's name, its authorities, the CA pin and counts.",
        discussion: "Example: tctl status --format=json")
    @OptionGroup var admin: AdminOptions
    @Option(help: "text or json.") var format = OutputFormat.text

    func run() throws {
        let format = format
        try admin.run { client, _ in
            let status = try await client.status()
            switch format {
            case .json: print(try JSONOutput.text(status))
            case .text:
                print("Cluster:  \(status.cluster)")
                print("Version:  \(status.version)")
                for authority in status.authorities where authority.cluster == status.cluster && authority.type != .tls {
                    for key in authority.keys { print("\(authority.type == .user ? "User" : "Host") CA:  \(key.fingerprint)") }
                }
                print("CA pin:   \(status.caPin)")
                print("Users:    \(status.users)")
                print("Nodes:    \(status.nodes)")
                print("Proxies:  \(status.proxies)")
                print("Auth servers: \(status.authServers)")
                print("Leaf clusters: \(status.remoteClusters)")
                print("Root clusters: \(status.trustedClusters)")
            }
        }
    }
}
