package import Base

/// Cuts an agent's stream into messages, each without the length that stands before it (draft-ietf-sshm-ssh-agent §3).
package struct AgentFrames: Sendable {
    private var bytes: [UInt8] = []

    package init() {}

    package mutating func append(_ data: Span<UInt8>) {
        bytes.append(copying: data)
    }

    /// The next message that is whole.
    ///
    /// - Throws: where one is longer than ``AgentRequest/bytesMax``.
    package mutating func next() throws(WireError) -> [UInt8]? {
        guard bytes.count >= 4 else { return nil }
        let length = bytes[..<4].reduce(0) { $0 << 8 | Int($1) }
        guard length <= AgentRequest.bytesMax else { throw .tooLong(length) }
        guard bytes.count >= 4 + length else { return nil }
        defer { bytes.removeFirst(4 + length) }
        return Array(bytes[4..<4 + length])
    }
}
