/// Where random bytes come from; the one real source is `SystemRandomness` in Crypto.
package protocol Randomness: Sendable {
    func bytes(_ count: Int) -> [UInt8]
}

extension Randomness {
    package func uint32() -> UInt32 {
        bytes(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    package func uint64() -> UInt64 {
        bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// A number in `0..<1`, for jitter.
    package func unit() -> Double {
        Double(uint64() >> 11) / Double(1 << 53)
    }

    /// A version 4 UUID (RFC 9562 §5.4), in lower case.
    package func uuid() -> String {
        var raw = bytes(16)
        raw[6] = raw[6] & 0x0f | 0x40
        raw[8] = raw[8] & 0x3f | 0x80
        let hex = Hex.encode(raw)
        var text = ""
        for (index, character) in hex.enumerated() {
            if [8, 12, 16, 20].contains(index) { text.append("-") }
            text.append(character)
        }
        return text
    }
}

/// The same bytes for the same seed (SplitMix64): for simulations, fuzzers and tests; never for keys.
package final class SeededRandomness: Randomness {
    private let state: Lock<UInt64>

    package init(seed: UInt64) {
        state = Lock(seed)
    }

    package func bytes(_ count: Int) -> [UInt8] {
        state.withLock { state in
            var output: [UInt8] = []
            output.reserveCapacity(count)
            while output.count < count {
                state &+= 0x9e37_79b9_7f4a_7c15
                var word = state
                word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
                word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
                word ^= word >> 31
                for shift in stride(from: 0, to: 64, by: 8) where output.count < count {
                    output.append(UInt8(truncatingIfNeeded: word >> UInt64(shift)))
                }
            }
            return output
        }
    }
}
