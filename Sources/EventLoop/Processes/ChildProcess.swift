package import Base
internal import CLibuv
internal import Glibc

/// A program started with `posix_spawn`, or a fork of a ``ForkServer``; its end is watched through a pidfd.
///
/// The child gets the descriptors it is given and no others, default signal dispositions and an empty signal mask.
package final class ChildProcess {
    /// What one of the child's descriptors is.
    package enum Descriptor: Sendable {
        /// `/dev/null`.
        case null
        /// The same number of this process.
        case inherit
        /// A pipe that the child writes and ``ChildProcess/stream(_:)`` reads.
        case output
        /// A pipe that the child reads and ``ChildProcess/stream(_:)`` writes.
        case input
        /// A socket pair: both ends read and write.
        case socket
        /// A descriptor of this process, which keeps its own copy.
        case share(Int32)
        /// Another, lower descriptor of the child.
        case copy(of: Int32)
    }

    package enum Group: Sendable {
        /// The process group of this process.
        case parent
        /// A process group of its own, for ``ChildProcess/signalGroup(_:)``.
        case own
        /// A session of its own, which is a group too.
        case session
    }

    package enum Exit: Equatable, Sendable {
        case status(Int32)
        case signal(Signal, coreDumped: Bool)
    }

    package struct Command: Sendable {
        /// An absolute path.
        package var executable: String
        /// With the name of the program as the first.
        package var arguments: [String]
        /// `NAME=value`, all of it: nothing of this process's own comes along.
        package var environment: [String]
        package var directory: String?
        package var descriptors: [Int32: Descriptor]
        package var group: Group

        package init(
            executable: String, arguments: [String], environment: [String] = [], directory: String? = nil,
            descriptors: [Int32: Descriptor] = [0: .null, 1: .inherit, 2: .inherit], group: Group = .own
        ) {
            self.executable = executable
            self.arguments = arguments
            self.environment = environment
            self.directory = directory
            self.descriptors = descriptors
            self.group = group
        }
    }

    package let identifier: Int32
    package private(set) var exit: Exit?
    private let group: Group
    private let loop: Loop
    private var streams: [Int32: PipeStream] = [:]
    private var watcher: DescriptorWatcher?
    private var exited: ((Exit) -> Void)?

    private enum Origin {
        case program(Command)
        case fork(of: ForkServer)
    }

    /// - Parameter exited: called once when the child has ended; its pipes may still hold output.
    package convenience init(_ command: Command, on loop: Loop, exited: @escaping (Exit) -> Void) throws(TeleportError) {
        try self.init(.program(command), command.descriptors, group: command.group, on: loop, exited: exited)
    }

    /// A child that goes on where the server's ``ForkServer/serve(on:)`` comes back, as the leader of a session.
    ///
    /// - Parameter descriptors: from 0 on without a gap, none of them `.null` or a `.copy`.
    package convenience init(
        forkedBy server: ForkServer, descriptors: [Int32: Descriptor], on loop: Loop, exited: @escaping (Exit) -> Void
    ) throws(TeleportError) {
        try self.init(.fork(of: server), descriptors, group: .session, on: loop, exited: exited)
    }

    private init(
        _ origin: Origin, _ descriptors: [Int32: Descriptor], group: Group, on loop: Loop, exited: @escaping (Exit) -> Void
    ) throws(TeleportError) {
        self.loop = loop
        self.exited = exited
        self.group = group
        var spawn = SpawnActions()
        var streams: [Int32: PipeStream] = [:]
        do throws(TeleportError) {
            for (number, descriptor) in descriptors.sorted(by: { $0.key < $1.key }) {
                guard let end = try spawn.give(descriptor, as: number) else { continue }
                streams[number] = try PipeStream(FileDescriptor(end.descriptor), kind: end.kind, on: loop)
            }
            switch origin {
            case .program(let command): identifier = try spawn.run(command)
            case .fork(let server): identifier = try server.fork(spawn.given)
            }
        } catch {
            for stream in streams.values { stream.close() }
            throw error
        }
        self.streams = streams
        do throws(TeleportError) {
            let pidfd = pidfd_open(identifier, 0)
            guard pidfd >= 0 else { throw UVError.errno("watching process \(identifier)") }
            // The watcher holds this object until the child has been reaped.
            watcher = try DescriptorWatcher(FileDescriptor(pidfd), on: loop) { _ in self.reap() }
            watcher?.watch([.readable])
        } catch {
            // A child whose end nobody would notice is not left behind.
            signalGroup(.kill)
            waitpid(identifier, nil, 0)
            for stream in streams.values { stream.close() }
            throw error
        }
    }

    /// This side of a `.input`, `.output` or `.socket`.
    package func stream(_ descriptor: Int32) -> PipeStream? { streams[descriptor] }

    package func signal(_ signal: Signal) {
        if exit == nil { Glibc.kill(identifier, signal.number) }
    }

    /// Signals all processes of the child's group, also when the child itself has ended and left others.
    package func signalGroup(_ signal: Signal) {
        switch group {
        case .parent: self.signal(signal)
        case .own, .session: Glibc.kill(-identifier, signal.number)
        }
    }

    private func reap() {
        var status: CInt = 0
        let code = unsafe waitpid(identifier, &status, WNOHANG)
        if code == 0 { return }
        let exit: Exit =
            if code < 0 {
                .status(255)
            } else if shim_exited(status) != 0 {
                .status(shim_exit_status(status))
            } else {
                .signal(Signal(number: shim_term_signal(status)), coreDumped: shim_core_dumped(status) != 0)
            }
        self.exit = exit
        watcher?.close()
        watcher = nil
        let exited = self.exited
        self.exited = nil
        exited?(exit)
    }
}

