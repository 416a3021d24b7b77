import EventLoop
import Testing

@Suite("SpareMemory")
struct SpareMemoryTests {
    /// In a process of its own, since memory is counted by the process. A sanitizer brings an allocator of its own, of which malloc's figures know nothing.
    @Test(.enabled(if: (try? ProcessUsage.read().heapBytes) ?? 0 > 0))
    func `holes that a flood leaves between what lives on go back to the kernel`() async {
        await #expect(processExitsWith: .success) {
            let spare = SpareMemory()
            let before = try ProcessUsage.read().residentBytes
            var blocks = (0..<150_000).map { [UInt8](repeating: UInt8(truncatingIfNeeded: $0), count: 1000) }
            let full = try ProcessUsage.read().residentBytes
            #expect(full > before + (100 << 20))
            // Each twentieth stays, so that nowhere is a whole region free.
            for index in blocks.indices where !index.isMultiple(of: 20) { blocks[index] = [] }
            let holes = try ProcessUsage.read().residentBytes
            #expect(holes > before + (100 << 20))
            spare.giveBack()
            let after = try ProcessUsage.read().residentBytes
            #expect(after + (64 << 20) < holes, "\(before) \(full) \(holes) \(after)")
            #expect(blocks[20] == [UInt8](repeating: 20, count: 1000))
        }
    }
}
