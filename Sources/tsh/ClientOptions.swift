import ArgumentParser
import Base
import ClientKit
import EventLoop
import Programs

/// What every command takes: which proxy, who we are, which site.
struct ClientOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The proxy; its SSH port is 3023 unless it is given too.", valueName: "host[:webport[,sshport]]"))
    var proxy: String?
    @Option(help: "The user's name at the proxy.") var user: String?
    @Option(help: ArgumentHelp("The site that is meant.", valueName: "site")) var cluster: String?
    @Option(
        name: [.customShort("i"), .long],
        help: ArgumentHelp("An identity from `tctl auth sign`, instead of a login.", valueName: "file"))
    var identity: String?
    @Flag(help: "Do not check the certificate of the proxy's HTTPS.") var insecure = false
    @Flag(name: [.customShort("d"), .long], help: "Print the chain of causes of an error.") var debug = false

    var wishes: ClientLogin.Wishes {
        ClientLogin.Wishes(proxy: proxy, user: user, site: cluster, identity: identity).filled(from: ProcessEnvironment.value)
    }

    func login() throws(TeleportError) -> ClientLogin {
        try ClientLogin(wishes, home: try Home.directory())
    }
}

/// Where this user's files are.
enum Home {
    static func directory() throws(TeleportError) -> String {
        if let home = ProcessEnvironment.value("HOME"), home.hasPrefix("/") { return home }
        guard let account = try UserAccounts.account(identifier: UserAccounts.effectiveIdentifier) else {
            throw .notFound("there is no home directory: HOME is not set, and this user is not known to the system")
        }
        return account.home
    }
}
