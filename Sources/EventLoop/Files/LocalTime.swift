package import Base
internal import Glibc

/// Moments as people on this machine read them.
package enum LocalTime {
    /// As `ls -l` has it: the time of day for the last half year, the year for what is older or in the future.
    package static func listing(_ seconds: Int64, now: UnixTime) -> String {
        var moment = time_t(seconds)
        var fields = unsafe tm()
        guard unsafe localtime_r(&moment, &fields) != nil else { return "\(seconds)" }
        let isRecent = seconds <= now.seconds && now.seconds - seconds < halfYear
        var buffer = [CChar](repeating: 0, count: 64)
        let count = unsafe strftime(&buffer, buffer.count, isRecent ? "%b %e %H:%M" : "%b %e  %Y", &fields)
        return String(decoding: buffer.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// In seconds, of the average Gregorian year.
    private static let halfYear: Int64 = 31_556_952 / 2
}
