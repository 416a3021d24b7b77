package import ArgumentParser
package import Base
package import EventLoop
internal import Glibc

/// What the three programs share: how a command line becomes a command, how a command runs on the main loop, and what its end looks like.
///
/// Exit codes: 0 done, 1 the operation failed, 2 wrong usage; a command may end with another by throwing `ExitCode`.
package enum Program {
    /// Parses the command line, runs the command and exits.
    ///
    /// - Parameter globals: the options that every command has, which may also stand before the command's name.
    package static func main(_ root: any ParsableCommand.Type, globals: GlobalOptions) -> Never {
        let arguments = globals.moved(behindCommandIn: Array(CommandLine.arguments.dropFirst()), of: root)
        do {
            var command = try root.parseAsRoot(arguments)
            try command.run()
            exit(0)
        } catch {
            finish(root, error, debug: arguments.contains("--debug") || arguments.contains("-d"))
        }
    }

    /// Runs `body` on a loop of the main thread until it returns; what it throws is thrown here.
    package static func onLoop(_ body: @escaping @Sendable (isolated EventLoop) async throws -> Void) throws {
        let loop = EventLoop(name: "main")
        let outcome = Lock<(any Error)?>(nil)
        loop.spawn { loop in
            do {
                try await body(loop)
            } catch {
                outcome.withLock { $0 = error }
            }
            loop.stop()
        }
        loop.run()
        if let error = outcome.withLock({ $0 }) { throw error }
    }

    /// Ends the process at once, after what was printed is out.
    ///
    /// The end that runs destructors would wait for libuv's worker pool, where a read from a terminal may wait for a key.
    package static func exit(_ code: Int32) -> Never {
        fflush(nil)
        _exit(code)
    }

    private static func finish(_ root: any ParsableCommand.Type, _ error: any Error, debug: Bool) -> Never {
        if let error = error as? TeleportError {
            report(error, debug: debug)
            exit(1)
        }
        if let code = error as? ExitCode {
            exit(code.rawValue)
        }
        let code = root.exitCode(for: error)
        if code.isSuccess {
            print(root.fullMessage(for: error))
            exit(0)
        }
        // The parser's own errors: the first line says what is wrong, and may go on in a list of what would do; the last says where to read on.
        // Usage and help stand between.
        let lines = root.fullMessage(for: error).split(separator: "\n")
        var text = lines.first.map(String.init) ?? "wrong usage"
        if text.hasPrefix("Error: ") { text.removeFirst("Error: ".count) }
        if text.last == ":" {
            text += " " + lines.dropFirst().prefix { $0.hasPrefix("  - ") }.map { $0.dropFirst("  - ".count) }.joined(separator: ", ")
        }
        let hint = lines.last.map { $0.drop { $0 == " " } }.flatMap { $0.hasPrefix("See '") ? "; s" + $0.dropFirst() : nil } ?? ""
        while text.last == "." { text.removeLast() }
        complain("ERROR: \(text)\(hint)")
        exit(2)
    }

    /// Says what went wrong in one line on stderr, and with `debug` why.
    package static func report(_ error: TeleportError, debug: Bool) {
        complain("ERROR: \(error.message)")
        if debug {
            for cause in error.chain.dropFirst() { complain("  caused by: \(cause)") }
        }
    }

    /// One line on stderr.
    package static func complain(_ line: String) {
        var bytes = Array(oneLine(line).utf8)
        bytes.append(UInt8(ascii: "\n"))
        _ = unsafe bytes.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
    }

    /// What a stranger's text may not do: begin a line of its own, or speak to the terminal.
    private static func oneLine(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { scalar in
                    if scalar.properties.isWhitespace { return " " }
                    return scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value) ? "?" : scalar
                }))
    }
}

/// Options that every command of a program has.
///
/// The parser knows them behind the command's name only; people write them before it too.
package struct GlobalOptions: Sendable {
    /// Options that are followed by a value, such as `-c`.
    package let valued: [String]
    /// Options that stand alone, such as `--debug`.
    package let flags: [String]

    package init(valued: [String], flags: [String]) {
        self.valued = valued
        self.flags = flags
    }

    /// The arguments as the parser understands them.
    package func moved(behindCommandIn arguments: [String], of root: any ParsableCommand.Type) -> [String] {
        var globals: [String] = []
        var rest = arguments[...]
        while let word = rest.first {
            if flags.contains(word) || valued.contains(where: { word.hasPrefix("\($0)=") }) {
                globals.append(rest.removeFirst())
            } else if valued.contains(word), rest.count > 1 {
                globals.append(contentsOf: rest.prefix(2))
                rest = rest.dropFirst(2)
            } else {
                break
            }
        }
        guard !globals.isEmpty else { return arguments }
        var path: [String] = []
        var command = root
        while let word = rest.first, let next = command.configuration.subcommands.first(where: { $0._commandName == word }) {
            path.append(rest.removeFirst())
            command = next
        }
        return path + globals + rest
    }
}
