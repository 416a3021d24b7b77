import Base
import SFTP
import Testing

@Suite("scp's protocol")
struct SCPTests {
    struct RecordVector: Sendable, CustomTestStringConvertible {
        let record: SCPRecord
        let line: String
        var testDescription: String { line }
    }

    static let records = [
        RecordVector(record: .file(mode: 0o644, size: 12, name: Array("a b".utf8)), line: "C0644 12 a b\n"),
        RecordVector(record: .file(mode: 0, size: .max, name: Array("-".utf8)), line: "C0000 9223372036854775807 -\n"),
        RecordVector(record: .directory(mode: 0o7755, name: Array("d".utf8)), line: "D7755 0 d\n"),
        RecordVector(record: .times(modification: 5, access: 0), line: "T5 0 0 0\n"),
        RecordVector(record: .end, line: "E\n"),
    ]

    @Test(arguments: records)
    func `a record is a line, and reads as itself`(vector: RecordVector) throws {
        #expect(vector.record.encoded() == Array(vector.line.utf8))
        #expect(try SCPRecord(line: vector.record.encoded().dropLast()) == vector.record)
    }

    @Test(arguments: [
        "", "X", "E ", "C", "C0644", "C0644 1", "C0644 1 ", "C0644  x", "C644 1 x", "C06444 1 x", "C0648 1 x", "C0644 -1 x", "C0644 +1 x",
        "C0644 9223372036854775808 x", "C0644 1 a/b", "C0644 1 ..", "C0644 1 .", "D0755 0 ..", "C0644 1 a\nb", "C0644 1 a\0b", "T1 0 2",
        "T1 0 2 0 0", "T-1 0 2 0", "T1 x 2 0",
    ])
    func `a line that is no record, or names what is not below, is refused`(line: String) {
        #expect(throws: SCPError.self) { try SCPRecord(line: Array(line.utf8)) }
    }

    @Test(arguments: [SCPResponse.ok, .warning("a"), .fatal("b c"), .warning("")])
    func `a response is read once it is whole`(response: SCPResponse) throws {
        let bytes = response.encoded() + [0]
        for count in 0..<bytes.count - 1 { #expect(try SCPResponse.parse(Array(bytes.prefix(count)).span) == nil) }
        let found = try #require(try SCPResponse.parse(bytes.span))
        #expect(found.used == bytes.count - 1 && found.response == response)
    }

    @Test func `a response has an end`() throws {
        let line = [UInt8](repeating: 65, count: SCPResponse.textBytesMax)
        #expect(try SCPResponse.parse((Array(line.dropLast()) + [10]).span)?.response == .fatal(String(repeating: "A", count: 8191)))
        #expect(throws: SCPError.self) { try SCPResponse.parse(line.span) }
    }

    /// Everything that a sink says of `input`, given in pieces of `piece` bytes.
    private func events(_ input: [UInt8], piece: Int, isRecursive: Bool = true) throws(SCPError) -> [SCPSink.Event] {
        var sink = SCPSink(isRecursive: isRecursive)
        var events: [SCPSink.Event] = []
        var waiting: [UInt8] = []
        var rest = input[...]
        while !rest.isEmpty || !waiting.isEmpty {
            waiting += rest.prefix(piece)
            let isLast = rest.isEmpty
            rest = rest.dropFirst(piece)
            var before = -1
            while before != waiting.count, let (used, event) = try sink.receive(waiting.span) {
                before = waiting.count
                waiting.removeFirst(used)
                if case .data(let count) = event, case .data(let more)? = events.last {
                    events[events.count - 1] = .data(count: count + more)
                } else {
                    events.append(event)
                }
                if case .offer = event { sink.accept() }
            }
            if isLast { break }
        }
        return events
    }

    @Test(arguments: [1, 2, 7, 1000])
    func `a sink takes a tree apart, whatever pieces it comes in`(piece: Int) throws {
        let input = Array("T1 0 2 0\nD0755 0 d\nC0600 3 f\nabc\0C0644 0 empty\n\0E\n\u{1}no such file\nC0644 1 g\nx\u{1}changed\n".utf8)
        #expect(
            try events(input, piece: piece) == [
                .times(modification: 1, access: 2), .offer(.directory(mode: 0o755, name: Array("d".utf8))),
                .offer(.file(mode: 0o600, size: 3, name: Array("f".utf8))), .data(count: 3), .endOfFile(.ok),
                .offer(.file(mode: 0o644, size: 0, name: Array("empty".utf8))), .endOfFile(.ok), .endOfDirectory,
                .message(.warning("no such file")), .offer(.file(mode: 0o644, size: 1, name: Array("g".utf8))), .data(count: 1),
                .endOfFile(.warning("changed")),
            ])
    }

