import ArgumentParser
import Base

/// `30m`, `12h`, `90s`, `7d`.
struct DurationText: ExpressibleByArgument, CustomStringConvertible, Sendable {
    let seconds: Int64
    let description: String

    init(_ duration: Duration) {
        seconds = duration.components.seconds
        description = seconds % 3600 == 0 ? "\(seconds / 3600)h" : seconds % 60 == 0 ? "\(seconds / 60)m" : "\(seconds)s"
    }

    init?(argument: String) {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86400]
        guard let unit = argument.last.flatMap({ units[$0] }), let count = Int64(argument.dropLast()), count > 0 else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: unit)
        guard !overflow else { return nil }
        seconds = product
        description = argument
    }

    var defaultValueDescription: String { description }
}

/// The words between commas, in order; empty ones are left out.
func commaList(_ text: String) -> [String] {
    text.split(separator: ",").map { String($0.drop { $0 == " " }) }.filter { !$0.isEmpty }
}
