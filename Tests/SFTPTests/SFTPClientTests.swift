import Base
import SFTP
import Testing

@Suite("The client's half of SFTP")
struct SFTPClientTests {
    private func ready(_ extensions: [SFTPExtension] = []) throws -> SFTPClient {
        var client = SFTPClient()
        client.receive(SFTPReply.version(3, extensions: extensions).framed(id: 0).span)
        let event = try client.next()
        #expect(event == .ready)
        return client
    }

    @Test func `it begins with version 3, and hears what the server can`() throws {
        #expect(SFTPClient().hello() == [0, 0, 0, 5, 1, 0, 0, 0, 3])
        let client = try ready([SFTPExtension("limits@openssh.com", "1")])
        #expect(client.supports("limits@openssh.com") && !client.supports("copy-data"))
    }

    @Test func `replies find their requests in whatever order and pieces they come`() throws {
        var client = try ready()
        let requests = (0..<3).map { _ in client.send(.realPath(path: [0x2e])).id }
        #expect(Set(requests).count == 3)
        let bytes = requests.reversed().flatMap { SFTPReply.handle([UInt8($0)]).framed(id: $0) }
        var events: [SFTPClient.Event] = []
        for byte in bytes {
            client.receive([byte].span)
            while let event = try client.next() { events.append(event) }
        }
        #expect(events == requests.reversed().map { .reply($0, .handle([UInt8($0)])) })
    }

    @Test func `what was not asked for is refused, and so is a second answer`() throws {
        var client = try ready()
        let id = client.send(.realPath(path: [0x2e])).id
        client.receive(SFTPReply.handle([1]).framed(id: id).span)
        let event = try client.next()
        #expect(event == .reply(id, .handle([1])))
        client.receive(SFTPReply.handle([1]).framed(id: id).span)
        #expect(throws: WireError.self) { try client.next() }
    }

    @Test func `a server of another version, or that answers before it says one, is refused`() {
        for packet in [SFTPReply.version(2, extensions: []).framed(id: 0), SFTPReply.handle([1]).framed(id: 0)] {
            var client = SFTPClient()
            client.receive(packet.span)
            #expect(throws: WireError.self) { try client.next() }
        }
    }
}

@Suite("Reading a file in pieces")
struct SFTPReadPlanTests {
    /// Reads a file of `size` bytes from a server that gives at most `most` of a piece, answering the newest request first or last.
    private func read(_ size: UInt64, hint: UInt64?, most: Int = .max, newestFirst: Bool = false, piecesMax: Int = 8) -> (
        got: [Range<UInt64>], atOnce: Int
    ) {
        var plan = SFTPReadPlan(from: 0, size: hint, pieceBytes: 10, piecesMax: piecesMax)
        var asked: [SFTPReadPlan.Piece] = []
        var got: [Range<UInt64>] = []
        var atOnce = 0
        while true {
            while let piece = plan.ask() { asked.append(piece) }
            atOnce = max(atOnce, asked.count)
            guard !asked.isEmpty else { break }
            let piece = newestFirst ? asked.removeLast() : asked.removeFirst()
            if piece.offset >= size {
                plan.ended(piece)
            } else {
                let count = min(Int(piece.count), most, Int(size - piece.offset))
                let isTaken = plan.received(piece, count: count)
                #expect(isTaken)
                got.append(piece.offset..<piece.offset + UInt64(count))
            }
        }
        #expect(plan.isDone)
        return (got.sorted { $0.lowerBound < $1.lowerBound }, atOnce)
    }

    @Test(arguments: [0, 1, 9, 10, 11, 100, 101], [false, true])
    func `every byte comes once, whatever the server said of the size`(size: UInt64, newestFirst: Bool) {
        for hint in [nil, 0, size, size / 2, size + 35] as [UInt64?] {
            for most in [Int.max, 3] {
                var next: UInt64 = 0
                for range in read(size, hint: hint, most: most, newestFirst: newestFirst).got {
                    #expect(range.lowerBound == next)
                    next = range.upperBound
                }
                #expect(next == size)
            }
        }
    }

    @Test func `as many as are allowed are under way at once`() {
        #expect(read(1000, hint: 1000).atOnce == 8)
    }

    @Test func `more than was asked for is refused`() throws {
        var plan = SFTPReadPlan(from: 5, size: 100, pieceBytes: 10)
        let asked = plan.ask()
        let piece = try #require(asked)
        #expect(piece.offset == 5 && piece.count == 10)
        var other = plan
        let takesMore = plan.received(piece, count: 11)
        let takesNothing = other.received(piece, count: 0)
        #expect(!takesMore && !takesNothing)
    }
}
