import Backend
import Base
import Testing

@Suite struct TypedCollectionTests {
    struct Pet: Codable, Equatable, Sendable {
        var sound: String
        var count = 0
    }

    let clock = HeldClock()
    let pets: TypedCollection<Pet>

    init() {
        pets = TypedCollection("pet", in: MemoryStore(clock: clock), under: StoreKey("pets"))
    }

    @Test func `a resource is found by its name, and listed with the others`() async throws {
        try await pets.create("cat", Pet(sound: "meow"))
        try await pets.put("ape", Pet(sound: "oo/oo"))
        #expect(try await pets.get("cat").value == Pet(sound: "meow"))
        #expect(try await pets.list().map(\.name) == ["ape", "cat"])
        #expect(try await pets.find("dog") == nil)
        #expect(try await pets.store.get(StoreKey("pets", "ape"))?.value == #"{"count":0,"sound":"oo/oo"}"#.bytes)
    }

    @Test func `errors speak of the kind and the name`() async throws {
        try await pets.create("cat", Pet(sound: "meow"))
        let twice = await failure { () throws(TeleportError) in try await pets.create("cat", Pet(sound: "")) }
        #expect(twice?.message == "pet cat already exists")
        #expect(twice?.kind == .alreadyExists)
        let missing = await failure { () throws(TeleportError) in _ = try await pets.get("dog") }
        #expect(missing?.message == "pet dog is not found")
        let deleted = await failure { () throws(TeleportError) in try await pets.delete("dog") }
        #expect(deleted?.message == "pet dog is not found")
        let secret = TypedCollection<Pet>("join token", in: pets.store, under: StoreKey("tokens"), isNameSecret: true)
        let unnamed = await failure { () throws(TeleportError) in _ = try await secret.get("0123abcd") }
        #expect(unnamed?.message == "this join token is not found")
    }

    @Test func `modify keeps every change of many at once, and the time that is left`() async throws {
        try await pets.create("cat", Pet(sound: "meow"), ttl: .seconds(60))
        clock.advance(seconds: 20)
        let now = clock.wallTime()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    let error = await failure { () throws(TeleportError) in try await pets.modify("cat", now: now) { $0.count += 1 } }
                    #expect(error == nil)
                }
            }
        }
        let stored = try await pets.get("cat")
        #expect(stored.value.count == 8)
        #expect(stored.expires == now + .seconds(40))
    }

    @Test func `what lies in the store and is no such resource is an error that names it`() async throws {
        try await pets.store.put(StoreKey("pets", "cat"), "{".bytes)
        let error = await failure { () throws(TeleportError) in _ = try await pets.get("cat") }
        #expect(error?.kind == .systemError)
        #expect(error?.message == "the stored pet cat cannot be read")
    }
}
