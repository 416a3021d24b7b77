internal import CLibuv

/// What the kernel would not take yet: one part with libuv, the rest behind it.
///
/// Owns its memory for as long as libuv may read it; an empty queue owns none.
@safe
struct WriteQueue: ~Copyable {
    private var flying = Block()
    private var waiting = Block()
    private var request: UnsafeMutablePointer<uv_write_t>?
    deinit {
        unsafe flying.memory?.deallocate()
        unsafe waiting.memory?.deallocate()
        unsafe request?.deallocate()
    }

    var count: Int { flying.count + waiting.count }
    var isEmpty: Bool { count == 0 }
    private(set) var isFlying = false

    /// - Parameter spares: where its memory comes from and goes to.
    mutating func append(_ bytes: Span<UInt8>, _ spares: SpareBlocks) {
        waiting.append(bytes, spares)
    }

    /// Gives all that waits to `body`, which starts the write.
    mutating func fly(_ body: (UnsafeMutablePointer<uv_write_t>, uv_buf_t) -> CInt) -> CInt {
        swap(&flying, &waiting)
        isFlying = true
        let request = unsafe self.request ?? .allocate(capacity: 1)
        unsafe self.request = request
        let buffer = unsafe uv_buf_t(
            base: flying.memory.map { unsafe UnsafeMutableRawPointer($0).assumingMemoryBound(to: CChar.self) }, len: flying.count)
        return unsafe body(request, buffer)
    }

    /// Libuv is done with what it was given.
    mutating func landed(_ spares: SpareBlocks) {
        isFlying = false
        flying.release(to: spares)
    }

    /// All of it that the kernel has not taken.
    ///
    /// - Parameter flyingLeft: how much of what flies libuv still has.
    func unsent(flyingLeft: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        if isFlying { flying.append(last: flyingLeft, to: &bytes) }
        waiting.append(last: waiting.count, to: &bytes)
        return bytes
    }

    mutating func discard(_ spares: SpareBlocks) {
        waiting.release(to: spares)
    }

    @safe
    fileprivate struct Block {
        private(set) var memory: UnsafeMutablePointer<UInt8>?
        private(set) var count = 0
        private var capacity = 0

        mutating func append(_ bytes: Span<UInt8>, _ spares: SpareBlocks) {
            if count + bytes.count > capacity {
                let (larger, room) = unsafe spares.take(max(count + bytes.count, capacity * 2))
                if let memory = unsafe memory {
                    unsafe larger.update(from: memory, count: count)
                    unsafe spares.giveBack(memory, capacity: capacity)
                }
                unsafe memory = larger
                capacity = room
            }
            guard let memory = unsafe memory else { return }
            unsafe bytes.withUnsafeBufferPointer { source in
                guard let base = source.baseAddress else { return }
                unsafe (memory + count).update(from: base, count: source.count)
            }
            count += bytes.count
        }

        func append(last count: Int, to bytes: inout [UInt8]) {
            guard let memory = unsafe memory, count > 0 else { return }
            unsafe bytes.append(contentsOf: UnsafeBufferPointer(start: memory + (self.count - count), count: count))
        }

        mutating func release(to spares: SpareBlocks) {
            if let memory = unsafe memory { unsafe spares.giveBack(memory, capacity: capacity) }
            unsafe memory = nil
            count = 0
            capacity = 0
        }
    }
}

/// Memory that write queues have given back, for those that fill next: a loop under load asks the allocator, and so the kernel, for none.
@safe
final class SpareBlocks {
    @safe
    private struct Spare {
        let memory: UnsafeMutablePointer<UInt8>
        let capacity: Int
    }

    private var blocks: [Spare] = []
    private var bytes = 0

    /// What a loop keeps: as much as a handful of busy streams have waiting.
    private static let bytesMax = 2 << 20
    private static let blocksMax = 8
    private static let blockBytesMin = 16 << 10

    deinit {
        for block in blocks { unsafe block.memory.deallocate() }
    }

    func take(_ count: Int) -> (memory: UnsafeMutablePointer<UInt8>, capacity: Int) {
        if let index = blocks.firstIndex(where: { $0.capacity >= count }) {
            let block = blocks.remove(at: index)
            bytes -= block.capacity
            return unsafe (block.memory, block.capacity)
        }
        let capacity = max(count, Self.blockBytesMin)
        return (.allocate(capacity: capacity), capacity)
    }

    func giveBack(_ memory: UnsafeMutablePointer<UInt8>, capacity: Int) {
        guard blocks.count < Self.blocksMax, bytes + capacity <= Self.bytesMax else { return unsafe memory.deallocate() }
        unsafe blocks.append(Spare(memory: memory, capacity: capacity))
        bytes += capacity
    }
}
