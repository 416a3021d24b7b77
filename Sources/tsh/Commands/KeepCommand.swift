import ArgumentParser
import Base
import ClientKit
import ClusterModel
import Crypto
import EventLoop
internal import Glibc
import Programs

struct KeepCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keep", abstract: "Keeps a connection to the proxy for the commands to come, as ssh's ControlMaster does.",
        discussion: """
            While it runs, ssh, scp, sftp and proxy ssh of the same login reach a node over it, after two round trips instead of four, and ls, \
            clusters and config ask over it. It stays in the foreground, and ends when nobody has used it for the given time, or with the \
            last command over it after the certificate has expired or you have logged out.
            -o ControlPersist=TIME and TELEPORT_CONTROL_PERSIST=TIME start it behind the first command.

            Example: tsh proxy keep --time=8h
            Example: export TELEPORT_CONTROL_PERSIST=10m
            """)
    @OptionGroup var client: ClientOptions
    @Option(help: ArgumentHelp("How long it stays unused: yes for ever, seconds, or a time such as 10m.", valueName: "time"))
    var time = "10m"

    func validate() throws {
        do throws(TeleportError) {
            _ = try idleTime
        } catch {
            throw ValidationError(error.message)
        }
    }

    private var idleTime: Duration {
        get throws(TeleportError) {
            guard case .time(let time) = try Persistence(time) else { throw .badParameter("--time=no keeps nothing") }
            return time
        }
    }

    func run() throws {
        let login = try client.login()
        let idleTime = try idleTime
        try Program.onLoop { loop in
            let inside = loop.inside
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let keeper = ConnectionKeeper(login, idleTime: idleTime, on: inside) {
                    print("the connection to \(login.proxy) is kept")
                    fflush(nil)
                } then: {
                    continuation.resume(with: $0.mapError { $0 as any Error })
                }
                do throws(TeleportError) {
                    for signal in [Signal.terminate, .interrupt, .hangUp] { _ = try SignalWatcher(signal, on: inside) { keeper.stop() } }
                    keeper.start(randomness: SystemRandomness())
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }
}

/// How a command shares the connection to the proxy with others.
enum Sharing {
    /// - Parameter options: what `-o` says; the environment has the rest.
    static func wishes(_ client: ClientOptions, _ options: SSHOptions, _ loop: Loop) throws(TeleportError) -> ConnectionSharing {
        guard !options.sharesNothing else { return ConnectionSharing(isWelcome: false) }
        var persistence = options.persistence
        if persistence == nil, let text = ProcessEnvironment.value("TELEPORT_CONTROL_PERSIST"), !text.isEmpty {
            persistence = try Persistence(text)
        }
        guard case .time(let time)? = persistence else { return ConnectionSharing(isWelcome: true) }
        let command = try keeper(client.wishes, time)
        return ConnectionSharing(isWelcome: true) {
            // Without it each command connects by itself, as it did.
            _ = try? ChildProcess(command, on: loop) { _ in }
        }
    }

    /// Says the same as this command of who we are and where, and belongs to no terminal.
    private static func keeper(_ wishes: ClientLogin.Wishes, _ time: Duration) throws(TeleportError) -> ChildProcess.Command {
        var arguments = ["tsh", "proxy", "keep", "--time", "\(time.components.seconds)"]
        if let proxy = wishes.proxy { arguments += ["--proxy", proxy] }
        if let user = wishes.user { arguments += ["--user", user] }
        if let identity = wishes.identity { arguments += ["--identity", try FileIO.absolute(identity)] }
        return ChildProcess.Command(
            executable: try FileIO.executablePath(), arguments: arguments,
            environment: ProcessEnvironment.all.map { "\($0.name)=\($0.value)" }, directory: "/",
            descriptors: [0: .null, 1: .null, 2: .null], group: .session)
    }
}
