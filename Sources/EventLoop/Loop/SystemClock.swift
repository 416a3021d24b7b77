package import Base
internal import CLibuv
internal import Glibc

/// The machine's clocks.
package struct SystemClock: Clock {
    package init() {}

    package func now() -> Instant { Instant(nanoseconds: uv_hrtime()) }
    package func wallTime() -> UnixTime { UnixTime(seconds: Int64(time(nil))) }
}
