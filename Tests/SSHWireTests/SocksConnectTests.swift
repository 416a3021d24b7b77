import SSHWire
import Testing

@Suite("SOCKS 5 CONNECT, the client's side (RFC 1928)")
struct SocksConnectTests {
    /// Feeds the answer in pieces of `size`.
    ///
    /// - Returns: how many bytes belonged to it; nil where it is not whole.
    private func feed(_ answer: [UInt8], size: Int, to connect: SocksConnect) throws(SocksConnect.Refusal) -> Int? {
        var connect = connect
        var offset = 0
        while offset < answer.count {
            let piece = Array(answer[offset..<min(offset + size, answer.count)])
            if let count = try connect.receive(piece.span) { return offset + count }
            offset += piece.count
        }
        return nil
    }

    @Test func `greeting and request go out together, with an address or a name`() {
        #expect(SocksConnect(host: "10.1.0.5", port: 22).opening == [5, 1, 0, 5, 1, 0, 1, 10, 1, 0, 5, 0, 22])
        #expect(SocksConnect(host: "db1", port: 3022).opening == [5, 1, 0, 5, 1, 0, 3, 3] + Array("db1".utf8) + [0x0b, 0xce])
        #expect(
            SocksConnect(host: "2001:db8::1", port: 0x1234).opening
                == [5, 1, 0, 5, 1, 0, 4, 0x20, 1, 0x0d, 0xb8] + Array(repeating: 0, count: 11) + [1, 0x12, 0x34])
        let long = String(repeating: "a", count: 255)
        #expect(SocksConnect(host: long, port: 1).opening.count == 3 + 5 + 255 + 2)
    }

    static let answers: [[UInt8]] = [
        [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        [5, 0, 5, 0, 0, 4] + Array(repeating: 9, count: 18),
        [5, 0, 5, 0, 0, 3, 0, 0, 22],
        [5, 0, 5, 0, 0, 3, 255] + Array(repeating: 0x61, count: 257),
    ]

    @Test(arguments: answers, [1, 2, 3, 7, 1000])
    func `the answer ends where it ends, in whatever pieces it comes`(answer: [UInt8], size: Int) throws {
        let connect = SocksConnect(host: "db1", port: 22)
        #expect(try feed(answer + Array("SSH-2.0-x\r\n".utf8), size: size, to: connect) == answer.count)
        #expect(try feed(answer, size: size, to: connect) == answer.count)
        #expect(try feed(answer.dropLast(), size: size, to: connect) == nil)
    }

    static let refusals: [([UInt8], SocksConnect.Refusal)] = [
        (Array("SSH-2.0-OpenSSH\r\n".utf8), .notSocks), ([4, 0x5a, 0, 0, 0, 0, 0, 0], .notSocks), ([5, 0xff], .noMethod),
        ([5, 2], .notSocks),
        ([5, 0, 4], .notSocks), ([5, 0, 5, 5], .reply(5)), ([5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0], .reply(2)), ([5, 0, 5, 0, 1], .notSocks),
        ([5, 0, 5, 0, 0, 2], .notSocks), ([5, 0, 5, 0xff], .reply(0xff)), ([0], .notSocks),
    ]

    @Test(arguments: refusals, [1, 1000])
    func `anything else is a refusal with a reason`(refusal: ([UInt8], SocksConnect.Refusal), size: Int) {
        #expect(throws: refusal.1) { try feed(refusal.0, size: size, to: SocksConnect(host: "db1", port: 22)) }
        #expect(!refusal.1.explanation.isEmpty)
    }

    @Test func `no answer is kept beyond its longest form`() throws {
        var connect = SocksConnect(host: "db1", port: 22)
        let flood = [5, 0, 5, 0, 0, 3, 255] + [UInt8](repeating: 1, count: 1 << 20)
        #expect(try connect.receive(flood.span) == 264)
    }
}
