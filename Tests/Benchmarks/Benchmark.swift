/// One thing that is measured, in several variants.
struct Benchmark: Sendable {
    struct Result {
        let what: String
        let median: Double
    }

    let name: String
    let unit: String
    let run: @Sendable () -> [Result]

    static let all = [EngineBenchmarks.sealAndOpen, EngineBenchmarks.keyExchanges]

    static let rounds = 7

    /// The median over some rounds of how much is done in a second.
    static func rate(of amount: Double, _ body: () -> Void) -> Double {
        let clock = ContinuousClock()
        let rates = (0..<rounds).map { _ in
            let duration = clock.measure(body)
            return amount / (Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18)
        }
        return rates.sorted()[rounds / 2]
    }
}
