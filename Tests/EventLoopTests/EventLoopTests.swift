import Base
import EventLoop
import Testing

@Suite("EventLoop")
struct EventLoopTests {
    @Test func `posts run on the loop in the order of the calls`() async throws {
        let eventLoop = EventLoop(name: "test")
        eventLoop.start()
        let order = Lock<[Int]>([])
        await withCheckedContinuation { continuation in
            for number in 0..<1000 { eventLoop.post { _ in order.withLock { $0.append(number) } } }
            eventLoop.post { _ in continuation.resume() }
        }
        eventLoop.stop()
        #expect(order.withLock { $0 } == Array(0..<1000))
    }

    @Test func `what is posted before the loop runs is not lost`() async {
        let eventLoop = EventLoop(name: "test")
        await withCheckedContinuation { continuation in
            eventLoop.post { _ in continuation.resume() }
            eventLoop.start()
        }
        eventLoop.stop()
    }

    @Test func `a task stays on the loop across its suspensions`() async throws {
        try await onLoop { eventLoop in
            for _ in 0..<100 {
                await Task.yield()
                await nowhere()
                eventLoop.assertIsolated()
            }
            try await eventLoop.sleep(for: .milliseconds(1))
            eventLoop.assertIsolated()
        }
    }

    @Test func `many threads post at once`() async throws {
        let eventLoop = EventLoop(name: "test")
        eventLoop.start()
        let count = Lock(0)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<500 {
                        await withCheckedContinuation { continuation in
                            eventLoop.post { _ in
                                count.withLock { $0 += 1 }
                                continuation.resume()
                            }
                        }
                    }
                }
            }
        }
        eventLoop.stop()
        #expect(count.withLock { $0 } == 4000)
    }

    @Test func `two loops call each other`() async throws {
        let other = Counter()
        try await onLoop { _ in
            for _ in 0..<200 { await other.increment() }
        }
        #expect(await other.value == 200)
        let left = EventLoop(name: "left")
        let right = EventLoop(name: "right")
        left.start()
        right.start()
        await withCheckedContinuation { continuation in
            left.spawn { left in
                for _ in 0..<200 {
                    await right.assertHere()
                    left.assertIsolated()
                }
                continuation.resume()
            }
        }
        left.stop()
        right.stop()
    }

    @Test func `a sleep ends early when its task is cancelled`() async throws {
        let isCancelled = await withCheckedContinuation { continuation in
            let eventLoop = EventLoop(name: "test")
            eventLoop.start()
            let task = eventLoop.spawn { eventLoop in
                do {
                    try await eventLoop.sleep(for: .seconds(3600))
                    continuation.resume(returning: false)
                } catch {
                    continuation.resume(returning: true)
                    eventLoop.stop()
                }
            }
            task.cancel()
        }
        #expect(isCancelled)
    }

    @Test func `work runs elsewhere and comes back`() async throws {
        let sum = try await onLoop { eventLoop in
            let sum = try await eventLoop.work { (0...100).reduce(0, +) }
            eventLoop.assertIsolated()
            return sum
        }
        #expect(sum == 5050)
        await #expect(throws: TeleportError.self) {
            try await onLoop { try await $0.work { throw TeleportError.notFound("nothing") } }
        }
    }

    @Test func `perform bridges a callback to asynchronous code`() async throws {
        let value: Int = try await onLoop { eventLoop in
            let loop = eventLoop.inside
            return try await callback { done in
                loop.perform({ await Counter().increment(by: 7) }) { result in
                    eventLoop.assertIsolated()
                    done((try? result.get()) ?? 0)
                }
            }
        }
        #expect(value == 7)
    }

    @Test func `the loop can be run on the calling thread`() {
        let eventLoop = EventLoop(name: "main")
        let hasRun = Lock(false)
        eventLoop.post { eventLoop in
            hasRun.withLock { $0 = true }
            eventLoop.stop()
        }
        eventLoop.run()
        #expect(hasRun.withLock { $0 })
    }

    @Test func `a stop does not wait for work that hangs`() {
        let gate = Lock(true)
        let release = gate.withLock { _ in
            let eventLoop = EventLoop(name: "main")
            eventLoop.post { eventLoop in
                eventLoop.inside.work({ gate.withLock { _ in } }) { _ in }
                eventLoop.stop()
            }
            eventLoop.run()
            return true
        }
        #expect(release)
    }

    @Test func `code of a loop on another thread is our own bug`() async {
        await #expect(processExitsWith: .failure) {
            EventLoop(name: "test").assertIsolated()
        }
    }

    @Test func `names are resolved`() async throws {
        let (name, address) = try await onLoop { eventLoop in
            (try await eventLoop.resolve(host: "localhost", port: 22), try await eventLoop.resolve(host: "::1", port: 23))
        }
        #expect(name.contains { $0.ip?.isLoopback == true && $0.port == 22 })
        #expect(address == [SocketAddress(.loopback6, port: 23)])
        await #expect(throws: TeleportError.self) {
            try await onLoop { try await $0.resolve(host: "no-such-host.invalid", port: 1) }
        }
    }
}

