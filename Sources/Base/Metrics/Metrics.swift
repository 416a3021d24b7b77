/// Figures of one moment by name and labels, and their text for Prometheus (exposition format 0.0.4).
///
/// Each part of a process adds its own. What has the same name and labels adds up, as the figures of several loops do. Labels have few values, all
/// of our own choosing: nothing that a peer sends becomes one.
package struct Metrics: Equatable, Sendable {
    /// The content type of ``text``.
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private struct Family: Equatable, Sendable {
        let name: String
        let help: String
        let kind: Metric.Kind
        var samples: [Sample] = []

        mutating func add(_ name: String, _ value: Double) {
            if let index = samples.firstIndex(where: { $0.name == name }) {
                samples[index].value += value
            } else {
                samples.append(Sample(name: name, value: value))
            }
        }
    }

    private struct Sample: Equatable, Sendable {
        /// What stands before the value in a line.
        let name: String
        var value: Double
    }

    private var families: [Family] = []

    package init() {}

    package mutating func add(_ metric: Metric, _ value: some BinaryInteger, _ labels: KeyValuePairs<String, String> = [:]) {
        add(metric, Double(value), labels)
    }

    package mutating func add(_ metric: Metric, _ value: Double, _ labels: KeyValuePairs<String, String> = [:]) {
        add(metric, value, labels.map { ($0.key, $0.value) })
    }

    /// A sample for each kind, also for those that have not happened: who looks at rates wants to see the first.
    ///
    /// - Parameter label: what the kinds are kinds of.
    package mutating func add<Kind>(_ metric: Metric, _ tally: Tally<Kind>, by label: String, _ labels: KeyValuePairs<String, String> = [:])
    {
        for kind in Kind.allCases { add(metric, Double(tally[kind]), labels.map { ($0.key, $0.value) } + [(label, kind.rawValue)]) }
    }

    private mutating func add(_ metric: Metric, _ value: Double, _ labels: [(String, String)]) {
        precondition(metric.kind != .histogram, "a histogram is more than one value")
        let index = family(of: metric)
        families[index].add(metric.name + Self.text(of: labels), value)
    }

    package mutating func add(_ metric: Metric, _ histogram: Histogram, _ labels: KeyValuePairs<String, String> = [:]) {
        precondition(metric.kind == .histogram, "\(metric.name) is no histogram")
        let index = family(of: metric)
        let labels = labels.map { ($0.key, $0.value) }
        var total: UInt64 = 0
        for (bound, count) in zip(histogram.bounds.map(Self.text(of:)) + ["+Inf"], histogram.counts) {
            total += count
            families[index].add("\(metric.name)_bucket" + Self.text(of: labels + [("le", bound)]), Double(total))
        }
        families[index].add("\(metric.name)_sum" + Self.text(of: labels), histogram.sum)
        families[index].add("\(metric.name)_count" + Self.text(of: labels), Double(total))
    }

    package mutating func add(_ other: Metrics) {
        for family in other.families {
            let index = self.family(named: family.name, family.help, family.kind)
            for sample in family.samples { families[index].add(sample.name, sample.value) }
        }
    }

    /// Each family with its HELP and TYPE, in the order in which they came.
    package var text: String {
        var text = ""
        for family in families {
            text += "# HELP \(family.name) \(Self.escaped(family.help))\n# TYPE \(family.name) \(family.kind.rawValue)\n"
            for sample in family.samples { text += "\(sample.name) \(Self.text(of: sample.value))\n" }
        }
        return text
    }

    // MARK: Families

    private mutating func family(of metric: Metric) -> Int { family(named: metric.name, metric.help, metric.kind) }

    private mutating func family(named name: String, _ help: String, _ kind: Metric.Kind) -> Int {
        if let index = families.firstIndex(where: { $0.name == name }) { return index }
        families.append(Family(name: name, help: help, kind: kind))
        return families.count - 1
    }

    // MARK: Text

    private static func text(of labels: [(String, String)]) -> String {
        guard !labels.isEmpty else { return "" }
        return "{" + labels.map { #"\#($0.0)="\#(escaped($0.1).replacing("\"", with: "\\\""))""# }.joined(separator: ",") + "}"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    }

    /// Whole numbers without a point, as far as a `Double` has them all.
    private static func text(of value: Double) -> String {
        abs(value) < 0x1p53 && value == value.rounded() ? "\(Int64(value))" : "\(value)"
    }
}
