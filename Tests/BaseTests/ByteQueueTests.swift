import Base
import Testing

@Suite("ByteQueue")
struct ByteQueueTests {
    @Test func `what is appended comes out in order, whatever the sizes`() {
        var queue = ByteQueue(countMax: 100_000)
        var expected: [UInt8] = []
        let randomness = SeededRandomness(seed: 1)
        for _ in 0..<2000 {
            let added = randomness.bytes(Int(randomness.uint32() % 64))
            if queue.append(added) { expected += added }
            let eaten = min(queue.count, Int(randomness.uint32() % 60))
            let front = Array(copying: queue.bytes.extracting(first: eaten))
            queue.removeFirst(eaten)
            #expect(front == Array(expected.prefix(eaten)))
            expected.removeFirst(eaten)
            #expect(queue.count == expected.count)
        }
        let rest = Array(copying: queue.bytes)
        #expect(rest == expected)
    }

    @Test func `a full queue takes nothing of what does not fit`() {
        var queue = ByteQueue(countMax: 4)
        let first = queue.append([1, 2, 3])
        let tooMuch = queue.append([4, 5])
        let last = queue.append([4])
        #expect(first && !tooMuch && last)
        #expect(queue.room == 0)
        queue.removeFirst(2)
        #expect(queue.room == 2)
        let rest = Array(copying: queue.bytes)
        #expect(rest == [3, 4])
    }

    @Test func `eating more than there is is our own bug`() async {
        await #expect(processExitsWith: .failure) {
            var queue = ByteQueue(countMax: 4)
            queue.removeFirst(1)
        }
    }
}
