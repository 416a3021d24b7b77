internal import CLibuv
internal import Glibc

extension PipeStream {
    /// The most that anybody may ask for (pipe(7)). With the usual 64 KiB reader and writer change places for every other packet.
    private static let pipeBytes = 1 << 20

    package enum Direction: Sendable {
        case reading
        case writing
    }

    /// A stream on what `descriptor` stands for, opened anew: it does not block, and whoever shares the descriptor sees nothing of that.
    ///
    /// - Returns: nil for all but pipes and terminals, and where they are not ours to open.
    package static func opened(anew descriptor: Int32, for direction: Direction, on loop: Loop) -> PipeStream? {
        // A pipe with a name does not tell who opens it late that its last writer has gone.
        let isPipe = shim_is_unnamed_pipe(descriptor)
        guard isPipe || isatty(descriptor) == 1 else { return nil }
        let flags = (direction == .reading ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC
        let raw = unsafe open("/proc/self/fd/\(descriptor)", flags)
        guard raw >= 0 else { return nil }
        if isPipe { shim_widen_pipe(raw, CInt(pipeBytes)) }
        return try? PipeStream(FileDescriptor(raw), kind: isPipe ? .pipe : .terminal, on: loop)
    }
}
