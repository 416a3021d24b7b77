internal import Base

/// The receiving side of a copy (`scp -t`): what the source may say, and when.
///
///     record ──file──▶ offered ──accept──▶ data ──all of it──▶ verdict ──▶ record
///       └──directory──▶ offered ──accept──▶ record, one level deeper, until its end
///
/// The caller does what an event says, and answers with a ``SCPResponse`` as said there.
package struct SCPSink: Sendable {
    package enum Event: Equatable, Sendable {
        /// A file or directory is coming: ``accept()`` and answer OK, or answer with a warning and ``refuse()``.
        case offer(SCPRecord)
        /// Times for the next offer; to be answered.
        case times(modification: Int64, access: Int64)
        /// So many bytes, the first of the input, belong to the file. Not answered.
        case data(count: Int)
        /// All of the file has been said, with what the source thinks of it; to be answered.
        case endOfFile(SCPResponse)
        /// The last directory ends; to be answered.
        case endOfDirectory
        /// The source could not send something, or cannot go on. Not answered.
        case message(SCPResponse)
    }

    private enum State: Equatable {
        case record
        case offered(SCPRecord)
        case data(remaining: Int64)
        case verdict
    }

    private var state = State.record
    /// Directories that have begun and not ended.
    package private(set) var depth = 0
    /// Whether directories are taken (`-r`).
    private let isRecursive: Bool

    /// A path of 4,096 bytes has no more components.
    private static let depthMax = 2048

    package init(isRecursive: Bool) {
        self.isRecursive = isRecursive
    }

    /// The next event, from the beginning of `input`.
    ///
    /// - Returns: how many bytes it took; nil while more are needed.
    package mutating func receive(_ input: Span<UInt8>) throws(SCPError) -> (used: Int, event: Event)? {
        switch state {
        case .offered: throw SCPError("protocol error: an offer was not answered")
        case .data(let remaining):
            guard input.count > 0 else { return nil }
            let count = Int(min(remaining, Int64(input.count)))
            state = remaining == Int64(count) ? .verdict : .data(remaining: remaining - Int64(count))
            return (count, .data(count: count))
        case .verdict:
            guard let (used, response) = try SCPResponse.parse(input) else { return nil }
            state = .record
            return (used, .endOfFile(response))
        case .record:
            // A response where a record could be is a message.
            if input.count > 0, input[0] < 0x20, let (used, response) = try SCPResponse.parse(input) {
                guard response != .ok else { throw SCPError("protocol error: unexpected response") }
                return (used, .message(response))
            }
            guard let line = try SCPResponse.lineBytes(input, max: SCPRecord.lineBytesMax) else { return nil }
            return (line.count + 1, try event(of: try SCPRecord(line: line)))
        }
    }

    private mutating func event(of record: SCPRecord) throws(SCPError) -> Event {
        switch record {
        case .times(let modification, let access): return .times(modification: modification, access: access)
        case .end:
            guard depth > 0 else { throw SCPError("protocol error: unexpected end of a directory") }
            depth -= 1
            return .endOfDirectory
        case .directory:
            guard isRecursive else { throw SCPError("received a directory without -r") }
            guard depth < Self.depthMax else { throw SCPError("too many directories in one another") }
            state = .offered(record)
        case .file: state = .offered(record)
        }
        return .offer(record)
    }

    /// Takes what is offered.
    package mutating func accept() {
        switch state {
        case .offered(.file(_, let size, _)): state = size == 0 ? .verdict : .data(remaining: size)
        case .offered(.directory):
            depth += 1
            state = .record
        case .offered, .record, .data, .verdict: preconditionFailure("nothing is offered")
        }
    }

    /// Does without what is offered: the source goes on with the next thing.
    package mutating func refuse() {
        guard case .offered = state else { preconditionFailure("nothing is offered") }
        state = .record
    }
}
