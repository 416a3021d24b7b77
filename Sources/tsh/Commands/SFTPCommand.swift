import ArgumentParser
import Base
import ClientKit
import EventLoop
import Programs

struct SFTPCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sftp", abstract: "Looks through a node's files, and copies them.",
        usage: "tsh sftp [OPTIONS] [LOGIN@]NODE[@SITE][:PATH]",
        discussion: """
            Commands come from the terminal, else from stdin or the file of -b: then the first that fails ends it with status 1, unless a \
            - stands before it. A PATH that is a directory is where it begins; a file is copied here.

            \(SFTPShell.help)
            Example: tsh sftp root@db1@east
            Example: echo 'get -r /etc/postgresql' | tsh sftp root@db1.east
            """)
    @OptionGroup var client: ClientOptions
    @OptionGroup var node: NodeOptions
    @Option(name: .short, help: ArgumentHelp("A file with commands, - for stdin.", valueName: "file")) var batch: String?
    @Argument(help: ArgumentHelp("Where.", valueName: "[login@]node[@site][:path]")) var place: String

    private func target() throws(TeleportError) -> (CommandTarget, path: String) {
        if case .remote(let target, let path) = try CopyPlace(place) { return (target, path) }
        return (try CommandTarget(parsing: place), "")
    }

    func validate() throws {
        do throws(TeleportError) {
            _ = try target()
        } catch {
            throw ValidationError(error.message)
        }
    }

    func run() throws {
        let (target, path) = try target()
        let login = try client.login()
        let terminal = batch == nil ? LocalTerminal(descriptor: 0) : nil
        let lines = try batch.flatMap { $0 == "-" ? nil : $0 }.map { file throws(TeleportError) in
            String(decoding: try FileIO.read(file, max: 1 << 20), as: UTF8.self).split(whereSeparator: \.isNewline).map(String.init)
        }
        let directory = String(decoding: try PathIO.realPath(Array(".".utf8)), as: UTF8.self)
        let (node, client, debug) = (node, client, client.debug)
        try Program.onLoop { loop in
            let inside = loop.inside
            let session = try await node.open(target, client, as: login, inside)
            let shell = try await SFTPShell(session, localDirectory: directory, progress: node.progress(inside), on: inside) {
                try? FileIO.write(Array($0.utf8), descriptor: 1)
            } report: {
                Program.report($0, debug: debug)
            }
            guard try await shell.begin(at: path) else { return }
            var rest = lines?[...]
            while true {
                let line: String?
                if rest != nil {
                    line = rest?.popFirst()
                } else {
                    if terminal != nil { try FileIO.write(Array("sftp> ".utf8), descriptor: 1) }
                    line = try await loop.work { try FileIO.readNextLine(descriptor: 0).map { String(decoding: $0, as: UTF8.self) } }
                }
                guard let line else { return }
                let mayFail = terminal != nil || line.hasPrefix("-")
                do {
                    guard try await shell.run(terminal == nil && mayFail ? String(line.dropFirst()) : line) else { return }
                } catch let error as TeleportError where mayFail && !session.hasEnded {
                    Program.report(error, debug: debug)
                }
            }
        }
    }
}