actor Counter {
    private(set) var value = 0
    func increment() { value += 1 }
    func increment(by count: Int) -> Int {
        value += count
        return value
    }
}

extension EventLoop {
    func assertHere() { assertIsolated() }
}

@concurrent
private func nowhere() async {}

@Suite("LoopTimers")
struct LoopTimersTests {
    @Test func `timers fire in the order of their deadlines and then of their making`() async throws {
        let order: [Int] = try await onLoop { eventLoop in
            let loop = eventLoop.inside
            return await withCheckedContinuation { continuation in
                var order: [Int] = []
                loop.schedule(after: .milliseconds(30)) {
                    order.append(4)
                    continuation.resume(returning: order)
                }
                loop.schedule(after: .milliseconds(20)) { order.append(3) }
                loop.schedule(after: .zero) { order.append(1) }
                loop.schedule(after: .zero) { order.append(2) }
            }
        }
        #expect(order == [1, 2, 3, 4])
    }

    @Test func `of many timers only those fire that are not cancelled`() async throws {
        let fired: Int = try await onLoop { eventLoop in
            let loop = eventLoop.inside
            return await withCheckedContinuation { continuation in
                var fired = 0
                let timers = (0..<1000).map { number in
                    loop.schedule(after: .microseconds(Int64((number * 7919) % 5000))) { fired += 1 }
                }
                for (number, timer) in timers.enumerated() where number % 4 != 0 { timer.cancel() }
                loop.schedule(after: .milliseconds(10)) { continuation.resume(returning: fired) }
            }
        }
        #expect(fired == 250)
    }

    @Test func `a timer may make and cancel others`() async throws {
        let fired: Bool = try await onLoop { eventLoop in
            let loop = eventLoop.inside
            return await withCheckedContinuation { continuation in
                let never = loop.schedule(after: .seconds(60)) { continuation.resume(returning: false) }
                loop.schedule(after: .milliseconds(1)) {
                    never.cancel()
                    loop.schedule(after: .milliseconds(3)) { continuation.resume(returning: true) }
                }
            }
        }
        #expect(fired)
    }

    @Test func `the end of a turn comes before the next event`() async throws {
        let order: [String] = try await onLoop { eventLoop in
            let loop = eventLoop.inside
            return await withCheckedContinuation { continuation in
                var order: [String] = []
                loop.schedule(after: .zero) {
                    order.append("later")
                    continuation.resume(returning: order)
                }
                loop.atEndOfTurn {
                    order.append("end of turn")
                    loop.atEndOfTurn { order.append("and once more") }
                }
            }
        }
        #expect(order == ["end of turn", "and once more", "later"])
    }
}
