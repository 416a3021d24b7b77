import Base
import Testing

@Suite("Backoff")
struct BackoffTests {
    @Test func `the ceiling doubles up to the longest delay and stays there`() {
        var backoff = Backoff(first: .milliseconds(250), longest: .seconds(2))
        let randomness = SeededRandomness(seed: 2)
        var ceilings: [Duration] = []
        for _ in 0..<6 {
            ceilings.append(backoff.ceiling)
            _ = backoff.next(randomness)
        }
        #expect(ceilings == [.milliseconds(250), .milliseconds(500), .seconds(1), .seconds(2), .seconds(2), .seconds(2)])
        backoff.reset()
        #expect(backoff.ceiling == .milliseconds(250))
    }

    @Test func `delays fill the whole range below the ceiling`() {
        let randomness = SeededRandomness(seed: 3)
        var quarters: Set<Int> = []
        for _ in 0..<200 {
            var backoff = Backoff(first: .seconds(4), longest: .seconds(4))
            let delay = backoff.next(randomness)
            #expect(delay >= .zero && delay < .seconds(4))
            quarters.insert(Int(delay.components.seconds))
        }
        #expect(quarters == [0, 1, 2, 3])
    }

    @Test func `a thousand failures do not overflow`() {
        var backoff = Backoff(first: .seconds(1), longest: .seconds(30))
        for _ in 0..<1000 { _ = backoff.next(SeededRandomness(seed: 4)) }
        #expect(backoff.ceiling == .seconds(30))
    }
}
