internal import Base
internal import CLibuv

/// A deadline on a loop.
package final class LoopTimer {
    fileprivate var body: (() -> Void)?
    private unowned let timers: LoopTimers

    fileprivate init(timers: LoopTimers, body: @escaping () -> Void) {
        self.timers = timers
        self.body = body
    }

    package var isPending: Bool { body != nil }

    package func cancel() {
        guard body != nil else { return }
        body = nil
        timers.cancelled()
    }
}

/// One libuv timer over many deadlines, in a binary heap.
final class LoopTimers: LoopHandle {
    private struct Key: Comparable {
        let deadline: Instant
        let order: UInt64
        /// Where its timer stands.
        let slot: Int

        static func < (left: Key, right: Key) -> Bool {
            left.deadline < right.deadline || left.deadline == right.deadline && left.order < right.order
        }
    }

    private var heap: [Key] = []
    /// Apart from the heap, and standing still: with tens of thousands of them each timer that is touched is a cache miss.
    private var timers: [LoopTimer?] = []
    private var freeSlots: [Int] = []
    private var cancelledCount = 0
    private var lastOrder: UInt64 = 0
    /// What the libuv timer is set to.
    private var armed: Instant?

    init(on loop: Loop) {
        super.init(UV_TIMER, on: loop)
        unsafe uv_timer_init(loop.uv, pointer(uv_timer_t.self))
        adopt()
    }

    func schedule(at deadline: Instant, _ body: @escaping () -> Void) -> LoopTimer {
        lastOrder += 1
        let timer = LoopTimer(timers: self, body: body)
        let slot = freeSlots.popLast() ?? timers.endIndex
        if slot == timers.endIndex { timers.append(timer) } else { timers[slot] = timer }
        heap.append(Key(deadline: deadline, order: lastOrder, slot: slot))
        siftUp(heap.count - 1)
        arm()
        return timer
    }

    /// Cancelled timers stay in the heap until they are half of it, or due.
    fileprivate func cancelled() {
        cancelledCount += 1
        guard cancelledCount > 32, cancelledCount > heap.count / 2 else { return }
        for key in heap where timers[key.slot]?.isPending == false { _ = take(key.slot) }
        heap.removeAll { timers[$0.slot] == nil }
        cancelledCount = 0
        for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
    }

    private func arm() {
        guard !isClosing, let first = heap.first, armed != first.deadline else { return }
        armed = first.deadline
        // Libuv counts from the time that it noted when the turn began.
        unsafe uv_update_time(loop.uv)
        unsafe uv_timer_start(
            pointer(uv_timer_t.self),
            { handle in
                guard let data = unsafe handle?.pointee.data else { return }
                unsafe Unmanaged<LoopTimers>.fromOpaque(data).takeUnretainedValue().fire()
            }, (first.deadline - loop.now).clampedMilliseconds, 0)
    }

    private func fire() {
        armed = nil
        let now = loop.now
        while let first = heap.first, first.deadline <= now {
            removeFirst()
            guard let timer = take(first.slot), let body = timer.body else {
                cancelledCount -= 1
                continue
            }
            timer.body = nil
            loop.measured("timer", body)
        }
        arm()
    }

    // MARK: Heap

    private func take(_ slot: Int) -> LoopTimer? {
        freeSlots.append(slot)
        return timers[slot].take()
    }

    private func removeFirst() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        siftDown(0)
    }

    private func siftUp(_ start: Int) {
        var index = start
        while index > 0, heap[index] < heap[(index - 1) / 2] {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private func siftDown(_ start: Int) {
        var index = start
        while true {
            var smallest = index
            for child in 2 * index + 1...2 * index + 2 where child < heap.count && heap[child] < heap[smallest] {
                smallest = child
            }
            if smallest == index { return }
            heap.swapAt(index, smallest)
            index = smallest
        }
    }
}
