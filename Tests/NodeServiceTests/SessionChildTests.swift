import Base
import EventLoop
import NodeService
import Testing

@Suite("SessionChild")
struct SessionChildTests {
    static let nobody = UserAccount(
        name: "nobody", identifier: 65534, group: 65534, groups: [65534, 4242], home: "/nonexistent", shell: "/bin/sh")

    static func server() throws(TeleportError) -> ForkServer {
        let directory = try FileIO.executablePath().split(separator: "/").dropLast().joined(separator: "/")
        return ForkServer(executable: "/\(directory)/SessionChildProgram", argument: SessionChild.argument)
    }

    /// Starts a session child, sends it `bytes`, and gives back what came of it.
    static func child(_ bytes: [UInt8], input: [UInt8] = [], of server: ForkServer? = nil) async throws -> TestNode.Outcome {
        let eventLoop = EventLoop(name: "child-tests")
        eventLoop.start()
        defer { eventLoop.stop() }
        let children = try server ?? self.server()
        return try await withCheckedThrowingContinuation { continuation in
            eventLoop.post { loop in
                do {
                    let run = ProgramRun(continuation)
                    try run.start(forkedBy: children, input: input, message: bytes, on: loop.inside)
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }

    private func message(_ account: UserAccount, _ command: String) -> [UInt8] {
        SessionChildMessage(
            account: account, arguments: [Array("sh".utf8), Array("-c".utf8), Array(command.utf8)],
            environment: ["PATH=/usr/bin:/bin", "MARK=1"], hasTerminal: false
        ).framed()
    }

    @Test(.enabled(if: UserAccounts.effectiveIdentifier == 0, "needs root"))
    func `becomes the user with its groups, and cannot go back`() async throws {
        let command = "id -u; id -g; id -G; umask; pwd; echo $PATH$MARK; grep CapEff /proc/self/status; head -c1 /etc/shadow; echo $?"
        let outcome = try await Self.child(message(Self.nobody, command))
        #expect(outcome.exit == .status(0))
        #expect(
            outcome.lines == ["65534", "65534", "65534 4242", "0022", "/", "/usr/bin:/bin1", "CapEff:\t0000000000000000", "1"],
            "\(outcome.text)")
        #expect(outcome.errors.contains("Could not chdir to home directory /nonexistent"))
    }

    @Test(.enabled(if: UserAccounts.effectiveIdentifier != 0, "needs not to be root"))
    func `becomes nobody else without root`() async throws {
        let outcome = try await Self.child(message(Self.nobody, "id"))
        #expect(outcome.exit == .status(254))
        #expect(outcome.text == "")
    }

    @Test func `says why a shell does not start`() async throws {
        let own = try UserAccounts.account(identifier: UserAccounts.effectiveIdentifier)
        let account = try #require(own)
        let broken = UserAccount(
            name: account.name, identifier: account.identifier, group: account.group, groups: account.groups, home: "/",
            shell: "/no/such/shell")
        let outcome = try await Self.child(message(broken, "id"))
        #expect(outcome.exit == .status(254))
        #expect(outcome.errors.contains("/no/such/shell"), "\(outcome.errors)")
    }

    @Test(arguments: [[], [0, 0], [0, 0, 0, 9, 1], [0xff, 0xff, 0xff, 0xff], [0, 0, 0, 1, 7]] as [[UInt8]])
    func `runs nothing for a message that is none`(bytes: [UInt8]) async throws {
        let outcome = try await Self.child(bytes)
        #expect(outcome.exit == .status(254))
        #expect(outcome.text == "")
    }

    private func own(_ command: String) throws -> [UInt8] {
        let account = try #require(try UserAccounts.account(identifier: UserAccounts.effectiveIdentifier))
        return message(account, command)
    }

    @Test func `children of many loops at once get what is theirs, and are ours`() async throws {
        let server = try Self.server()
        let parent = "\(LoginProcess.identifier)"
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<40 {
                group.addTask {
                    let outcome = try await Self.child(
                        try own("cat; echo \(number) $PPID; exit \(number)"), input: Array("input \(number)\n".utf8), of: server)
                    #expect(outcome.exit == .status(Int32(number)))
                    #expect(outcome.lines == ["input \(number)", "\(number) \(parent)"])
                }
            }
            try await group.waitForAll()
        }
        // Nothing of the children stays behind.
        let identifier = try #require(server.identifier)
        let open = try await Self.child(try own("ls /proc/\(identifier)/fd"), of: server)
        #expect(open.lines == ["0", "1", "2", "3"])
    }

    @Test func `a server that was killed is replaced by the next child`() async throws {
        let server = try Self.server()
        _ = try await Self.child(try own("true"), of: server)
        let first = try #require(server.identifier)
        _ = try await Self.child(try own("kill -KILL \(first)"), of: server)
        let outcome = try await Self.child(try own("echo again"), of: server)
        #expect(outcome.exit == .status(0) && outcome.lines == ["again"])
        #expect(server.identifier != first)
    }
}
