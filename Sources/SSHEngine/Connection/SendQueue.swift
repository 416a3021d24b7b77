internal import Base

/// Data of one channel that waits for window or keys, in order, plain and extended.
struct SendQueue {
    private struct Segment {
        /// nil for plain data.
        let extendedType: UInt32?
        var bytes: [UInt8]
    }

    /// Small writes are joined up to this size, so that they leave in full packets.
    private static let segmentBytesMax = 64 << 10

    private static let segmentsGoneMax = 64

    private var segments: [Segment] = []
    /// The segments before this one are gone.
    private var head = 0
    /// Bytes of the first segment that are gone.
    private var offset = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    mutating func append(_ bytes: Span<UInt8>, extendedType: UInt32?) {
        guard !bytes.isEmpty else { return }
        count += bytes.count
        if let last = segments.indices.last, segments[last].extendedType == extendedType,
            segments[last].bytes.count + bytes.count <= Self.segmentBytesMax
        {
            segments[last].bytes.append(copying: bytes)
        } else {
            segments.append(Segment(extendedType: extendedType, bytes: Array(copying: bytes)))
        }
    }

    /// The first bytes that may go in one packet, still in the queue: their type, and where they are.
    func first(max: Int) -> (extendedType: UInt32?, bytes: [UInt8], range: Range<Int>)? {
        guard count > 0 else { return nil }
        let segment = segments[head]
        return (segment.extendedType, segment.bytes, offset..<min(segment.bytes.count, offset + max))
    }

    mutating func removeFirst(_ taken: Int) {
        count -= taken
        offset += taken
        guard offset == segments[head].bytes.count else { return }
        segments[head].bytes = []
        head += 1
        offset = 0
        // Of a queue that never runs empty, too, what is gone is given back.
        if head == segments.count || head >= Self.segmentsGoneMax {
            segments.removeFirst(head)
            head = 0
        }
    }

    mutating func removeAll() {
        self = SendQueue()
    }
}
