import Backend
import Base
import Testing

@Suite("What every store promises", .timeLimit(.minutes(1)))
struct StoreContractTests {
    let users = StoreKey("users")
    let alice = StoreKey("users", "alice")

    @Test(arguments: StoreUnderTest.allCases)
    func `what was put is got, with the revision of the write`(kind: StoreUnderTest) async throws {
        try await kind.with { store, _ in
            #expect(try await store.get(alice) == nil)
            let first = try await store.put(alice, "1".bytes)
            let second = try await store.put(alice, "2".bytes)
            #expect(first < second)
            #expect(try await store.get(alice) == StoreItem(key: alice, value: "2".bytes, revision: second, expires: nil))
        }
    }

    @Test(arguments: StoreUnderTest.allCases)
    func `values are bytes: none, zeros, all of them, a megabyte and not one more`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, _ in
            let values: [[UInt8]] = [[], [0], Array(0...255), [UInt8](repeating: 0xff, count: StoreWrite.valueBytesMax)]
            for value in values {
                try await store.put(alice, value)
                #expect(try await store.get(alice)?.value == value)
            }
            let tooLong = [UInt8](repeating: 1, count: StoreWrite.valueBytesMax + 1)
            #expect(await errorKind { () throws(TeleportError) in try await store.put(alice, tooLong) } == .limitExceeded)
            #expect(try await store.get(alice)?.value.count == StoreWrite.valueBytesMax)
        }
    }

    @Test(arguments: StoreUnderTest.allCases)
    func `a range has what lies under the prefix, sorted by bytes, and not its neighbours`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, _ in
            for text in ["users/b", "users/a", "users/B", "users/é", "users/a/x", "users2/a", "user/a", "users0", "users"] {
                try await store.put(try StoreKey(text: text), text.bytes)
            }
            let range = try await store.range(users)
            #expect(range.items.map(\.key.text) == ["users/B", "users/a", "users/a/x", "users/b", "users/é"])
            #expect(range.items.allSatisfy { $0.key.text.bytes == $0.value })
            let next = try await store.put(alice, [])
            #expect(range.revision < next)
        }
    }

    @Test(arguments: StoreUnderTest.allCases)
    func `create is for what is not there`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, _ in
            try await store.create(alice, "1".bytes)
            #expect(await errorKind { () throws(TeleportError) in try await store.create(alice, "2".bytes) } == .alreadyExists)
            #expect(try await store.get(alice)?.value == "1".bytes)
            try await store.delete(alice)
            try await store.create(alice, "3".bytes)
        }
    }

    @Test(arguments: StoreUnderTest.allCases)
    func `compare-and-swap replaces what was seen and nothing else`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, _ in
            let seen = try await store.put(alice, "1".bytes)
            let replaced = try await store.compareAndSwap(alice, expected: seen, "2".bytes)
            let stale = await failure { () throws(TeleportError) in try await store.compareAndSwap(alice, expected: seen, "3".bytes) }
            #expect(stale?.kind == .compareFailed)
            #expect(stale?.storeError == .conflict(alice, expected: seen, found: replaced))
            #expect(try await store.get(alice)?.value == "2".bytes)
            try await store.delete(alice)
            #expect(
                await errorKind { () throws(TeleportError) in try await store.compareAndSwap(alice, expected: replaced, []) }
                    == .compareFailed)
        }
    }

    @Test(arguments: StoreUnderTest.allCases)
    func `of many that swap the same revision one wins`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, _ in
            let seen = try await store.put(alice, [])
            let wins = await withTaskGroup(of: Bool.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        await failure { () throws(TeleportError) in
                            try await store.compareAndSwap(alice, expected: seen, [UInt8(number)])
                        } == nil
                    }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(wins == 1)
        }
    }

    @Test(arguments: StoreUnderTest.allCases)
    func `delete says what is not there and keeps what has changed`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, _ in
            #expect(await errorKind { () throws(TeleportError) in try await store.delete(alice) } == .notFound)
            let seen = try await store.put(alice, "1".bytes)
            try await store.put(alice, "2".bytes)
            #expect(await errorKind { () throws(TeleportError) in try await store.delete(alice, expected: seen) } == .compareFailed)
            try await store.delete(alice)
            #expect(try await store.get(alice) == nil)
            for number in 0..<(StoreWrite.countMax + 5) { try await store.put(try users.appending("\(number)"), []) }
            #expect(try await store.deleteAll(under: users) == StoreWrite.countMax + 5)
            #expect(try await store.range(users).items.isEmpty)
        }
    }

    @Test(arguments: StoreUnderTest.allCases)
    func `a transaction happens whole or not at all`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, _ in
            let bob = StoreKey("users", "bob")
            let seen = try await store.put(bob, "1".bytes)
            let failed = await failure { () throws(TeleportError) in
                _ = try await store.commit([.put(alice, []), .delete(bob), .create(bob, "2".bytes), .check(alice, expected: seen)])
            }
            #expect(failed?.kind == .compareFailed)
            #expect(try await store.get(alice) == nil)
            #expect(try await store.get(bob)?.revision == seen)

            let revision = try await store.commit([
                .check(bob, expected: seen), .put(alice, "a".bytes), .delete(bob), .create(bob, "2".bytes),
            ])
            #expect(try await store.get(bob)?.value == "2".bytes)
            #expect(try await store.get(bob)?.revision == revision)
            #expect(try await store.get(alice)?.value == "a".bytes)
            let many = Array(repeating: StoreWrite.put(alice, []), count: StoreWrite.countMax + 1)
            #expect(await errorKind { () throws(TeleportError) in _ = try await store.commit(many) } == .limitExceeded)
        }
    }

    // MARK: Expiry

    @Test(arguments: StoreUnderTest.allCases)
    func `an item is there until its second and gone from it on`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, clock in
            try await store.put(alice, [], ttl: .seconds(10))
            try await store.put(StoreKey("users", "bob"), [])
            clock.advance(seconds: 9)
            #expect(try await store.get(alice) != nil)
            clock.advance(seconds: 1)
            #expect(try await store.get(alice) == nil)
            #expect(try await store.range(users).items.map(\.key.name) == ["bob"])
            #expect(await errorKind { () throws(TeleportError) in try await store.delete(alice) } == .notFound)
            try await store.create(alice, "again".bytes)
            #expect(try await store.get(alice)?.expires == nil)
        }
    }

    @Test(arguments: StoreUnderTest.allCases)
    func `a put without a time to live takes the old one away, and part of a second counts as a whole one`(
        store kind: StoreUnderTest
    ) async throws {
        try await kind.with { store, clock in
            try await store.put(alice, [], ttl: .milliseconds(1))
            #expect(try await store.get(alice)?.expires == clock.wallTime() + .seconds(1))
            try await store.put(alice, [])
            clock.advance(seconds: 100)
            #expect(try await store.get(alice) != nil)
        }
    }

    @Test(arguments: StoreUnderTest.allCases)
    func `a sweep deletes what has expired, and watches hear of it`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, clock in
            try await store.put(alice, [], ttl: .seconds(1))
            let watch = try await store.watch(users, after: nil)
            clock.advance(seconds: 1)
            try await store.sweepExpired()
            var events = watch.makeAsyncIterator()
            let event = try await events.next()
            guard case .delete(alice, _) = event else {
                Issue.record("\(String(describing: event)) is not the deletion")
                return
            }
            #expect(try await store.sweepExpired() == 0)
        }
    }

    // MARK: Locks

    @Test(arguments: StoreUnderTest.allCases)
    func `a lock has one holder, until it is released or its time is over`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, clock in
            let lock = try await store.acquireLock("rotation", ttl: .seconds(10))
            #expect(
                await errorKind { () throws(TeleportError) in _ = try await store.acquireLock("rotation", ttl: .seconds(10)) }
                    == .alreadyAcquired)
            _ = try await store.acquireLock("other", ttl: .seconds(10))
            try await store.releaseLock(lock)
            let second = try await store.acquireLock("rotation", ttl: .seconds(10))
            clock.advance(seconds: 9)
            let renewed = try await store.renewLock(second, ttl: .seconds(10))
            clock.advance(seconds: 9)
            #expect(
                await errorKind { () throws(TeleportError) in _ = try await store.acquireLock("rotation", ttl: .seconds(10)) }
                    == .alreadyAcquired)
            clock.advance(seconds: 1)
            let third = try await store.acquireLock("rotation", ttl: .seconds(10))
            #expect(await errorKind { () throws(TeleportError) in try await store.releaseLock(renewed) } == .compareFailed)
            try await store.releaseLock(third)
        }
    }

    // MARK: Watches

    @Test(arguments: StoreUnderTest.allCases)
    func `a watch gives what happened since its revision and what happens next, in order`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, _ in
            let first = try await store.put(alice, "1".bytes)
            let second = try await store.put(alice, "2".bytes)
            try await store.put(StoreKey("roles", "admin"), [])
            let watch = try await store.watch(users, after: first)
            var events = watch.makeAsyncIterator()
            #expect(try await events.next() == .put(StoreItem(key: alice, value: "2".bytes, revision: second, expires: nil)))
            async let next = watch.first { $0.revision > second }
            try await store.delete(alice)
            let deletion = try await events.next()
            #expect(deletion?.key == alice)
            #expect(try await next == deletion)
        }
    }

    @Test(arguments: StoreUnderTest.allCases)
    func `a watch from a range misses nothing while others write`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, _ in
            let writes = 200
            let range = try await store.range(users)
            let watch = try await store.watch(users, after: range.revision)
            async let seen = { () async throws -> [String] in
                var names: [String] = []
                for try await event in watch {
                    names.append(event.key.name)
                    if names.count == writes { return names }
                }
                return names
            }()
            for number in 0..<writes {
                try await store.put(try users.appending("\(number)"), [])
                // The history is shorter than the run: let the reader keep up.
                if number % 16 == 15 { await Task.yield() }
                _ = try await store.get(alice)
            }
            do {
                #expect(try await seen == (0..<writes).map { "\($0)" })
            } catch let error as TeleportError {
                guard case .compacted = error.storeError else { throw error }
            }
        }
    }

    @Test(arguments: StoreUnderTest.allCases)
    func `a watch that fell behind the history, or is of another history, is told`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, _ in
            let first = try await store.put(alice, [])
            for _ in 0..<StoreUnderTest.historyMax { try await store.put(alice, []) }
            var kept = try await store.watch(users, after: first).makeAsyncIterator()
            #expect(try await kept.next() != nil)
            let last = try await store.put(alice, [])
            var lost = try await store.watch(users, after: first).makeAsyncIterator()
            let error = await failure { () throws(TeleportError) in _ = try await lost.next() }
            #expect(error?.storeError == .compacted(asked: first, oldest: Revision(first.number + 2)))
            let future = Revision(last.number + 1)
            let refused = await failure { () throws(TeleportError) in _ = try await store.watch(users, after: future) }
            #expect(refused?.storeError == .compacted(asked: future, oldest: Revision(first.number + 2)))
        }
    }

    @Test(arguments: StoreUnderTest.allCases)
    func `a watch ends when its task is cancelled`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, _ in
            let watch = try await store.watch(users, after: nil)
            let event = try await withThrowingTaskGroup(of: StoreEvent?.self) { group in
                group.addTask {
                    var events = watch.makeAsyncIterator()
                    return try await events.next()
                }
                group.cancelAll()
                return try await group.next()
            }
            #expect(event == .some(nil))
        }
    }

    @Test(arguments: StoreUnderTest.allCases)
    func `a closed store ends its watches and refuses everything`(store kind: StoreUnderTest) async throws {
        try await kind.with { store, _ in
            try await store.put(alice, [])
            let watch = try await store.watch(users, after: nil)
            async let last = watch.first { _ in true }
            await store.close()
            await store.close()
            #expect(try await last == nil)
            let get = await failure { () throws(TeleportError) in _ = try await store.get(alice) }
            let put = await failure { () throws(TeleportError) in try await store.put(alice, []) }
            #expect(get?.storeError == .closed)
            #expect(put?.storeError == .closed)
        }
    }
}
