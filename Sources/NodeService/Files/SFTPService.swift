internal import Base
internal import EventLoop
internal import SFTP

/// SFTP on descriptors 0 and 1 of a session child, until the client has no more to ask.
///
/// Large reads, all whole requests of each answered before the next, and their replies written in one go.
enum SFTPService {
    /// What a client sends at once without waiting: stock `sftp` has 64 requests on their way.
    static let pipeBytes: Int32 = 1 << 20

    static func run(home: String) throws {
        var server = SFTPServer(files: UserFiles(home: home, now: SystemClock().wallTime()))
        var input = InputBuffer()
        var output = SFTPOutput()
        FileIO.widenPipe(0, bytes: pipeBytes)
        FileIO.widenPipe(1, bytes: pipeBytes)
        defer { server.end() }
        while try input.fill() {
            var isFull = true
            while isFull {
                let used = try server.receive(input.bytes, output: &output)
                input.removeFirst(used)
                isFull = output.isFull
                try FileIO.write(output.bytes, descriptor: 1)
                output.removeAll()
            }
        }
    }
}

/// What has been read from descriptor 0 and not been used.
struct InputBuffer: ~Copyable {
    private var storage: [UInt8]
    private var range = 0..<0

    /// A packet of the largest size and a large read.
    private static let bytesMax = 4 * SFTPPacket.bytesMax

    init() {
        storage = [UInt8](repeating: 0, count: Self.bytesMax)
    }

    var bytes: Span<UInt8> {
        @_lifetime(borrow self)
        get { storage.span.extracting(range) }
    }

    mutating func removeFirst(_ count: Int) {
        range = range.lowerBound + count..<range.upperBound
    }

    /// Reads on; the caller uses what there is before it asks for more than the largest packet.
    ///
    /// - Returns: false at the end of the input.
    mutating func fill() throws(TeleportError) -> Bool {
        if range.isEmpty {
            range = 0..<0
        } else if storage.count - range.upperBound < SFTPPacket.bytesMax {
            let rest = Array(storage[range])
            range = 0..<rest.count
            storage.replaceSubrange(range, with: rest)
        }
        let (start, end) = (range.lowerBound, range.upperBound)
        precondition(end < storage.count, "input that nobody uses")
        var span = storage.mutableSpan
        var room = span._mutatingExtracting(end..<Self.bytesMax)
        let read = try FileIO.read(0, into: &room)
        range = start..<end + read
        return read > 0
    }
}
