import ArgumentParser
import AuthAPI
import Base
import ClientKit
import EventLoop
import Programs

/// How tctl finds the auth server and proves that it may administer the cluster.
struct AdminOptions: ParsableArguments {
    @Option(name: [.customShort("c"), .long], help: "The auth server's configuration file: it names the data directory.")
    var config: String?
    @Option(help: ArgumentHelp("An identity file with the role admin, from `tctl auth sign --format=file`.", valueName: "file"))
    var identity: String?
    @Option(help: ArgumentHelp("Where the auth server answers; with --identity.", valueName: "host:port"))
    var authServer: String?
    @Flag(name: [.customShort("d"), .long], help: "Print the chain of causes of an error.")
    var debug = false

    /// Runs `body` with a client of the auth API.
    func run(_ body: @escaping @Sendable (AuthClient, isolated EventLoop) async throws -> Void) throws {
        let (config, identity, authServer) = (config, identity, authServer)
        try Program.onLoop { loop in
            let client =
                if let identity {
                    try await AdminConnection.client(identityFile: identity, authServer: authServer, loop)
                } else {
                    try await AdminConnection.client(configFile: config, authServer: authServer, loop)
                }
            try await body(client, loop)
        }
    }
}