    @Test func `what comes out of order is refused`() {
        for input in ["E\n", "D0755 0 d\nE\nE\n", "\0", "C0644 1 f\nx\0\0"] {
            #expect(throws: SCPError.self) { try events(Array(input.utf8), piece: 1000) }
        }
        #expect(throws: SCPError("received a directory without -r")) {
            try events(Array("D0755 0 d\n".utf8), piece: 1000, isRecursive: false)
        }
        #expect(throws: SCPError.self) { try events([UInt8](repeating: 0x43, count: SCPRecord.lineBytesMax), piece: 5000) }
    }

    @Test func `directories are not in one another without end`() {
        #expect(throws: SCPError("too many directories in one another")) {
            try events(Array(String(repeating: "D0755 0 d\n", count: 2049).utf8), piece: 1 << 20)
        }
    }

    @Test func `an offer that is refused is passed over`() throws {
        var sink = SCPSink(isRecursive: true)
        _ = try sink.receive(Array("D0755 0 d\n".utf8).span)
        sink.refuse()
        #expect(sink.depth == 0)
        #expect(try sink.receive(Array("C0644 1 f\n".utf8).span)?.event == .offer(.file(mode: 0o644, size: 1, name: Array("f".utf8))))
    }

    struct CommandVector: Sendable, CustomTestStringConvertible {
        let words: [String]
        let command: SCPCommand?
        var testDescription: String { words.joined(separator: " ") }

        init(_ words: String..., command: SCPCommand?) {
            self.words = words
            self.command = command
        }
    }

    private static func paths(_ paths: String...) -> [[UInt8]] { paths.map { Array($0.utf8) } }

    static let commands = [
        CommandVector("scp", "-t", "/x", command: SCPCommand(direction: .sink, paths: paths("/x"))),
        CommandVector(
            "scp", "-v", "-r", "-p", "-d", "-t", "x y",
            command: SCPCommand(direction: .sink, isRecursive: true, preserves: true, wantsDirectory: true, paths: paths("x y"))),
        CommandVector(
            "scp", "-rpf", "a", "b", command: SCPCommand(direction: .source, isRecursive: true, preserves: true, paths: paths("a", "b"))),
        CommandVector("scp", "-f", "--", "-r", command: SCPCommand(direction: .source, paths: paths("-r"))),
        CommandVector("scp", "-f", "-", command: SCPCommand(direction: .source, paths: paths("-"))),
        CommandVector("scp", "-t", "a", "b", command: nil), CommandVector("scp", "-t", command: nil),
        CommandVector("scp", "a", "b", command: nil),
        CommandVector("scp", "-t", "-f", "a", command: nil), CommandVector("scp", "-S", "sh", "-t", "a", command: nil),
        CommandVector("/usr/bin/scp", "-t", "a", command: nil), CommandVector(command: nil),
    ]

    @Test(arguments: commands)
    func `a command line is that of a copy or it is not`(vector: CommandVector) {
        #expect(SCPCommand(words: vector.words.map { Array($0.utf8) }) == vector.command)
        if vector.words.count > 2 || vector.command != nil {
            #expect(
                SCPCommand.isCopy(commandLine: Array(vector.words.joined(separator: " ").utf8))
                    == (vector.command != nil || vector.words == ["scp", "-t", "a", "b"]))
        }
    }
}
