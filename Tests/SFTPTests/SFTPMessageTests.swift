import Base
import Testing

@testable import SFTP

/// Bytes of the wire, written as people read them: numbers in hexadecimal, texts between quotes with their length left out.
private func packet(_ type: UInt8, _ fields: [UInt8]...) -> [UInt8] {
    let body = [type] + fields.flatMap { $0 }
    var writer = ByteWriter()
    writer.writeString(body)
    return writer.finish()
}

private func text(_ value: String) -> [UInt8] { text(Array(value.utf8)) }

private func text(_ value: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    writer.writeString(value)
    return writer.finish()
}

private func number(_ value: UInt32) -> [UInt8] {
    var writer = ByteWriter()
    writer.writeUInt32(value)
    return writer.finish()
}

private func long(_ value: UInt64) -> [UInt8] {
    var writer = ByteWriter()
    writer.writeUInt64(value)
    return writer.finish()
}

struct RequestVector: Sendable, CustomTestStringConvertible {
    let request: SFTPRequest
    let framed: [UInt8]
    var testDescription: String { "\(request)" }
}

struct ReplyVector: Sendable, CustomTestStringConvertible {
    let reply: SFTPReply
    let framed: [UInt8]
    var testDescription: String { "\(reply)" }
}

@Suite("SFTP packets (draft-ietf-secsh-filexfer-02)")
struct SFTPMessageTests {
    static let id: UInt32 = 0x0102_0304
    private static let odd: [UInt8] = [0xff, 0x0a, 0x2f]
    private static let attributes = SFTPAttributes(
        size: 1 << 40, owner: .init(user: 1, group: 2), permissions: 0o100644, times: .init(access: 3, modification: 4))
    private static let attributeBytes =
        number(0xf) + long(1 << 40) + number(1) + number(2) + number(0o100644) + number(3) + number(4)

    private static func vector(_ request: SFTPRequest, _ type: UInt8, _ fields: [UInt8]...) -> RequestVector {
        RequestVector(request: request, framed: packet(type, number(id), fields.flatMap { $0 }))
    }

    private static func vector(_ request: SFTPExtendedRequest, _ fields: [UInt8]...) -> RequestVector {
        RequestVector(request: .extended(request), framed: packet(200, number(id), fields.flatMap { $0 }))
    }

    static let requests = [
        vector(.open(path: odd, flags: [.write, .create, .truncate], attributes: attributes), 3, text(odd), number(0x1a), attributeBytes),
        vector(.close(handle: [1]), 4, text([1])),
        vector(.read(handle: [1], offset: 1 << 33, count: 5), 5, text([1]), long(1 << 33), number(5)),
        vector(.write(handle: [1], offset: 2, data: [7, 8]), 6, text([1]), long(2), text([7, 8])),
        vector(.linkStatus(path: odd), 7, text(odd)),
        vector(.handleStatus(handle: [1]), 8, text([1])),
        vector(.setStatus(path: odd, SFTPAttributes(permissions: 0o600)), 9, text(odd), number(4), number(0o600)),
        vector(.setHandleStatus(handle: [1], SFTPAttributes(size: 9)), 10, text([1]), number(1), long(9)),
        vector(.openDirectory(path: []), 11, text("")),
        vector(.readDirectory(handle: [1]), 12, text([1])),
        vector(.remove(path: odd), 13, text(odd)),
        vector(.makeDirectory(path: odd, SFTPAttributes()), 14, text(odd), number(0)),
        vector(.removeDirectory(path: odd), 15, text(odd)),
        vector(.realPath(path: Array(".".utf8)), 16, text(".")),
        vector(.status(path: odd), 17, text(odd)),
        vector(.rename(from: odd, to: [1]), 18, text(odd), text([1])),
        vector(.readLink(path: odd), 19, text(odd)),
        vector(.symbolicLink(target: odd, link: [1]), 20, text(odd), text([1])),
        vector(.posixRename(from: odd, to: [1]), text("posix-rename@openssh.com"), text(odd), text([1])),
        vector(.fileSystemStatus(path: odd), text("statvfs@openssh.com"), text(odd)),
        vector(.fileSystemStatusOfHandle(handle: [1]), text("fstatvfs@openssh.com"), text([1])),
        vector(.hardLink(from: odd, to: [1]), text("hardlink@openssh.com"), text(odd), text([1])),
        vector(.synchronize(handle: [1]), text("fsync@openssh.com"), text([1])),
        vector(
            .setLinkStatus(path: odd, SFTPAttributes(times: .init(access: 1, modification: 2))), text("lsetstat@openssh.com"), text(odd),
            number(8), number(1), number(2)),
        vector(.limits, text("limits@openssh.com")),
        vector(.expandPath(path: Array("~".utf8)), text("expand-path@openssh.com"), text("~")),
        vector(
            .copyData(from: [1], offset: 2, count: 3, to: [4], targetOffset: 5), text("copy-data"), text([1]), long(2), long(3), text([4]),
            long(5)),
        vector(
            .userGroupNames(users: [1, 2], groups: []), text("users-groups-by-id@openssh.com"), number(8), number(1), number(2), number(0)),
        vector(.other(name: Array("x@y".utf8), payload: [1, 2]), text("x@y"), [1, 2]),
        RequestVector(request: .initialize(version: 3), framed: packet(1, number(3))),
    ]

