import ArgumentParser
import Base
import ClientKit
import Crypto
import EventLoop
import Programs

/// How the commands that copy files reach a node.
struct NodeOptions: ParsableArguments {
    @Option(name: .long, help: "The login on the node.") var login: String?
    @Option(name: [.customShort("P", allowingJoined: true), .long], help: "The node's port; by default whichever it has.") var port: UInt16?
    @Flag(name: .shortAndLong, help: "Show no progress.") var quiet = false
    @Option(
        name: [.customShort("o", allowingJoined: true)],
        help: ArgumentHelp("An option of ssh_config, such as ControlPersist.", valueName: "name=value"))
    var options: [String] = []

    func validate() throws {
        do throws(TeleportError) {
            _ = try SSHOptions(options)
        } catch {
            throw ValidationError(error.message)
        }
    }

    func open(_ target: CommandTarget, _ client: ClientOptions, as login: ClientLogin, _ loop: Loop) async throws(TeleportError)
        -> SFTPSession
    {
        let options = try SSHOptions(options)
        return try await SFTPSession.open(
            to: target, port: port ?? options.port ?? 0,
            login: self.login ?? options.user ?? ProcessEnvironment.value("TELEPORT_LOGIN").flatMap { $0.isEmpty ? nil : $0 },
            localUser: try LocalUser.name(), as: login, sharing: try Sharing.wishes(client, options, loop), randomness: SystemRandomness(),
            on: loop)
    }

    func progress(_ loop: Loop) -> CopyProgress? {
        quiet ? nil : LocalTerminal(descriptor: 2).map { CopyProgress(on: $0, loop: loop) }
    }
}

struct CopyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scp", abstract: "Copies files to or from a node.",
        usage: "tsh scp [OPTIONS] [LOGIN@]NODE[@SITE]:PATH… TARGET\n       tsh scp [OPTIONS] FILE… [LOGIN@]NODE[@SITE]:PATH",
        discussion: """
            A path on the node is relative to the login's home directory, and may be a pattern. What cannot be copied is left out: the exit \
            status is 1 then.

            Example: tsh scp -r root@db1@east:/var/log/postgresql .
            Example: tsh scp notes.txt deploy@db1.east:
            """)
    @OptionGroup var client: ClientOptions
    @OptionGroup var node: NodeOptions
    @Flag(name: .short, help: "Directories with all that is in them.") var recursive = false
    @Flag(name: .short, help: "Keep times and modes.") var preserve = false
    @Flag(help: "Continue files of which the beginning has been copied.") var resume = false
    @Argument(help: ArgumentHelp("From where, and last to where.", valueName: "places")) var places: [String] = []

    private enum Work {
        case download([(CommandTarget, String)], to: String)
        case upload([String], to: CommandTarget, String)
    }

    private func work() throws(TeleportError) -> Work {
        guard places.count >= 2, let last = places.last else { throw .badParameter("say what to copy, and where to") }
        let target = try CopyPlace(last)
        var local: [String] = []
        var remote: [(CommandTarget, String)] = []
        for text in places.dropLast() {
            switch try CopyPlace(text) {
            case .local(let path): local.append(path)
            case .remote(let target, let path): remote.append((target, path))
            }
        }
        switch target {
        case .local(let path) where local.isEmpty: return .download(remote, to: path)
        case .local: throw .badParameter("\(local[0]) and \(last) are both here: one side is [LOGIN@]NODE[@SITE]:PATH")
        case .remote(let target, let path) where remote.isEmpty: return .upload(local, to: target, path)
        case .remote: throw .badParameter("both sides are on a node: copy here first")
        }
    }

    func validate() throws {
        do throws(TeleportError) {
            _ = try work()
        } catch {
            throw ValidationError(error.message)
        }
    }

    func run() throws {
        let work = try work()
        let login = try client.login()
        let options = FileCopy.Options(isRecursive: recursive, preserves: preserve, resumes: resume)
        let (node, client, debug) = (node, client, client.debug)
        let hasFailed = Lock(false)
        try Program.onLoop { loop in
            let inside = loop.inside
            func copy(_ session: SFTPSession) -> FileCopy {
                FileCopy(session, options, progress: node.progress(inside), on: inside) { Program.report($0, debug: debug) }
            }
            switch work {
            case .upload(let paths, let target, let path):
                let copy = copy(try await node.open(target, client, as: login, inside))
                try await copy.upload(paths.map { Array($0.utf8) }, to: Array(path.utf8))
                if copy.hasFailed { hasFailed.withLock { $0 = true } }
            case .download(let sources, let target):
                if sources.count > 1, try await loop.work({ try FileIO.status(target)?.isDirectory }) != true {
                    throw TeleportError.badParameter("\(target) is no directory, and several files go there")
                }
                for (place, path) in sources {
                    let copy = copy(try await node.open(place, client, as: login, inside))
                    try await copy.download(Array(path.utf8), to: Array(target.utf8))
                    if copy.hasFailed { hasFailed.withLock { $0 = true } }
                }
            }
        }
        if hasFailed.withLock({ $0 }) { throw ExitCode(1) }
    }
}
