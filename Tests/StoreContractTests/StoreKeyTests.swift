import Backend
import Base
import Testing

@Suite struct StoreKeyTests {
    @Test(arguments: ["", "/", "a/", "/a", "a//b", "a\0b", "a\nb", String(repeating: "x", count: StoreKey.bytesMax + 1)])
    func `a text that is no key is refused`(text: String) {
        #expect(throws: TeleportError.self) { try StoreKey(text: text) }
    }

    @Test(arguments: ["", "a/b", "..\u{0}", "a\u{7f}", String(repeating: "x", count: StoreKey.bytesMax)])
    func `a name from outside cannot leave its prefix`(name: String) {
        #expect(throws: TeleportError.self) { try StoreKey("users").appending(name) }
    }

    @Test func `a prefix is one of whole names`() throws {
        let users = StoreKey("users")
        #expect(users.isPrefix(of: StoreKey("users", "alice")))
        #expect(!users.isPrefix(of: users))
        #expect(!users.isPrefix(of: StoreKey("users2", "alice")))
        #expect(StoreKey("users", "alice").name == "alice")
        #expect(users.name == "users")
    }

    @Test func `names that look alike but have other bytes are other keys`() throws {
        let composed = try StoreKey("users").appending("\u{e9}")
        let decomposed = try StoreKey("users").appending("e\u{301}")
        #expect(composed != decomposed)
    }
}
