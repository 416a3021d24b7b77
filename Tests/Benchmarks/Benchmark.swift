import Glibc

/// One thing that is measured, in several variants.
struct Benchmark: Sendable {
    struct Result {
        let what: String
        let median: Double
    }

    let name: String
    let unit: String
    let run: @Sendable () -> [Result]

    static let all = [EngineBenchmarks.sealAndOpen, EngineBenchmarks.keyExchanges, SiteBenchmarks.changes, SiteBenchmarks.routes]

    static let rounds = 7

    /// The median over some rounds of how much is done in a second of the processor's time, which other programs do not shorten.
    static func rate(of amount: Double, _ body: () -> Void) -> Double {
        let rates = (0..<rounds).map { _ in
            let start = clock()
            body()
            return amount * Double(CLOCKS_PER_SEC) / Double(clock() - start)
        }
        return rates.sorted()[rounds / 2]
    }
}
