/// A bounded buffer of bytes: filled at the back, eaten at the front.
///
/// Its bytes stand in one array, so what is waiting can be lent as one span. Eaten bytes are given back when they are as many as
/// those that wait, so each byte is moved at most once on average.
package struct ByteQueue: ~Copyable {
    private var storage: [UInt8] = []
    private var head = 0
    /// The most bytes that may wait.
    package let countMax: Int

    /// Eaten bytes below which moving the rest to the front is not worth it.
    private static let compactionMin = 4096

    package init(countMax: Int) {
        precondition(countMax > 0, "a queue that holds nothing")
        self.countMax = countMax
    }

    package var count: Int { storage.count - head }
    package var isEmpty: Bool { count == 0 }
    /// How many bytes more may be appended.
    package var room: Int { countMax - count }

    /// What waits, oldest first.
    package var bytes: Span<UInt8> {
        @_lifetime(borrow self)
        get { storage.span.extracting(droppingFirst: head) }
    }

    /// Appends all of `added`, or nothing of it.
    ///
    /// - Returns: whether there was room.
    package mutating func append(_ added: Span<UInt8>) -> Bool {
        guard added.count <= room else { return false }
        storage.append(copying: added)
        return true
    }

    package mutating func append(_ added: [UInt8]) -> Bool {
        append(added.span)
    }

    /// Eats the first `eaten` bytes.
    package mutating func removeFirst(_ eaten: Int) {
        precondition(eaten >= 0 && eaten <= count, "eating more than there is")
        head += eaten
        if head == storage.count {
            storage.removeAll(keepingCapacity: storage.capacity <= Self.compactionMin)
            head = 0
        } else if head >= Self.compactionMin, head >= storage.count - head {
            storage.removeSubrange(0..<head)
            head = 0
        }
    }

    package mutating func removeAll() {
        storage.removeAll()
        head = 0
    }
}
