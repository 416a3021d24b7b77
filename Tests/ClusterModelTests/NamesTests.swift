import Base
import ClusterModel
import Testing

@Suite("Names")
struct NamesTests {
    @Test(arguments: ["hub", "east", "a", "a-b", "db.example.com", "1", String(repeating: "a", count: 63)])
    func `a cluster name may be a DNS name in lower case`(name: String) throws {
        try Names.checkCluster(name)
    }

    @Test(arguments: [
        "", "Hub", "hub/east", "..", ".", "hub..east", ".hub", "hub.", "-hub", "hub-", "öst", "hub east", "hub\n", "hub\u{0}", "hub_1",
        "hub%2f", String(repeating: "a", count: 64), Array(repeating: "abcdefghi", count: 26).joined(separator: "."),
    ])
    func `a cluster name may be nothing else`(name: String) {
        #expect(throws: TeleportError.self) { try Names.checkCluster(name) }
    }

    @Test(arguments: ["alice", "alice@example.com", "a.b-c_d+e"])
    func `user names`(name: String) throws {
        try Names.checkUser(name)
    }

    @Test(arguments: ["", ".", "..", "a/b", "a b", "a\r\nb", "älice", "<img onerror>", String(repeating: "x", count: 129)])
    func `what is no user name`(name: String) {
        #expect(throws: TeleportError.self) { try Names.checkUser(name) }
    }

    @Test(arguments: ["", "-oProxyCommand=x", "root root", "root\0", "../root", "*"])
    func `what is no login`(name: String) {
        #expect(throws: TeleportError.self) { try Names.checkLogin(name) }
    }

    @Test(arguments: ["1.2.3.4:22", "db1:3022", "[::1]:22", "db1.example.com:65535"])
    func `addresses`(text: String) throws {
        try Names.checkAddress(text)
    }

    @Test(arguments: ["", "db1", "db1:", "db1:0", "db1:65536", "db1:22x", "db 1:22", "::1:22", "[::1]", "db1:22:22", "a@b:22", ":22"])
    func `what is no address`(text: String) {
        #expect(throws: TeleportError.self) { try Names.checkAddress(text) }
    }

    @Test func `a shown name cannot break a line or fill a log`() {
        #expect(Names.quoted("a\nb\u{1b}[31m") == "\"a?b?[31m\"")
        #expect(Names.quoted(String(repeating: "x", count: 100)).unicodeScalars.count == 67)
    }
}
