import Base
import MetricsReader
import Testing

@Suite("Metrics")
struct MetricsTests {
    private static let open = Metric(.gauge, "teleport_open", "What is open.")
    private static let opened = Metric(.counter, "teleport_opened_total", "What was opened, in all:\na \\ and a \"quote\".")
    private static let taken = Metric(.histogram, "teleport_taken_seconds", "How long it took.")

    @Test func `the text is what the format asks for, to the letter`() {
        var metrics = Metrics()
        metrics.add(Self.opened, 3, ["kind": "a", "by": "b"])
        metrics.add(Self.open, 0.5)
        #expect(
            metrics.text == """
                # HELP teleport_opened_total What was opened, in all:\\na \\\\ and a "quote".
                # TYPE teleport_opened_total counter
                teleport_opened_total{kind="a",by="b"} 3
                # HELP teleport_open What is open.
                # TYPE teleport_open gauge
                teleport_open 0.5

                """)
    }

    @Test func `values, labels and help survive a strict reader`() throws {
        var metrics = Metrics()
        let values: [Double] = [0, 1, -1, 0.1, 1e-9, 1e21, 0x1p53, 1_700_000_000.25, 123_456_789_012]
        for (index, value) in values.enumerated() { metrics.add(Self.open, value, ["n": "\(index)"]) }
        let odd = "back\\slash, \"quote\", new\nline, comma,} and {brace"
        metrics.add(Self.opened, UInt64(7), ["odd": odd])
        let reading = try MetricsReading(metrics.text)
        for (index, value) in values.enumerated() { #expect(reading.value("teleport_open", ["n": "\(index)"]) == value) }
        #expect(reading.value("teleport_opened_total", ["odd": odd]) == 7)
        #expect(reading["teleport_opened_total"]?.help == Self.opened.help)
    }

    @Test func `a histogram counts each duration in every bucket that has room for it`() throws {
        var histogram = Histogram(bounds: [0.01, 0.1, 1])
        for milliseconds in [1, 10, 11, 100, 900, 1500] { histogram.record(.milliseconds(milliseconds)) }
        var metrics = Metrics()
        metrics.add(Self.taken, histogram, ["by": "a"])
        metrics.add(Self.taken, histogram, ["by": "b"])
        let reading = try MetricsReading(metrics.text)
        for (bound, count) in [("0.01", 2.0), ("0.1", 4), ("1", 5), ("+Inf", 6)] {
            #expect(reading.value("teleport_taken_seconds_bucket", ["by": "b", "le": bound]) == count)
        }
        #expect(reading.value("teleport_taken_seconds_count", ["by": "a"]) == 6)
        let sum = try #require(reading.value("teleport_taken_seconds_sum", ["by": "a"]))
        #expect(abs(sum - 2.522) < 1e-9)
    }

    private enum Colour: String, CaseIterable, Sendable { case red, green }

    @Test func `a tally has a sample for each kind, also for one that has not happened`() throws {
        var tally = Tally<Colour>()
        tally.count(.green)
        tally.count(.green)
        var metrics = Metrics()
        metrics.add(Self.opened, tally, by: "colour", ["of": "x"])
        let reading = try MetricsReading(metrics.text)
        #expect(reading.value("teleport_opened_total", ["of": "x", "colour": "green"]) == 2)
        #expect(reading.value("teleport_opened_total", ["of": "x", "colour": "red"]) == 0)
    }

    @Test func `what several loops say of the same thing adds up, and what differs stays apart`() throws {
        var histogram = Histogram(bounds: [1])
        histogram.record(.milliseconds(500))
        var metrics = Metrics()
        for loop in ["main", "loop-1"] {
            var own = Metrics()
            own.add(Self.open, 2, ["loop": loop])
            own.add(Self.opened, 5)
            own.add(Self.taken, histogram)
            metrics.add(own)
        }
        let reading = try MetricsReading(metrics.text)
        #expect(reading.value("teleport_open", ["loop": "loop-1"]) == 2 && reading.sum("teleport_open") == 4)
        #expect(reading.value("teleport_opened_total") == 10)
        #expect(reading.value("teleport_taken_seconds_count") == 2)
    }

    @Test(arguments: [
        "no end of line", "teleport_x 1\n", "# TYPE x gauge\nx 1\n", "# HELP x y\n# TYPE x gauge\nx{a=\"b\nc\"} 1\n",
        "# HELP x y\n# TYPE x gauge\nx 1\nx 2\n", "# HELP x y\n# TYPE x counter\nx 1\n", "# HELP x y\n# TYPE x gauge\nx one\n",
        "# HELP x y\n# TYPE x gauge\ny 1\n", "# HELP x y\n# TYPE x histogram\nx_bucket{le=\"1.0\"} 1\nx_sum 1\nx_count 1\n",
    ])
    func `the reader of these tests refuses`(text: String) {
        #expect(throws: MetricsReading.Fault.self) { try MetricsReading(text) }
    }
}
