import Base
import EventLoop
import Testing

@Suite("FileIO")
struct FileIOTests {
    private let folder = "/tmp/fileio-tests-\(SystemClock().now().nanoseconds)"

    @Test func `a file is replaced whole, with its mode`() throws {
        defer { try? FileIO.removeTree(folder) }
        try FileIO.createDirectory("\(folder)/a/b")
        let path = "\(folder)/a/b/file"
        try FileIO.write([1, 2, 3], to: path)
        try FileIO.write([4, 5], to: path, mode: 0o640)
        #expect(try FileIO.read(path) == [4, 5])
        #expect(try FileIO.status(path)?.mode == 0o640)
        #expect(try FileIO.status("\(folder)/a")?.mode == 0o700)
        #expect(try FileIO.list("\(folder)/a/b") == ["file"])
        try FileIO.append([6], to: path)
        #expect(try FileIO.read(path) == [4, 5, 6])
        try FileIO.rename(path, to: "\(folder)/other")
        #expect(try FileIO.status(path) == nil)
        try FileIO.remove("\(folder)/other")
        try FileIO.remove("\(folder)/other")
    }

    @Test func `what is not there, and what is too long, is refused by name`() throws {
        defer { try? FileIO.removeTree(folder) }
        try FileIO.createDirectory(folder)
        try FileIO.write([1, 2, 3], to: "\(folder)/file")
        #expect { try FileIO.read("\(folder)/none") } throws: { ($0 as? TeleportError)?.kind == .notFound }
        #expect { try FileIO.read("\(folder)/file", max: 2) } throws: { ($0 as? TeleportError)?.kind == .limitExceeded }
        #expect(try FileIO.read("\(folder)/file", max: 3) == [1, 2, 3])
        #expect(throws: TeleportError.self) { try FileIO.createDirectory("\(folder)/file/below") }
    }

    @Test func `the program knows where it lies`() throws {
        #expect(try FileIO.executablePath().hasPrefix("/"))
    }
}

@Suite("UserAccounts")
struct UserAccountsTests {
    @Test func `root is found by name and by number`() throws {
        let root = try #require(try UserAccounts.account(named: "root"))
        #expect(root.identifier == 0)
        #expect(root.home == "/root")
        #expect(root.groups.contains(root.group))
        #expect(try UserAccounts.account(identifier: 0) == root)
    }

    @Test func `nobody of that name is nil`() throws {
        #expect(try UserAccounts.account(named: "no-such-user-here") == nil)
        #expect(try UserAccounts.account(identifier: 4_000_000_123) == nil)
        #expect(try UserAccounts.group(named: "no-such-group-here") == nil)
        #expect(try UserAccounts.group(named: "root") == 0)
    }
}