/// The file actions and attributes of one `posix_spawn`.
@safe
struct SpawnActions: ~Copyable {
    private var actions = unsafe posix_spawn_file_actions_t()
    private var attributes = posix_spawnattr_t()
    /// What the child gets, in order of its numbers; closed when it has them.
    private(set) var given: [CInt] = []
    private var highest: CInt = -1

    /// Sources are moved above every number that a child's descriptor may have, so that no `dup2` overwrites a source.
    private static let lowestSource: CInt = 64

    init() {
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawnattr_init(&attributes)
    }

    deinit {
        for descriptor in given { Glibc.close(descriptor) }
        var actions = unsafe actions
        var attributes = attributes
        unsafe posix_spawn_file_actions_destroy(&actions)
        unsafe posix_spawnattr_destroy(&attributes)
    }

    /// - Returns: this side of a pipe or socket pair.
    mutating func give(
        _ descriptor: ChildProcess.Descriptor, as number: CInt
    ) throws(TeleportError) -> (descriptor: Int32, kind: PipeStream.Kind)? {
        precondition(number < Self.lowestSource, "a child's descriptor is below \(Self.lowestSource)")
        highest = max(highest, number)
        switch descriptor {
        case .null:
            unsafe posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_RDWR, 0)
            return nil
        case .inherit:
            try duplicate(number, as: number)
            return nil
        case .share(let source):
            try duplicate(source, as: number)
            return nil
        case .copy(let other):
            precondition(other < number, "a copy is of a lower descriptor")
            unsafe posix_spawn_file_actions_adddup2(&actions, other, number)
            return nil
        case .output:
            let (read, write) = try pipe()
            try move(write, as: number, other: read)
            return (read, .pipe)
        case .input:
            let (read, write) = try pipe()
            try move(read, as: number, other: write)
            return (write, .pipe)
        case .socket:
            var ends: [CInt] = [-1, -1]
            guard unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
                throw UVError.errno("making a socket pair")
            }
            try move(ends[1], as: number, other: ends[0])
            return (ends[0], .socket)
        }
    }

    private func pipe() throws(TeleportError) -> (read: CInt, write: CInt) {
        var ends: [CInt] = [-1, -1]
        guard unsafe pipe2(&ends, O_CLOEXEC) == 0 else { throw UVError.errno("making a pipe") }
        // What one read of the loop takes. Where the user's share of such memory is used up the pipe stays as it is.
        shim_widen_pipe(ends[0], CInt(Loop.receiveBufferBytes))
        return (ends[0], ends[1])
    }

    private mutating func move(_ source: CInt, as number: CInt, other: CInt) throws(TeleportError) {
        defer { Glibc.close(source) }
        do throws(TeleportError) {
            try duplicate(source, as: number)
        } catch {
            Glibc.close(other)
            throw error
        }
    }

    private mutating func duplicate(_ source: CInt, as number: CInt) throws(TeleportError) {
        let copy = shim_duplicate_above(source, Self.lowestSource)
        guard copy >= 0 else { throw UVError.errno("giving descriptor \(source) to a child") }
        given.append(copy)
        unsafe posix_spawn_file_actions_adddup2(&actions, copy, number)
    }

    mutating func run(_ command: ChildProcess.Command) throws(TeleportError) -> Int32 {
        unsafe posix_spawn_file_actions_addclosefrom_np(&actions, highest + 1)
        if let directory = command.directory { unsafe posix_spawn_file_actions_addchdir_np(&actions, directory) }
        var flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
        switch command.group {
        case .parent: break
        case .own: flags |= POSIX_SPAWN_SETPGROUP
        case .session: flags |= SHIM_SPAWN_SETSID
        }
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        var identifier: pid_t = 0
        let code = unsafe CStrings.with(command.arguments) { arguments in
            unsafe CStrings.with(command.environment) { environment in
                unsafe posix_spawn(&identifier, command.executable, &actions, &attributes, arguments, environment)
            }
        }
        guard code == 0 else { throw UVError.errno("starting \(command.executable)", code) }
        return identifier
    }
}

/// Texts as the null-terminated array that `exec` takes.
enum CStrings {
    static func with<Result>(_ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result) -> Result {
        unsafe with(texts.map { Array($0.utf8) }, body)
    }

    /// Bytes without NUL.
    static func with<Result>(_ texts: [[UInt8]], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result) -> Result {
        var pointers: [UnsafeMutablePointer<CChar>?] = unsafe texts.map { text in
            unsafe strdup((text + [0]).map(CChar.init(bitPattern:)))
        }
        unsafe pointers.append(nil)
        defer { unsafe pointers.forEach { unsafe free($0) } }
        return unsafe pointers.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("the array has a null at least") }
            return unsafe body(base)
        }
    }
}
