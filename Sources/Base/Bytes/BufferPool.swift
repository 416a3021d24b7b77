/// Byte arrays that are lent to whoever has bytes for the moment, so that a quiet connection owns none and a busy one asks the allocator for none.
///
/// Bound to one thread. What is lent has some content: whoever takes it keeps count of what is theirs.
package final class BufferPool {
    /// For messages: a key exchange, a few keystrokes.
    package static let smallBytes = 4 << 10
    /// For a packet of data that comes in pieces, and for data that waits for a window.
    package static let mediumBytes = 64 << 10
    /// For data: what one read brings, sealed, and as much again.
    package static let largeBytes = 512 << 10

    private var kept = [
        // Connections that have small output within one turn; more are rare.
        Shelf(bytes: smallBytes, max: 64),
        // What waits in a channel or two at its fullest.
        Shelf(bytes: mediumBytes, max: 12),
        // As many connections as are in the middle of large output at once: nearly always one.
        Shelf(bytes: largeBytes, max: 2),
    ]

    private struct Shelf {
        let bytes: Int
        let max: Int
        var buffers: [[UInt8]] = []
    }

    package init() {}

    /// - Returns: an array of at least `count` bytes that nobody else holds.
    package func take(atLeast count: Int) -> [UInt8] {
        for index in kept.indices where count <= kept[index].bytes {
            return kept[index].buffers.popLast() ?? [UInt8](repeating: 0, count: kept[index].bytes)
        }
        return [UInt8](repeating: 0, count: count)
    }

    /// Takes an array back, whole as it was lent; one of an odd size goes.
    package func giveBack(_ buffer: consuming [UInt8]) {
        for index in kept.indices where kept[index].bytes == buffer.count {
            if kept[index].buffers.count < kept[index].max { kept[index].buffers.append(buffer) }
            return
        }
    }
}
