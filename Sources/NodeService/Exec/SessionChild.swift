internal import Base
internal import EventLoop
internal import SFTP

/// The small life between a node and a login program: a fork of the node's own executable, started anew as a ``ForkServer``, becomes the user
/// and then the program.
///
/// 1. read one message from descriptor 3;
/// 2. a session of its own, with the terminal where there is one;
/// 3. the user's groups, then group, then user, for good;
/// 4. umask, home directory;
/// 5. `exec`; or file transfer, which this process then serves itself, as nothing else on the machine need be able to.
///
/// Whoever starts it by hand gains nothing: it does only what its caller may do anyway.
package enum SessionChild {
    /// The one argument with which the executable is started as the server whose forks are session children.
    package static let argument = "session-child"
    static let messageDescriptor: Int32 = 3
    /// The status of a child that could not start the program.
    static let failureStatus: Int32 = 254
    /// What files of the user's are made without: writing by others.
    static let fileModeMask: UInt32 = 0o022

    /// Where the program was started for session children, lives that life and does not return. First of all in `main`.
    package static func runIfAsked() {
        guard CommandLine.arguments.count == 2, CommandLine.arguments[1] == argument else { return }
        do {
            _ = try? prepare()
            try ForkServer.serve(on: ForkServer.descriptor)
            try run()
        } catch {
            say("\(error)", on: messageDescriptor)
            say("teleport: cannot start the session: \(error)\r\n", on: 2)
            LoginProcess.exit(failureStatus)
        }
    }

    /// Goes the way of a child and fails at its end, as nobody has a shell: what Swift's runtime makes at the first use of a type is there
    /// before the forks.
    private static func prepare() throws -> Never {
        let nobody = UserAccount(name: "nobody", identifier: 0, group: 0, groups: [0], home: "/", shell: "")
        let sent = SessionChildMessage(account: nobody, arguments: [[0x2d]], environment: ["A=B"], hasTerminal: false)
        let message = try SessionChildMessage(decoding: sent.encoded())
        try LoginProcess.execute(message.account.shell, arguments: message.arguments, environment: message.environment)
    }

    private static func run() throws -> Never {
        let message = try SessionChildMessage(decoding: try readMessage())
        try LoginProcess.beginSession(terminal: message.hasTerminal ? 0 : nil)
        try LoginProcess.become(message.account)
        LoginProcess.setFileModeMask(fileModeMask)
        do {
            try LoginProcess.enter(directory: message.account.home)
        } catch {
            say("Could not chdir to home directory \(message.account.home): \(error)\r\n", on: 2)
            try LoginProcess.enter(directory: "/")
        }
        LoginProcess.close(messageDescriptor)
        if message.service != .program { LoginProcess.exit(transferFiles(message)) }
        try LoginProcess.execute(message.account.shell, arguments: message.arguments, environment: message.environment)
    }

    /// - Returns: the status to exit with.
    private static func transferFiles(_ message: SessionChildMessage) -> Int32 {
        let account = message.account
        do {
            guard PathIO.isLoginShell(account.shell) else {
                throw TeleportError.accessDenied("\(account.name) has \(account.shell) for a shell: such an account transfers no files")
            }
            if message.service == .sftp {
                try SFTPService.run(home: account.home)
                return 0
            }
            PathIO.setEnvironment("HOME", account.home)
            guard let line = message.arguments.first, let command = SCPCommand(words: try PathIO.words(line)) else {
                throw TeleportError.badParameter("the command is not that of a copy")
            }
            var service = SCPService(command)
            return try service.run()
        } catch {
            let reason = error is WireError ? "the client does not speak SFTP (\(error))" : (error as? TeleportError)?.message ?? "\(error)"
            say("teleport: \(reason)\r\n", on: 2)
            return 1
        }
    }

    private static func readMessage() throws -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            if bytes.count >= 4 {
                let count = bytes[..<4].reduce(0) { $0 << 8 | Int($1) }
                guard count <= SessionChildMessage.bytesMax else { throw WireError.tooLong(count) }
                if bytes.count >= 4 + count { return Array(bytes[4...]) }
            }
            guard let more = try FileIO.readSome(messageDescriptor, name: "the session's message") else {
                throw WireError.truncated(needed: 4)
            }
            bytes += more
        }
    }

    /// Best effort: there is nobody else to tell.
    private static func say(_ text: String, on descriptor: Int32) {
        _ = try? FileIO.write(Array(text.utf8), descriptor: descriptor)
    }
}
