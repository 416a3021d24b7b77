import Backend
import Base
import Glibc
import SQLiteBackend
import Testing

@Suite("SQLite store", .timeLimit(.minutes(2)))
struct SQLiteStoreTests {
    let directory: TemporaryDirectory
    let clock = HeldClock()
    var path: String { directory.file("teleport.sqlite") }
    let alice = StoreKey("users", "alice")

    init() throws {
        directory = try TemporaryDirectory()
    }

    @Test func `what was written is there when the file is opened again`() async throws {
        let store = try SQLiteStore(path: path, clock: clock)
        let revision = try await store.put(alice, "1".bytes, ttl: .seconds(60))
        let item = try await store.get(alice)
        await store.close()
        let again = try SQLiteStore(path: path, clock: clock)
        #expect(try await again.get(alice) == item)
        var events = try await again.watch(StoreKey("users"), after: .zero).makeAsyncIterator()
        #expect(try await events.next() == item.map(StoreEvent.put))
        #expect(try await again.put(alice, []) > revision)
        await again.close()
    }

    @Test func `the file and its journal are readable by their owner alone`() async throws {
        umask(0)
        let store = try SQLiteStore(path: path, clock: clock)
        try await store.put(alice, [])
        for name in ["teleport.sqlite", "teleport.sqlite-wal"] {
            var status = stat()
            #expect(unsafe stat(directory.file(name), &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600, "\(name)")
        }
        await store.close()
    }

    @Test func `the revision goes on after a sweep has deleted everything`() async throws {
        let store = try SQLiteStore(path: path, clock: clock, historyMax: 1)
        let revision = try await store.put(alice, [], ttl: .seconds(1))
        clock.advance(seconds: 1)
        #expect(try await store.sweepExpired() == 1)
        await store.close()
        let again = try SQLiteStore(path: path, clock: clock, historyMax: 1)
        #expect(try await again.put(alice, []) == Revision(revision.number + 2))
        await again.close()
    }

    @Test func `what has expired goes with the next write, whatever that is`() async throws {
        let store = try SQLiteStore(path: path, clock: clock)
        try await store.put(alice, [], ttl: .seconds(1))
        let watch = try await store.watch(StoreKey("users"), after: nil)
        clock.advance(seconds: 1)
        let revision = try await store.put(StoreKey("roles", "admin"), [])
        #expect(try await store.get(StoreKey("roles", "admin"))?.revision == revision)
        var events = watch.makeAsyncIterator()
        #expect(try await events.next() == .delete(alice, Revision(revision.number + 1)))
        await store.close()
    }

    @Test func `a file that is no database is refused by SQLite's name for it`() throws {
        let file = directory.file("text")
        let descriptor = unsafe open(file, O_CREAT | O_WRONLY, 0o600)
        let text = Array(repeating: "this is no database\n", count: 100).joined()
        #expect(unsafe write(descriptor, text, text.utf8.count) == text.utf8.count)
        close(descriptor)
        let error = #expect(throws: TeleportError.self) { try SQLiteStore(path: file, clock: clock) }
        #expect(error?.kind == .systemError)
        #expect(error?.message.hasPrefix("SQLITE_NOTADB") == true, "\(String(describing: error))")
        #expect(error?.message.contains(file) == true)
    }

    @Test func `a path that cannot be opened is an error with the path and the system's reason`() throws {
        let error = #expect(throws: TeleportError.self) { try SQLiteStore(path: directory.file("none/teleport.sqlite"), clock: clock) }
        #expect(error?.message == "open: \(directory.file("none/teleport.sqlite")): No such file or directory")
    }

    @Test func `writers that wait together are all done`() async throws {
        let store = try SQLiteStore(path: path, clock: clock)
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<500 {
                group.addTask {
                    let error = await failure { () throws(TeleportError) in
                        try await store.create(try StoreKey("n").appending("\(number % 400)"), [])
                    }
                    #expect(error == nil || error?.kind == .alreadyExists)
                }
            }
        }
        #expect(try await store.range(StoreKey("n")).items.count == 400)
        await store.close()
    }

    /// The child writes from several tasks, says which writes were acknowledged, and kills itself while others are on their way.
    @Test(arguments: [1, 57, 400])
    func `every acknowledged write is there after kill -9`(acknowledgedMin: Int) async throws {
        let path = self.path
        let result = await #expect(processExitsWith: .signal(SIGKILL), observing: [\.standardOutputContent]) {
            [path = path as String, acknowledgedMin = acknowledgedMin as Int] in
            let store = try SQLiteStore(path: path, clock: HeldClock())
            let acknowledged = Lock(0)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<8 {
                    group.addTask {
                        for number in 0..<100_000 {
                            let name = "\(writer)-\(number)"
                            _ = try await store.commit([
                                .put(try StoreKey("written").appending(name), name.bytes), .put(try StoreKey("twins").appending(name), []),
                            ])
                            let line = "acknowledged \(name)\n"
                            _ = unsafe write(STDOUT_FILENO, line, line.utf8.count)
                            let count = acknowledged.withLock { count in
                                count += 1
                                return count
                            }
                            if count == acknowledgedMin { kill(getpid(), SIGKILL) }
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        let output = String(decoding: try #require(result).standardOutputContent, as: UTF8.self)
        let names = output.split(separator: "\n").filter { $0.hasPrefix("acknowledged ") }.map {
            String($0.dropFirst("acknowledged ".count))
        }
        #expect(names.count >= acknowledgedMin)

        let store = try SQLiteStore(path: path, clock: clock)
        let found = Dictionary(uniqueKeysWithValues: try await store.range(StoreKey("written")).items.map { ($0.key.name, $0.value) })
        let lost = names.filter { found[$0] != $0.bytes }
        #expect(lost.isEmpty, "of \(names.count) acknowledged writes these are lost")
        // Those that were not acknowledged are there whole or not at all.
        #expect(try await store.range(StoreKey("twins")).items.map(\.key.name) == found.keys.sorted())
        await store.close()
    }
}
