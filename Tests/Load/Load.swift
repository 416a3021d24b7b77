import ArgumentParser
import Base
import EventLoop
import Programs

/// Thousands of sites against one proxy, with figures. For a hub that is thrown away afterwards: the sites' keys follow from their numbers.
struct Load: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "teleport-load", abstract: "Thousands of sites on one proxy, and what they cost it.",
        discussion: "Example: make load SITES=10000 MINUTES=10", subcommands: [SitesCommand.self, RunCommand.self, ReconnectCommand.self])
}

/// Writes what the hub must be told of the sites before they dial.
struct SitesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sites", abstract: "Writes files for `tctl create`: the host authority of each site.",
        discussion: "Example: teleport-load sites --sites 1000 --out DIR")
    @Option(help: "How many.") var sites = 1000
    @Option(help: "The directory that takes sites-1.yaml and so on.") var out: String

    /// `tctl create` reads a mebibyte.
    private static let sitesPerFile = 2000

    func run() throws {
        for (number, first) in stride(from: 0, to: sites, by: Self.sitesPerFile).enumerated() {
            let documents = (first..<min(first + Self.sitesPerFile, sites)).map { Site(number: $0).document }
            try FileIO.write(Array(documents.joined().utf8), to: "\(out)/sites-\(number + 1).yaml")
        }
    }
}

/// The hub that is loaded, and by how many.
struct HubOptions: ParsableArguments {
    @Option(help: "How many sites.") var sites = 1000
    @Option(help: "The proxy's address, on loopback.") var proxy: String
    @Option(help: "The hub's host authority, as `tctl authorities --type=host export` prints it.") var knownHosts: String

    func validate() throws {
        guard (1...Site.countMax).contains(sites) else { throw ValidationError("--sites is 1 to \(Site.countMax)") }
        guard IPAddress(proxy)?.isLoopback == true else { throw ValidationError("--proxy is an address of this machine: 127.x.y.z") }
    }

    func address() throws(TeleportError) -> IPAddress {
        guard let address = IPAddress(proxy) else { throw .badParameter("\(proxy) is no address") }
        return address
    }
}

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Dials one tunnel a site, asks for channels, ends the proxy and sees who comes back.",
        discussion:
            "Example: teleport-load run --sites 1000 --proxy 127.77.0.1 --config proxy/teleport.yaml --identity load --known-hosts known_hosts"
    )
    @OptionGroup var hub: HubOptions
    @Option(help: "The proxy's teleport.yaml: by it the process is found. Whoever started it starts it again.") var config: String
    @Option(help: "The user's key; beside it lies KEY-cert.pub.") var identity: String
    @Option(help: "How long channels are asked for.") var minutes = 0.25
    @Option(help: "How many channels a second, each to a site by chance.") var rate = 100
    @Option(help: "For how many seconds the proxy is watched while nobody asks for anything.") var idle = 10

    func validate() throws {
        guard (0...600).contains(minutes), (0...10_000).contains(rate), (1...600).contains(idle) else {
            throw ValidationError("at most 600 minutes, 10000 channels a second and 600 idle seconds")
        }
    }

    func run() throws {
        let plan = self
        try Program.onLoop { loop in try await LoadRun(plan, on: loop).run(loop) }
    }
}

struct ReconnectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reconnect", abstract: "Dials one tunnel a site, and again and again has all end and come back.",
        discussion: "Example: teleport-load reconnect --sites 100 --times 5 --proxy 127.77.0.1 --known-hosts known_hosts")
    @OptionGroup var hub: HubOptions
    @Option(help: "How often.") var times = 1

    func validate() throws {
        guard (1...10_000).contains(times) else { throw ValidationError("--times is 1 to 10000") }
    }

    func run() throws {
        let (hub, times) = (hub, times)
        try Program.onLoop { loop in
            let fleet = try Fleet(hub, on: loop.inside)
            fleet.dial()
            try await fleet.allConnected(loop)
            for _ in 0..<times {
                fleet.hangUp()
                while fleet.connected == hub.sites { try await loop.sleep(for: .milliseconds(10)) }
                try await fleet.allConnected(loop)
            }
        }
    }
}
