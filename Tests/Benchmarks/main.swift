import Base

/// Prints name, unit and median of each benchmark that is asked for by name, or of all; `link` is a line of some length instead.
let wanted = CommandLine.arguments.dropFirst()
if wanted.first == "link" {
    try LinkCommand.run(Array(wanted.dropFirst()))
} else {
    for benchmark in Benchmark.all where wanted.isEmpty || wanted.contains(benchmark.name) {
        for result in benchmark.run() {
            print(
                "{\"name\":\"\(benchmark.name) \(result.what)\",\"unit\":\"\(benchmark.unit)\",\"median\":\(Int(result.median.rounded()))}")
        }
    }
}
