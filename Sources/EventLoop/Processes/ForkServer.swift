package import Base
internal import CLibuv
internal import Glibc

/// Children without the start of a program: a process of one thread that is started once, and forks when it is asked to.
///
///     we ──descriptors──▶ server ──fork──▶ child: takes the descriptors, begins a session
///      ◀───────────────its number────────────┘
///
/// A process with threads cannot fork, and `posix_spawn` costs what the start of the program does: 10 ms of processor time for one with our
/// libraries (measured: its loader, and the pages that it writes to), where this costs 0.5 ms. The children are ours and not the server's, so that
/// their end is watched as that of any other. The server starts with the first child that is wanted, and ends when this process does.
package final class ForkServer: Sendable {
    private struct Running {
        let identifier: Int32
        let socket: Int32
    }

    private let executable: String
    private let argument: String
    private let running = Lock<Running?>(nil)

    /// Where the server finds its socket.
    package static let descriptor: Int32 = 3
    /// A fork takes less than a millisecond; a machine may be so loaded that it takes many.
    private static let answerSecondsMax: Int32 = 5

    /// - Parameter executable: calls ``serve(on:)`` when `argument` is the only one it is given.
    package init(executable: String, argument: String) {
        self.executable = executable
        self.argument = argument
    }

    /// Of the server's process; nil while none runs.
    package var identifier: Int32? { running.withLock { $0?.identifier } }

    deinit {
        running.withLock { Self.end(&$0) }
    }

    /// Blocks for as long as a fork takes, as `posix_spawn` does.
    func fork(_ descriptors: [Int32]) throws(TeleportError) -> Int32 {
        precondition((1...Int(SHIM_DESCRIPTORS_MAX)).contains(descriptors.count), "a child has some descriptors, and few")
        return try running.withLock { running throws(TeleportError) in
            // One that somebody has killed answers nothing: another takes its place, once.
            for _ in 0..<2 {
                if running == nil { running = try start() }
                guard let server = running else { preconditionFailure("it has just been started") }
                do throws(TeleportError) {
                    if Self.send(descriptors, to: server), let identifier = try Self.answer(of: server) { return identifier }
                } catch {
                    Self.end(&running)
                    throw error
                }
                Self.end(&running)
            }
            throw TeleportError(.systemError, "the process that forks ends as soon as it is asked")
        }
    }

    private func start() throws(TeleportError) -> Running {
        var ends: [CInt] = [-1, -1]
        guard unsafe socketpair(AF_UNIX, CInt(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw UVError.errno("making a socket pair")
        }
        let ours = FileDescriptor(ends[0])
        let theirs = FileDescriptor(ends[1])
        shim_set_answer_time(ours.raw, Self.answerSecondsMax)
        var spawn = SpawnActions()
        _ = try spawn.give(.null, as: 0)
        _ = try spawn.give(.null, as: 1)
        _ = try spawn.give(.inherit, as: 2)
        _ = try spawn.give(.share(theirs.raw), as: Self.descriptor)
        let identifier = try spawn.run(
            // What is bound before the forks is bound for all of them.
            ChildProcess.Command(executable: executable, arguments: ["teleport", argument], environment: ["LD_BIND_NOW=1"]))
        return Running(identifier: identifier, socket: ours.release())
    }

    private static func end(_ running: inout Running?) {
        guard let server = running else { return }
        running = nil
        Glibc.close(server.socket)
        // Also where it hangs; who has been killed is reaped at once.
        kill(server.identifier, SIGKILL)
        waitpid(server.identifier, nil, 0)
    }

    private static func send(_ descriptors: [Int32], to server: Running) -> Bool {
        var byte: UInt8 = 0
        return unsafe shim_send_with_descriptors(server.socket, &byte, 1, descriptors, descriptors.count) == 1
    }

    /// nil where nobody is left who could answer: then there is no child either.
    private static func answer(of server: Running) throws(TeleportError) -> Int32? {
        var identifier: Int32 = 0
        var count = 0
        repeat { count = unsafe recv(server.socket, &identifier, MemoryLayout<Int32>.size, 0) } while count < 0 && errno == EINTR
        if count == 0 || count < 0 && errno == ECONNRESET { return nil }
        guard count == MemoryLayout<Int32>.size else { throw UVError.errno("waiting for a child", errno) }
        guard identifier > 0 else { throw UVError.errno("forking", -identifier) }
        return identifier
    }

    // MARK: In the server

    /// The life of the server, which ends with the process that started it. Comes back in each child, which has the descriptors that it was given,
    /// from 0 on, and is the leader of a session. For a process of one thread.
    package static func serve(on socket: Int32) throws(TeleportError) {
        while true {
            let descriptors = try receive(on: socket)
            let identifier = shim_fork_sibling()
            if identifier == 0 { return try begin(descriptors, socket) }
            for descriptor in descriptors { Glibc.close(descriptor) }
            if identifier < 0 { answer(-errno, on: socket) }
        }
    }

    private static func receive(on socket: Int32) throws(TeleportError) -> [Int32] {
        var descriptors = [Int32](repeating: -1, count: Int(SHIM_DESCRIPTORS_MAX))
        var number = 0
        var byte: UInt8 = 0
        var count = 0
        repeat {
            number = descriptors.count
            count = unsafe shim_receive_with_descriptors(socket, &byte, 1, &descriptors, &number)
        } while count < 0 && errno == EINTR
        guard count >= 0 else { throw UVError.errno("waiting to be asked for a child") }
        if count == 0 { LoginProcess.exit(0) }
        return Array(descriptors.prefix(number))
    }

    /// A group of its own comes before the answer: whoever has that may signal it.
    private static func begin(_ descriptors: [Int32], _ socket: Int32) throws(TeleportError) {
        try LoginProcess.beginSession(terminal: nil)
        answer(getpid(), on: socket)
        Glibc.close(socket)
        for (number, descriptor) in descriptors.enumerated() {
            try LoginProcess.place(descriptor, at: Int32(number))
            Glibc.close(descriptor)
        }
    }

    private static func answer(_ number: Int32, on socket: Int32) {
        var number = number
        _ = unsafe Glibc.send(socket, &number, MemoryLayout<Int32>.size, CInt(MSG_NOSIGNAL))
    }
}
