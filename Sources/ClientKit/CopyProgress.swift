internal import Base
package import EventLoop

/// A line on a terminal that says how far a file is. Bound to its loop.
package final class CopyProgress {
    private let terminal: LocalTerminal
    private let loop: Loop
    private var name = ""
    private var size: UInt64?
    private var done: UInt64 = 0
    private var beganAt: UInt64 = 0
    private var started: Instant
    private var timer: LoopTimer?

    /// Often enough to be read, seldom enough to cost nothing.
    private static let interval: Duration = .milliseconds(200)

    package init(on terminal: LocalTerminal, loop: Loop) {
        self.terminal = terminal
        self.loop = loop
        started = loop.now
    }

    /// - Parameter name: as it may be shown.
    func begin(_ name: String, size: UInt64?, at offset: UInt64) {
        self.name = name
        self.size = size
        done = offset
        beganAt = offset
        started = loop.now
        draw()
    }

    func advance(_ count: Int) {
        done += UInt64(count)
        guard timer == nil else { return }
        timer = loop.schedule(after: Self.interval) { [weak self] in
            self?.timer = nil
            self?.draw()
        }
    }

    func end() {
        timer?.cancel()
        timer = nil
        draw()
        show("\n")
    }

    private func draw() {
        let seconds = max(0.001, Double((loop.now - started).clampedMilliseconds) / 1000)
        let line = Self.line(
            name, done: done, size: size, bytesPerSecond: UInt64(Double(done - beganAt) / seconds),
            columns: Int(terminal.size?.columns ?? 80))
        show("\r\(line)")
    }

    /// A terminal takes a line at once; that it went is found out elsewhere.
    private func show(_ text: String) {
        try? FileIO.write(Array(text.utf8), descriptor: terminal.descriptor)
    }

    /// Name, share, amount, rate and time left, as wide as the terminal.
    package static func line(_ name: String, done: UInt64, size: UInt64?, bytesPerSecond: UInt64, columns: Int) -> String {
        let share = size.map { $0 == 0 ? 100 : min(100, Int(Double(done) / Double($0) * 100)) }
        let left = size.flatMap { bytesPerSecond == 0 || done > $0 ? nil : ($0 - done) / bytesPerSecond }
        let figures = [
            padded(share.map { "\($0)%" } ?? "", 4), padded(amount(done), 8), padded(amount(bytesPerSecond) + "/s", 10),
            padded(left.map { "\(padded("\($0 / 60)", 2)):\($0 % 60 < 10 ? "0" : "")\($0 % 60)" } ?? "--:--", 7),
        ].joined(separator: " ")
        let room = max(1, columns - figures.count - 2)
        let shown = name.count <= room ? name + String(repeating: " ", count: room - name.count) : name.prefix(room - 1) + "…"
        return "\(shown) \(figures)"
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private static func amount(_ bytes: UInt64) -> String {
        var value = Double(bytes)
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1000 { return "\(unit == "B" ? "\(Int(value))" : "\(Double(Int(value * 10)) / 10)")\(unit)" }
            value /= 1024
        }
        return "\(Double(Int(value * 10)) / 10)TiB"
    }
}