    @Test(arguments: requests)
    func `a request is the bytes of the draft, and reads as itself`(vector: RequestVector) throws {
        let isFirst = vector.request == .initialize(version: 3)
        #expect(vector.request.framed(id: Self.id) == vector.framed)
        let (id, request) = try SFTPRequest.parse(vector.framed.span.extracting(droppingFirst: 4))
        #expect(id == (isFirst ? 0 : Self.id) && request == vector.request)
    }

    /// A name that lost its end reads as another name; an unknown request's fields are anything; a list of numbers may have any length.
    @Test(arguments: requests)
    func `a request that lacks its last byte is refused, and so is one with a byte more`(vector: RequestVector) {
        switch vector.request {
        case .extended(.limits), .extended(.other): return
        default: break
        }
        let whole = Array(vector.framed.dropFirst(4))
        #expect(throws: WireError.self) { try SFTPRequest.parse(Array(whole.dropLast()).span) }
        // What follows the version are extensions, of which any is taken.
        if case .initialize = vector.request { return }
        #expect(throws: WireError.trailingBytes(1)) { try SFTPRequest.parse((whole + [0]).span) }
    }

    static let replies = [
        ReplyVector(
            reply: .version(3, extensions: [SFTPExtension("limits@openssh.com", "1")]),
            framed: packet(2, number(3), text("limits@openssh.com"), text("1"))),
        ReplyVector(
            reply: .status(.noSuchFile, message: "No such file"),
            framed: packet(101, number(id), number(2), text("No such file"), text(""))),
        ReplyVector(reply: .handle([0, 0, 0, 1]), framed: packet(102, number(id), text([0, 0, 0, 1]))),
        ReplyVector(reply: .data([1, 2, 3]), framed: packet(103, number(id), text([1, 2, 3]))),
        ReplyVector(reply: .names([]), framed: packet(104, number(id), number(0))),
        ReplyVector(
            reply: .names([SFTPName(name: odd, longName: [2], attributes: attributes)]),
            framed: packet(104, number(id), number(1), text(odd), text([2]), attributeBytes)),
        ReplyVector(reply: .attributes(attributes), framed: packet(105, number(id), attributeBytes)),
        ReplyVector(reply: .extended([9, 9]), framed: packet(201, number(id), [9, 9])),
    ]

    @Test(arguments: replies)
    func `a reply is the bytes of the draft, and reads as itself`(vector: ReplyVector) throws {
        #expect(vector.reply.framed(id: Self.id) == vector.framed)
        let (id, reply) = try SFTPReply.parse(vector.framed.span.extracting(droppingFirst: 4))
        if case .version = vector.reply { #expect(id == 0) } else { #expect(id == Self.id) }
        #expect(reply == vector.reply)
    }

    @Test func `a status of an old server has no text`() throws {
        let (_, reply) = try SFTPReply.parse(([101] + number(Self.id) + number(4)).span)
        #expect(reply == .status(.failure, message: ""))
    }

    @Test func `what the other side says is neither a request nor a reply`() throws {
        let (_, request) = try SFTPRequest.parse(([101] + number(Self.id) + number(4)).span)
        #expect(request == .other(type: 101))
        #expect(throws: WireError.badValue("packet type")) { try SFTPReply.parse(([3] + number(Self.id) + text("")).span) }
        #expect(throws: WireError.badValue("packet type")) { try SFTPReply.parse([255, 0, 0, 0, 0].span) }
    }

    @Test func `a count of names beyond the packet allocates nothing and is refused`() {
        #expect(throws: WireError.self) { try SFTPReply.parse(([104] + number(Self.id) + number(.max)).span) }
        #expect(throws: WireError.self) {
            try SFTPRequest.parse(([9] + number(Self.id) + text("") + number(0x8000_0000) + number(.max)).span)
        }
    }

