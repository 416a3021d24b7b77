package import Base
internal import CLibuv
internal import Glibc

/// What this process takes of the machine, by `/proc/self` and the allocator.
package struct ProcessUsage: Sendable {
    package let residentBytes: UInt64
    package let virtualBytes: UInt64
    /// What the allocator has given out, and what it holds for it.
    package let heapBytes: UInt64
    package let heapReservedBytes: UInt64
    package let descriptors: Int
    package let descriptorsMax: UInt64
    package let threads: UInt64
    /// User and system time of all threads, in seconds.
    package let processorSeconds: Double
    /// Unix time, in seconds.
    package let startTime: Double

    /// Reads files of the kernel, which takes some milliseconds where there are thousands of descriptors: for a loop that serves nobody else.
    package static func read() throws(TeleportError) -> ProcessUsage {
        let text = String(decoding: try FileIO.read("/proc/self/stat"), as: UTF8.self)
        // The program's name stands in parentheses and may have any of its own (`proc(5)`); the state behind it is the third field.
        let fields = (text.split(separator: ")").last ?? "").split(separator: " ").map { UInt64($0) ?? 0 }
        func field(_ number: Int) -> UInt64 { fields.indices.contains(number - 3) ? fields[number - 3] : 0 }
        let boot = String(decoding: try FileIO.read("/proc/stat"), as: UTF8.self).split(separator: "\n")
            .first { $0.hasPrefix("btime ") }.flatMap { Double($0.dropFirst("btime ".count)) }
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
        let heap = mallinfo2()
        var limit = rlimit()
        unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return ProcessUsage(
            residentBytes: field(24) * UInt64(sysconf(Int32(_SC_PAGESIZE))), virtualBytes: field(23),
            heapBytes: UInt64(heap.uordblks) + UInt64(heap.hblkhd), heapReservedBytes: UInt64(heap.arena) + UInt64(heap.hblkhd),
            // One of them lists the others.
            descriptors: try FileIO.list("/proc/self/fd").count - 1, descriptorsMax: UInt64(limit.rlim_cur), threads: field(20),
            processorSeconds: Double(field(14) + field(15)) / ticks, startTime: (boot ?? 0) + Double(field(22)) / ticks)
    }
}
