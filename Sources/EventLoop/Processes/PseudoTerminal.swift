package import Base
internal import CLibuv
internal import Glibc

/// A pseudo terminal: the master as a stream, the other side for a child.
package final class PseudoTerminal {
    /// Such as `/dev/pts/4`.
    package let path: String
    /// Bytes to and from the program; its end of file comes when nobody has the terminal open any more.
    package let stream: PipeStream
    /// The other side, to be given to the child as `.share(terminal.childDescriptor)`; closed by ``closeChildSide()``.
    package var childDescriptor: Int32 { childSide?.raw ?? -1 }
    private var childSide: FileDescriptor?

    /// - Parameter modes: RFC 4254 §8, by opcode.
    package init(size: TerminalSize, modes: [UInt8: UInt32], on loop: Loop) throws(TeleportError) {
        let raw = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard raw >= 0 else { throw UVError.errno("opening a terminal") }
        let master = FileDescriptor(raw)
        guard grantpt(raw) == 0, unlockpt(raw) == 0 else { throw UVError.errno("opening a terminal") }
        var name = [CChar](repeating: 0, count: 128)
        guard unsafe ptsname_r(raw, &name, name.count) == 0 else { throw UVError.errno("naming a terminal") }
        path = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        let child = unsafe open(path, O_RDWR | O_NOCTTY | O_CLOEXEC)
        guard child >= 0 else { throw UVError.errno("opening \(path)") }
        childSide = FileDescriptor(child)
        try TerminalModes.apply(modes, to: child)
        try size.apply(to: raw)
        stream = try PipeStream(master, kind: .terminal, on: loop)
    }

    /// The program in front gets a window-change signal from the kernel.
    package func resize(_ size: TerminalSize) throws(TeleportError) {
        try size.apply(to: stream.descriptor)
    }

    package var size: TerminalSize? { TerminalSize(of: stream.descriptor) }

    /// Makes the terminal the user's own, as `login` does: mode 0620, group as given, which is `tty` where the system has one.
    package func give(to user: UInt32, group: UInt32) throws(TeleportError) {
        guard fchown(childDescriptor, user, group) == 0, fchmod(childDescriptor, 0o620) == 0 else {
            throw UVError.errno("giving \(path) away")
        }
    }

    /// Call it once the child runs: while this process has that side open, the stream does not end.
    package func closeChildSide() {
        childSide = nil
    }
}

/// The terminal that this process was started from, or another that is open.
package struct LocalTerminal: Sendable {
    package let descriptor: Int32
    /// The settings before ``makeRaw()``.
    private let settings: Lock<termios?> = Lock(nil)

    /// nil where the descriptor is no terminal.
    package init?(descriptor: Int32) {
        guard isatty(descriptor) == 1 else { return nil }
        self.descriptor = descriptor
    }

    package var size: TerminalSize? { TerminalSize(of: descriptor) }

    /// The modes for a `pty-req`, by opcode of RFC 4254 §8.
    package var modes: [UInt8: UInt32] { TerminalModes.read(from: descriptor) ?? [:] }

    /// Every key goes through as it is typed, until ``restore()``.
    package func makeRaw() throws(TeleportError) {
        var before = termios()
        guard unsafe tcgetattr(descriptor, &before) == 0 else { throw UVError.errno("reading the modes of the terminal") }
        var raw = before
        unsafe cfmakeraw(&raw)
        guard unsafe tcsetattr(descriptor, TCSADRAIN, &raw) == 0 else { throw UVError.errno("setting the modes of the terminal") }
        let saved = before
        settings.withLock { if $0 == nil { $0 = saved } }
    }

    package func restore() {
        settings.withLock { saved in
            guard var before = saved else { return }
            unsafe tcsetattr(descriptor, TCSADRAIN, &before)
            saved = nil
        }
    }

    /// Asks on the terminal for a line that is not shown, such as a password. Blocks.
    package func readSecret(prompt: String) throws(TeleportError) -> [UInt8] {
        var before = termios()
        guard unsafe tcgetattr(descriptor, &before) == 0 else { throw UVError.errno("reading the modes of the terminal") }
        var silent = before
        silent.c_lflag &= ~tcflag_t(ECHO)
        guard unsafe tcsetattr(descriptor, TCSAFLUSH, &silent) == 0 else { throw UVError.errno("setting the modes of the terminal") }
        defer { unsafe tcsetattr(descriptor, TCSAFLUSH, &before) }
        try FileIO.write(Array(prompt.utf8), descriptor: 2)
        let line = try FileIO.readLine(descriptor: descriptor)
        try FileIO.write([0x0a], descriptor: 2)
        return line
    }
}
