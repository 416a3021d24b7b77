import ClientKit
import Testing

@Suite struct EscapeFilterTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let input: [String]
        let output: String
        let ends: Bool

        var testDescription: String { name }
    }

    static let cases = [
        Case(name: "plain text passes", input: ["ls -l\r"], output: "ls -l\r", ends: false),
        Case(name: "~. at the very beginning ends", input: ["~."], output: "", ends: true),
        Case(name: "~. after a return ends", input: ["exit\r~."], output: "exit\r", ends: true),
        Case(name: "~. after a line feed ends", input: ["exit\n~."], output: "exit\n", ends: true),
        Case(name: "~. inside of a line passes", input: ["cd ~.\r"], output: "cd ~.\r", ends: false),
        Case(name: "~~ is one tilde", input: ["~~.\r"], output: "~.\r", ends: false),
        Case(name: "~ and another key are both sent", input: ["~a\r"], output: "~a\r", ends: false),
        Case(name: "~ and a return begin a line", input: ["~\r~."], output: "~\r", ends: true),
        Case(name: "key by key", input: ["\r", "~", "."], output: "\r", ends: true),
        Case(name: "a tilde waits for the next key", input: ["~"], output: "", ends: false),
        Case(name: "what follows the end is not sent", input: ["~.rm -rf /\r"], output: "", ends: true),
    ]

    @Test(arguments: cases)
    func `escapes`(wanted: Case) {
        var filter = EscapeFilter()
        var output: [UInt8] = []
        var ends = false
        for piece in wanted.input where !ends {
            let filtered = filter.filter(Array(piece.utf8))
            output += filtered.bytes
            ends = filtered.disconnects
        }
        #expect(String(decoding: output, as: UTF8.self) == wanted.output)
        #expect(ends == wanted.ends)
    }

    @Test func `bytes that are no text pass`() {
        var filter = EscapeFilter()
        let bytes: [UInt8] = [0, 0xff, 0xfe, 0x0d, 0x80]
        #expect(filter.filter(bytes) == .init(bytes: bytes, disconnects: false))
    }
}
