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

    mutating func append(_ bytes: Span<UInt8>) {
        waiting.append(bytes)
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
    mutating func landed() {
        isFlying = false
        flying.removeAll()
    }

    mutating func discard() {
        waiting.removeAll()
    }

    @safe
    private struct Block {
        var memory: UnsafeMutablePointer<UInt8>?
        var count = 0
        private var capacity = 0

        mutating func append(_ bytes: Span<UInt8>) {
            if count + bytes.count > capacity {
                capacity = max(count + bytes.count, capacity * 2, 16 << 10)
                let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
                if let memory = unsafe memory {
                    unsafe larger.update(from: memory, count: count)
                    unsafe memory.deallocate()
                }
                unsafe memory = larger
            }
            guard let memory = unsafe memory else { return }
            unsafe bytes.withUnsafeBufferPointer { source in
                guard let base = source.baseAddress else { return }
                unsafe (memory + count).update(from: base, count: source.count)
            }
            count += bytes.count
        }

        mutating func removeAll() {
            unsafe memory?.deallocate()
            unsafe memory = nil
            count = 0
            capacity = 0
        }
    }
}
