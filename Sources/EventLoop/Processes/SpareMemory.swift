internal import Base
internal import CLibuv
internal import Glibc

/// Memory that the allocator holds for nobody: a flood or a thousand slow readers leave holes behind that it would keep for good.
package final class SpareMemory: Sendable {
    /// What it held after it was last asked to give back; the kernel has most of that.
    private let held = Lock(0)

    /// Less is left for the next who asks for memory.
    private static let keptBytes = 32 << 20

    package init() {}

    /// Gives it back to the kernel where it is much. Takes some milliseconds for each 100 MiB, in which others may wait for memory: for the
    /// worker pool, now and then.
    package func giveBack() {
        held.withLock { held in
            let free = Self.freeBytes
            held = min(held, free)
            guard free > held + Self.keptBytes else { return }
            malloc_trim(0)
            held = Self.freeBytes
        }
    }

    private static var freeBytes: Int { Int(mallinfo2().fordblks) }
}
