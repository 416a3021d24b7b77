import Base
import Testing

@Suite("BufferPool")
struct BufferPoolTests {
    @Test(arguments: [1, BufferPool.smallBytes, BufferPool.smallBytes + 1, BufferPool.mediumBytes + 1, BufferPool.largeBytes])
    func `what was given back is lent again`(count: Int) {
        let pool = BufferPool()
        var buffer = pool.take(atLeast: count)
        #expect(buffer.count >= count)
        buffer[0] = 7
        pool.giveBack(buffer)
        #expect(pool.take(atLeast: count)[0] == 7)
        #expect(pool.take(atLeast: count)[0] == 0, "nobody else has it")
    }

    @Test func `an odd size is made and not kept`() {
        let pool = BufferPool()
        var buffer = pool.take(atLeast: BufferPool.largeBytes + 1)
        #expect(buffer.count == BufferPool.largeBytes + 1)
        buffer[0] = 7
        pool.giveBack(buffer)
        #expect(pool.take(atLeast: BufferPool.largeBytes + 1)[0] == 0)
    }

    @Test func `it keeps a few large buffers and no more`() {
        let pool = BufferPool()
        for _ in 0..<10 {
            var buffer = [UInt8](repeating: 0, count: BufferPool.largeBytes)
            buffer[0] = 7
            pool.giveBack(buffer)
        }
        let kept = (0..<10).map { _ in pool.take(atLeast: BufferPool.largeBytes)[0] }.filter { $0 == 7 }.count
        #expect(kept == 2)
    }
}
