import Base
import EventLoop
import Glibc

/// A process of this machine, as `/proc` shows it.
struct ProcessFigures {
    let pid: Int32

    /// The process that was started as `… -c CONFIG`.
    static func running(config: String) throws(TeleportError) -> ProcessFigures? {
        for name in try FileIO.list("/proc") {
            guard let pid = Int32(name), let line = try? FileIO.read("/proc/\(pid)/cmdline", max: 1 << 16) else { continue }
            let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
            if zip(words, words.dropFirst()).contains(where: { $0 == "-c" && $1 == config }) { return ProcessFigures(pid: pid) }
        }
        return nil
    }

    /// What the process alone, or in part, takes of the memory.
    var memoryKiB: Int {
        get throws(TeleportError) {
            let text = String(decoding: try FileIO.read("/proc/\(pid)/smaps_rollup", max: 1 << 16), as: UTF8.self)
            let line = text.split(separator: "\n").first { $0.hasPrefix("Pss:") }
            return line.flatMap { Int($0.split(separator: " ").dropFirst().first ?? "") } ?? 0
        }
    }

    var cpuTime: Duration {
        get throws(TeleportError) {
            let text = String(decoding: try FileIO.read("/proc/\(pid)/stat", max: 1 << 12), as: UTF8.self)
            // After the name, which may hold anything and ends with the last parenthesis.
            let fields = text[(text.lastIndex(of: ")") ?? text.startIndex)...].split(separator: " ")
            let ticks = [12, 13].reduce(0) { $0 + (fields.count > $1 ? Int(fields[$1]) ?? 0 : 0) }
            return .milliseconds(ticks * 1000 / max(1, sysconf(CInt(_SC_CLK_TCK))))
        }
    }

    func kill() {
        Glibc.kill(pid, SIGKILL)
    }
}
