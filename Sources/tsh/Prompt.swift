import ArgumentParser
import Base
import EventLoop

/// How the commands that log in and sign up come by what only the user knows. Blocks: for the time before the loop runs, or the worker pool.
struct SecretOptions: ParsableArguments {
    @Option(help: ArgumentHelp("A file with the password in its first line, - for stdin.", valueName: "file")) var passwordFile: String?
    @Option(help: ArgumentHelp("The one-time code, - for a line of stdin.", valueName: "code")) var otp: String?

    /// - Parameter isNew: asks twice.
    static func password(file: String?, isNew: Bool) throws(TeleportError) -> String {
        let bytes: [UInt8]
        if let file {
            bytes = file == "-" ? try FileIO.readLine(descriptor: 0) : try FileIO.read(file, max: 1 << 16)
        } else {
            let terminal = try terminal(for: "--password-file=FILE")
            bytes = try terminal.readSecret(prompt: "Password: ")
            if isNew {
                guard try terminal.readSecret(prompt: "Once more: ") == bytes else { throw .badParameter("the two passwords differ") }
            }
        }
        let line = bytes.prefix { $0 != 0x0a && $0 != 0x0d }
        guard !line.isEmpty, let text = String(validating: line, as: UTF8.self) else {
            throw .badParameter("the password is empty or not a text")
        }
        return text
    }

    static func code(_ otp: String?) throws(TeleportError) -> String {
        let bytes: [UInt8]
        switch otp {
        case "-"?: bytes = try FileIO.readLine(descriptor: 0)
        case let otp?: return otp
        case nil: bytes = try terminal(for: "--otp=CODE").readSecret(prompt: "One-time code: ")
        }
        return String(decoding: bytes.filter { $0 > 0x20 }, as: UTF8.self)
    }

    private static func terminal(for flag: String) throws(TeleportError) -> LocalTerminal {
        guard let terminal = LocalTerminal(descriptor: 0) else {
            throw .badParameter("stdin is no terminal, so that nothing can be asked for; use \(flag)")
        }
        return terminal
    }
}

/// How the proxy's HTTPS is believed.
struct TrustOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The pin of the cluster's authority, as `tctl status` prints it.", valueName: "sha256:hex")) var caPin:
        String?
}
