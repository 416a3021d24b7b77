import ArgumentParser
import Base
import Config
import EventLoop
import Programs

struct StartCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "start", abstract: "Starts the services of this host.",
        discussion: """
            Without a file and without flags it starts auth, proxy and node in one process, with an embedded store.

            Examples:
              teleport start
              teleport start -c /etc/teleport.yaml
              teleport start --roles=node --auth-server=10.0.0.1:3025 --token=T --ca-pin=sha256:HEX
              teleport start --roles=node --proxy=proxy.example.com:3080 --token=T --ca-pin=sha256:HEX
              teleport start --diag-addr=127.0.0.1:3000
              teleport start --topology topologies/two-sites.yaml
            """)

    @OptionGroup var debugging: DebugOption
    @Option(name: [.customShort("c"), .long], help: "The configuration file; /etc/teleport.yaml is read if it is there.")
    var config: String?
    @Option(help: ArgumentHelp("Which services run here.", valueName: "auth,proxy,node")) var roles: String?
    @Option(help: ArgumentHelp("The auth server of the cluster to join.", valueName: "host:port")) var authServer: String?
    @Option(
        help: ArgumentHelp(
            "The proxy of the cluster to join, for a node that reaches nothing else: it dials back and holds a tunnel.",
            valueName: "host:port")) var proxy: String?
    @Option(help: "The token to join with.") var token: String?
    @Option(help: ArgumentHelp("What the auth server must prove at the first contact.", valueName: "sha256:HEX")) var caPin: String?
    @Option(help: "This host's name; by default its own.") var nodename: String?
    @Option(help: ArgumentHelp("Labels of the node.", valueName: "k=v,k2=v2")) var labels: String?
    @Option(help: "Where everything is kept.") var dataDir: String?
    @Option(help: ArgumentHelp("Where to listen.", valueName: "ip")) var listenIp: String?
    @Option(help: ArgumentHelp("Under which address others reach this host.", valueName: "ip")) var advertiseIp: String?
    @Option(help: "Holds the process's id while it runs.") var pidFile: String?
    @Option(
        help: ArgumentHelp(
            "Where /healthz, /readyz and /metrics are served, to whoever reaches it; nowhere by default.", valueName: "ip:port"))
    var diagAddr: String?
    @Option(help: ArgumentHelp("Several clusters on this machine, as the file describes.", valueName: "file")) var topology: String?
    @Option(help: .hidden) var stopWithDescriptor: Int32?

    func run() throws {
        if let topology {
            guard
                [config, roles, authServer, proxy, token, caPin, nodename, labels, listenIp, advertiseIp, pidFile, diagAddr].allSatisfy({
                    $0 == nil
                })
            else {
                throw ValidationError("--topology goes with --data-dir alone: what the hosts are stands in the topology's file")
            }
            return try TopologyRunner.run(file: topology, dataDir: dataDir, debug: debugging.debug, stopWithDescriptor: stopWithDescriptor)
        }
        let overrides = try ConfigOverrides(
            roles: roles, authServer: authServer, proxy: proxy, token: token, caPin: caPin, nodename: nodename, labels: labels,
            dataDir: dataDir, listenIP: listenIp, advertiseIP: advertiseIp, pidFile: pidFile, diagAddr: diagAddr, debug: debugging.debug)
        let path = self.config
        let read: @Sendable () throws -> Config = {
            let file = try ConfigFile.load(path) { (path) throws(TeleportError) in try FileIO.read(path, max: 1 << 20) }
            return try Config(file: file, overrides: overrides, hostname: SystemName.hostname())
        }
        try ProcessAssembly.run(try read(), stopWithDescriptor: stopWithDescriptor, reload: read)
    }
}
