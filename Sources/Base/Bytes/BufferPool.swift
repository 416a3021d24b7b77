/// Byte arrays that are lent to whoever has output for the moment, so that a quiet connection owns none and a busy one asks the allocator for none.
///
/// Bound to one thread. What is lent has some content: whoever takes it keeps count of what is theirs.
package final class BufferPool {
    /// For messages: a key exchange, a few keystrokes.
    package static let smallBytes = 4 << 10
    /// For data: what one read brings, sealed, and as much again.
    package static let largeBytes = 512 << 10

    private var small: [[UInt8]] = []
    private var large: [[UInt8]] = []

    /// Connections that have small output within one turn; more are rare.
    private static let smallMax = 64
    /// As many connections as are in the middle of large output at once: nearly always one.
    private static let largeMax = 2

    package init() {}

    /// - Returns: an array of at least `count` bytes that nobody else holds.
    package func take(atLeast count: Int) -> [UInt8] {
        if count <= Self.smallBytes { return small.popLast() ?? [UInt8](repeating: 0, count: Self.smallBytes) }
        if count <= Self.largeBytes { return large.popLast() ?? [UInt8](repeating: 0, count: Self.largeBytes) }
        return [UInt8](repeating: 0, count: count)
    }

    /// Takes an array back, whole as it was lent; one of an odd size goes.
    package func giveBack(_ buffer: consuming [UInt8]) {
        if buffer.count == Self.smallBytes, small.count < Self.smallMax { return small.append(buffer) }
        if buffer.count == Self.largeBytes, large.count < Self.largeMax { large.append(buffer) }
    }
}
