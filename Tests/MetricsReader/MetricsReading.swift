/// Figures read back from Prometheus' text format, version 0.0.4, by a reader that forgives nothing.
package struct MetricsReading: Sendable {
    package struct Fault: Error, CustomStringConvertible {
        package let line: Int
        package let description: String
    }

    package struct Sample: Equatable, Sendable {
        package let name: String
        package let labels: [String: String]
        package let value: Double
    }

    package struct Family: Equatable, Sendable {
        package let name: String
        package let help: String
        package let kind: String
        package fileprivate(set) var samples: [Sample] = []
    }

    package private(set) var families: [Family] = []

    package init(_ text: String) throws(Fault) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.last == "" else { throw Fault(line: lines.count, description: "the last line is not ended") }
        var help: (name: String, text: String)?
        for (index, line) in lines.dropLast().enumerated() {
            func fault(_ text: String) -> Fault { Fault(line: index + 1, description: "\(text): \(line)") }
            if let match = line.wholeMatch(of: /# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)/) {
                guard help == nil else { throw fault("a HELP without its TYPE before this one") }
                guard !families.contains(where: { $0.name == match.1 }) else { throw fault("a family that is there already") }
                guard let text = Self.unescaped(match.2, quotes: false) else { throw fault("an escape that is none") }
                help = (String(match.1), text)
            } else if let match = line.wholeMatch(of: /# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram)/) {
                guard let (name, text) = help, name == match.1 else { throw fault("a TYPE without its HELP") }
                help = nil
                families.append(Family(name: name, help: text, kind: String(match.2)))
            } else if !line.hasPrefix("#"), help == nil, let last = families.indices.last {
                guard let sample = Self.sample(line) else { throw fault("no sample") }
                guard families[last].takes(sample.name) else { throw fault("a sample of another family") }
                guard !families[last].samples.contains(where: { $0.name == sample.name && $0.labels == sample.labels }) else {
                    throw fault("a sample that is there already")
                }
                families[last].samples.append(sample)
            } else {
                throw fault("neither HELP nor TYPE nor a sample in its place")
            }
        }
        guard help == nil else { throw Fault(line: lines.count, description: "a HELP without its TYPE at the end") }
        for family in families {
            if let text = family.fault { throw Fault(line: 0, description: "\(family.name): \(text)") }
        }
    }

    package subscript(family: String) -> Family? { families.first { $0.name == family } }

    /// The one sample of that name and exactly these labels.
    package func value(_ name: String, _ labels: [String: String] = [:]) -> Double? {
        families.flatMap(\.samples).first { $0.name == name && $0.labels == labels }?.value
    }

    /// All samples of that name that have these labels, together; 0 where there is none.
    package func sum(_ name: String, _ labels: [String: String] = [:]) -> Double {
        families.flatMap(\.samples).filter { sample in
            sample.name == name && labels.allSatisfy { sample.labels[$0.key] == $0.value }
        }.map(\.value).reduce(0, +)
    }

    private static func sample(_ line: Substring) -> Sample? {
        guard
            let match = line.wholeMatch(
                of: /([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\.)*",?)*)\})? (\S+)/),
            let value = number(match.3)
        else { return nil }
        var labels: [String: String] = [:]
        for label in (match.2 ?? "").matches(of: /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/) {
            guard let text = unescaped(label.2, quotes: true), labels.updateValue(text, forKey: String(label.1)) == nil else { return nil }
        }
        return Sample(name: String(match.1), labels: labels, value: value)
    }

    private static func number(_ text: Substring) -> Double? {
        switch text {
        case "+Inf": .infinity
        case "-Inf": -.infinity
        case "NaN": .nan
        default: text.wholeMatch(of: /-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?/) == nil ? nil : Double(text)
        }
    }

    private static func unescaped(_ text: Substring, quotes: Bool) -> String? {
        var result = ""
        var isEscaped = false
        for character in text {
            switch (isEscaped, character) {
            case (false, "\\"): isEscaped = true
            case (false, _): result.append(character)
            case (true, _) where character == "\\" || character == "\"" && quotes:
                result.append(character)
                isEscaped = false
            case (true, "n"):
                result.append("\n")
                isEscaped = false
            case (true, _): return nil
            }
        }
        return isEscaped ? nil : result
    }
}

extension MetricsReading.Family {
    fileprivate func takes(_ sample: String) -> Bool {
        kind == "histogram" ? ["_bucket", "_sum", "_count"].contains { name + $0 == sample } : name == sample
    }

    /// What is wrong with the family as a whole.
    fileprivate var fault: String? {
        if samples.isEmpty { return "no sample" }
        switch kind {
        case "counter":
            if !name.hasSuffix("_total") { return "a counter whose name does not end in _total" }
            return samples.contains { !($0.value >= 0) } ? "a counter below 0" : nil
        case "histogram": return histogramFault
        default: return name.hasSuffix("_total") ? "a gauge whose name ends in _total" : nil
        }
    }

    private var histogramFault: String? {
        func labels(_ sample: MetricsReading.Sample) -> [String: String] { sample.labels.filter { $0.key != "le" } }
        for series in Set(samples.map(labels)) {
            let own = samples.filter { labels($0) == series }
            let buckets = own.filter { $0.name == name + "_bucket" }
            let bounds = buckets.map { $0.labels["le"].flatMap { $0 == "+Inf" ? .infinity : Double($0) } ?? .nan }
            guard let count = own.first(where: { $0.name == name + "_count" })?.value, own.contains(where: { $0.name == name + "_sum" }),
                bounds.last == .infinity, buckets.last?.value == count
            else { return "no count, no sum, or no last bucket of that count" }
            guard zip(bounds, bounds.dropFirst()).allSatisfy(<), zip(buckets, buckets.dropFirst()).allSatisfy({ $0.value <= $1.value })
            else {
                return "buckets out of order"
            }
        }
        return nil
    }
}
