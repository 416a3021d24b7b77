internal import Base

/// Data of one channel that waits for window or keys, in order, plain and extended, in memory that is lent as long as it waits.
struct SendQueue {
    /// Bytes of one kind that follow each other: a peer that changes the kind with each byte makes us hold little more than the bytes.
    private struct Run {
        /// nil for plain data.
        let extendedType: UInt32?
        var count: Int
    }

    private var runs: [Run] = []
    /// The runs before this one are gone.
    private var firstRun = 0
    /// All are full but the last.
    private var buffers: [[UInt8]] = []
    /// What is gone of the first buffer, and what is used of the last.
    private var start = 0
    private var end = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// Small writes are joined, so that they leave in full packets.
    mutating func append(_ bytes: Span<UInt8>, extendedType: UInt32?, from pool: BufferPool) {
        guard !bytes.isEmpty else { return }
        count += bytes.count
        if let last = runs.indices.last, runs[last].extendedType == extendedType {
            runs[last].count += bytes.count
        } else {
            runs.append(Run(extendedType: extendedType, count: bytes.count))
        }
        var rest = bytes
        while !rest.isEmpty {
            if buffers.isEmpty || end == buffers[buffers.count - 1].count {
                // What waits at all is often little; what comes after is not.
                buffers.append(pool.take(atLeast: buffers.isEmpty ? min(rest.count, BufferPool.mediumBytes) : BufferPool.mediumBytes))
                end = 0
            }
            let part = min(rest.count, buffers[buffers.count - 1].count - end)
            buffers[buffers.count - 1].copy(rest.extracting(first: part), at: end)
            end += part
            rest = rest.extracting(droppingFirst: part)
        }
    }

    /// Gives `body` the first bytes that may go in one packet, and their type, and takes them out.
    ///
    /// - Parameter max: above 0.
    /// - Returns: how many they were; the queue is not empty.
    mutating func takeFirst(max: Int, to pool: BufferPool, _ body: (Span<UInt8>, _ extendedType: UInt32?) -> Void) -> Int {
        let filled = buffers.count == 1 ? end : buffers[0].count
        let taken = min(max, runs[firstRun].count, filled - start)
        Self.show(buffers[0], start..<start + taken, runs[firstRun].extendedType, body)
        count -= taken
        start += taken
        if start == filled {
            pool.giveBack(buffers.removeFirst())
            start = 0
        }
        runs[firstRun].count -= taken
        if runs[firstRun].count == 0 { firstRun += 1 }
        // Of a queue that never runs empty, too, what is gone is given back; each run moves once or twice.
        if firstRun * 2 >= runs.count {
            runs.removeFirst(firstRun)
            firstRun = 0
        }
        return taken
    }

    private static func show(_ buffer: [UInt8], _ range: Range<Int>, _ type: UInt32?, _ body: (Span<UInt8>, UInt32?) -> Void) {
        body(buffer.span.extracting(range), type)
    }
}
