import ArgumentParser
import Base
import ClientKit
import Crypto
import EventLoop
import Programs

struct ProxyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "proxy", abstract: "Ways through the proxy for other programs.", discussion: "Example: tsh proxy ssh root@db1.east:22",
        subcommands: [ProxySSHCommand.self, KeepCommand.self])
}

struct ProxySSHCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ssh", abstract: "Joins stdin and stdout to a node's port: a ProxyCommand for OpenSSH.",
        discussion: """
            The host is a node's name, UUID or address, of the site that --cluster names or of the site in whose name it ends. Port 22 stands \
            for whichever the node has, as 0 does. The login is ssh's own business; `tsh config` prints all of the ssh_config.

            Example: ssh -o ProxyCommand='tsh proxy ssh %r@%h:%p' root@db1.east
            """)
    @OptionGroup var client: ClientOptions
    @Argument(help: ArgumentHelp("Where to.", valueName: "[login@]host:port")) var target: String

    private var place: HostPort {
        get throws(TeleportError) {
            let text = target.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).last ?? ""
            // `%h:%p` gives an IPv6 address no brackets.
            guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), colon != text.startIndex else {
                throw .badParameter("\(target) is not [LOGIN@]HOST:PORT")
            }
            var host = text[..<colon]
            if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
            return HostPort(host: String(host), port: port)
        }
    }

    func validate() throws {
        do throws(TeleportError) {
            _ = try place
        } catch {
            throw ValidationError(error.message)
        }
    }

    func run() throws {
        let place = try place
        let login = try client.login()
        let client = client
        try Program.onLoop { loop in
            let inside = loop.inside
            let sharing = try Sharing.wishes(client, SSHOptions(), inside)
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                ClusterDialer.connect(as: login, randomness: SystemRandomness(), sharing: sharing, on: inside) { result in
                    switch result {
                    case .failure(let error): continuation.resume(throwing: error)
                    case .success(let dialer):
                        dialer.relay(toHost: place.host, port: place.port, on: inside) {
                            continuation.resume(with: $0.mapError { $0 as any Error })
                        }
                    }
                }
            }
        }
    }
}
