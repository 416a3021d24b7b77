import Base
import Logging
import Testing

@Suite("LineLogHandler")
struct LineLogHandlerTests {
    struct FixedClock: Clock {
        func now() -> Instant { Instant(nanoseconds: 0) }
        func wallTime() -> UnixTime { UnixTime(seconds: 1_795_485_808) }
    }

    private func lines(_ format: LineLogHandler.Format, _ body: (Logger) -> Void) -> String {
        let written = Lock<[UInt8]>([])
        let destination = LogDestination { line in written.withLock { $0 += line } }
        body(
            Logger(label: "node") { label in
                LineLogHandler(label: label, format: format, level: .info, clock: FixedClock(), destination: destination)
            })
        return String(decoding: written.withLock { $0 }, as: UTF8.self)
    }

    @Test func `text is time, level, logger, message and sorted fields`() {
        let text = lines(.text) { $0.info("session opened", metadata: ["user": "alice", "command": "ls -l"]) }
        #expect(text == "2026-11-24T02:03:28Z INFO     node session opened command=\"ls -l\" user=alice\n")
    }

    @Test func `a threshold that changes counts for loggers that are there`() {
        let written = Lock<[UInt8]>([])
        let threshold = LogThreshold(.info)
        let logger = Logger(label: "node") { label in
            LineLogHandler(
                label: label, format: .text, threshold: threshold, clock: FixedClock(),
                destination: LogDestination { line in written.withLock { $0 += line } })
        }
        logger.debug("before")
        threshold.set(.debug)
        logger.debug("after")
        #expect(String(decoding: written.withLock { $0 }, as: UTF8.self) == "2026-11-24T02:03:28Z DEBUG    node after\n")
    }

    @Test func `JSON is one object a line`() {
        let text = lines(.json) { $0.warning("refused", metadata: ["reason": "say \"no\""]) }
        let expected =
            #"{"time":"2026-11-24T02:03:28Z","level":"warning","logger":"node","message":"refused","fields":{"reason":"say \"no\""}}"#
        #expect(text == expected + "\n")
    }

    @Test(arguments: LineLogHandler.Format.allCases)
    func `line ends, escapes and direction marks of a stranger stay within one line`(format: LineLogHandler.Format) {
        let text = lines(format) { $0.info("login", metadata: ["user": "a\r\nb\u{1b}[2J\u{0}\u{9b}\u{202e}\u{2028}c", "k\ney": "v"]) }
        #expect(text.unicodeScalars.filter { $0 == "\n" }.count == 1 && text.unicodeScalars.last == "\n")
        #expect(
            !text.unicodeScalars.dropLast().contains { $0.value < 0x20 || $0.value == 0x9b || $0.value == 0x202e || $0.value == 0x2028 })
        #expect(text.contains("[2J"))
    }

    @Test func `a megabyte from a stranger is cut with a mark`() {
        let text = lines(.json) { $0.info("login", metadata: ["user": .string(String(repeating: "é", count: 500_000))]) }
        #expect(text.utf8.count < 2000)
        #expect(text.contains("…[\(1_000_000 - LogText.valueBytesMax) more bytes]"))
    }

    @Test func `secrets are not printed, however deep`() {
        let text = lines(.text) { logger in
            logger.info("joined", metadata: ["token": "s3cret", "Password": "s3cret", "body": ["otp": "s3cret", "name": "n"]])
        }
        #expect(!text.contains("s3cret"))
        #expect(text.contains("body.name=n") && text.contains("body.otp=<hidden>"))
    }

    @Test func `what is below the level is not written`() {
        #expect(lines(.text) { $0.debug("detail") } == "")
    }

    struct Moment: Sendable, CustomTestStringConvertible {
        let seconds: Int64
        let text: String
        var testDescription: String { text }
    }

    @Test(arguments: [
        Moment(seconds: 0, text: "1970-01-01T00:00:00Z"), Moment(seconds: 951_782_399, text: "2000-02-28T23:59:59Z"),
        Moment(seconds: 951_782_400, text: "2000-02-29T00:00:00Z"), Moment(seconds: 4_107_542_400, text: "2100-03-01T00:00:00Z"),
        Moment(seconds: -1, text: "1969-12-31T23:59:59Z"),
    ])
    func `times are RFC 3339`(moment: Moment) {
        #expect(UnixTime(seconds: moment.seconds).text == moment.text)
    }
}
