import Base
import SFTP

/// Packets of either side, and their frames.
func fuzzSFTPMessages(_ bytes: [UInt8]) {
    if let range = try? SFTPPacket.first(in: bytes.span), range.upperBound > bytes.count { fatalError("a packet beyond its stream") }
    if let (id, request) = try? SFTPRequest.parse(bytes.span) {
        let framed = request.framed(id: id)
        if case .other = request { return }
        let again = try? SFTPRequest.parse(framed.span.extracting(droppingFirst: 4))
        expectSame(request, again?.request, "a request")
        expectSame(id, again?.id, "a request's id")
    }
    if let (id, reply) = try? SFTPReply.parse(bytes.span) {
        let again = try? SFTPReply.parse(reply.framed(id: id).span.extracting(droppingFirst: 4))
        expectSame(reply, again?.reply, "a reply")
        expectSame(id, again?.id, "a reply's id")
        if case .extended(let payload) = reply {
            if let limits = try? SFTPLimits(decoding: payload) { expectSame(limits.encoded(), payload, "limits") }
            if let names = try? SFTPUserGroupNames(decoding: payload) { expectSame(names.encoded(), payload, "names") }
            if let status = try? SFTPFileSystemStatus(decoding: payload) {
                expectSame(status, try? SFTPFileSystemStatus(decoding: status.encoded()), "a file system's status")
            }
        }
    }
}