    @Test func `extended attributes are dropped`() throws {
        let fields = number(0x8000_0004) + number(0o600) + number(1) + text("a@b") + text([1, 2])
        let (_, reply) = try SFTPReply.parse(([105] + number(Self.id) + fields).span)
        #expect(reply == .attributes(SFTPAttributes(permissions: 0o600)))
    }

    @Test func `a handle has at most 256 bytes`() throws {
        let longest = [UInt8](repeating: 1, count: 256)
        let (_, request) = try SFTPRequest.parse(([4] + number(Self.id) + text(longest)).span)
        #expect(request == .close(handle: longest))
        #expect(throws: WireError.tooLong(257)) { try SFTPRequest.parse(([4] + number(Self.id) + text(longest + [1])).span) }
    }

    @Test func `a packet is found in a stream once it is whole`() throws {
        let stream = packet(4, number(1), text([1])) + packet(7)
        #expect(try SFTPPacket.first(in: stream.span) == 4..<14)
        for count in 0..<14 { #expect(try SFTPPacket.first(in: Array(stream.prefix(count)).span) == nil) }
        #expect(try SFTPPacket.first(in: stream.span.extracting(droppingFirst: 14)) == 4..<5)
    }

    @Test func `a packet has between 1 byte and 256 KiB`() throws {
        #expect(throws: WireError.truncated(needed: 1)) { try SFTPPacket.first(in: number(0).span) }
        let largest = number(262_144) + [UInt8](repeating: 0, count: 262_144)
        #expect(try SFTPPacket.first(in: largest.span) == 4..<262_148)
        #expect(throws: WireError.tooLong(262_145)) { try SFTPPacket.first(in: number(262_145).span) }
        #expect(throws: WireError.self) { try SFTPPacket.first(in: number(.max).span) }
        // The largest write and the largest read fit.
        let data = [UInt8](repeating: 1, count: SFTPPacket.dataBytesMax)
        let handle = [UInt8](repeating: 2, count: SFTPPacket.handleBytesMax)
        #expect(try SFTPPacket.first(in: SFTPRequest.write(handle: handle, offset: 0, data: data).framed(id: 1).span) != nil)
        #expect(try SFTPPacket.first(in: SFTPReply.data(data).framed(id: 1).span) != nil)
    }

    @Test func `answers to extended requests read as themselves`() throws {
        let limits = SFTPLimits(packetBytesMax: 1, readBytesMax: 2, writeBytesMax: 3, openHandlesMax: 4)
        #expect(limits.encoded() == long(1) + long(2) + long(3) + long(4))
        #expect(try SFTPLimits(decoding: limits.encoded()) == limits)
        let status = SFTPFileSystemStatus(
            blockBytes: 1, fragmentBytes: 2, blocks: 3, freeBlocks: 4, availableBlocks: 5, files: 6, freeFiles: 7, availableFiles: 8,
            identifier: 9, isReadOnly: true, ignoresSetUID: false, nameBytesMax: 255)
        #expect(status.encoded() == (1...9).flatMap { long($0) } + long(1) + long(255))
        #expect(try SFTPFileSystemStatus(decoding: status.encoded()) == status)
        let names = SFTPUserGroupNames(users: [[1], []], groups: [])
        #expect(names.encoded() == number(9) + text([1]) + text([]) + number(0))
        #expect(try SFTPUserGroupNames(decoding: names.encoded()) == names)
        for bytes in [limits.encoded(), status.encoded(), names.encoded()] {
            #expect(throws: WireError.self) { try SFTPLimits(decoding: bytes + [0]) }
        }
    }
}
