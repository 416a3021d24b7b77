package import Base

/// What a node says of itself: `env=prod`.
package typealias Labels = [String: String]

/// Which labels a thing must bear: every key named, each with one of the values named.
///
/// Both sides are compared whole. `*` alone stands for any value, and the pair `*=*` for any node, labels or none; nowhere else
/// does it mean anything. A selector without keys matches nothing.
package struct LabelSelector: Hashable, Sendable, Codable {
    package let values: [String: [String]]

    package static let nothing = LabelSelector([:])
    package static let everything = LabelSelector(["*": ["*"]])

    package init(_ values: [String: [String]]) {
        self.values = values
    }

    /// `k=v,k2=v2` as on the command line of `tsh ls`.
    package init(parsing text: String) throws(TeleportError) {
        values = try parseLabels(text).mapValues { [$0] }
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let lists = try? container.decode([String: [String]].self) {
            values = lists
        } else {
            values = try container.decode([String: String].self).mapValues { [$0] }
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(values)
    }

    package func matches(_ labels: Labels) -> Bool {
        guard !values.isEmpty else { return false }
        return values.allSatisfy { key, wanted in
            if key == "*" { return wanted.contains("*") }
            guard let value = labels[key] else { return false }
            return wanted.contains("*") || wanted.contains(value)
        }
    }
}

/// `k=v,k2=v2` as labels; the same key twice is refused.
package func parseLabels(_ text: String) throws(TeleportError) -> Labels {
    var labels: Labels = [:]
    for pair in text.split(separator: ",", omittingEmptySubsequences: false) {
        guard let equals = pair.firstIndex(of: "="), equals != pair.startIndex else {
            throw .badParameter("label \(Names.quoted(String(pair))) is not KEY=VALUE")
        }
        let key = String(pair[..<equals])
        guard labels.updateValue(String(pair[pair.index(after: equals)...]), forKey: key) == nil else {
            throw .badParameter("label \(Names.quoted(key)) is given twice")
        }
    }
    return labels
}

/// Bounds of what a node may say of itself: the snapshot that carries it goes to every proxy.
func checkLabels(_ labels: Labels) throws(TeleportError) {
    guard labels.count <= 64 else { throw .limitExceeded("more than 64 labels") }
    for (key, value) in labels {
        guard !key.isEmpty, key.utf8.count <= 128, value.utf8.count <= 512 else {
            throw .badParameter("label \(Names.quoted(key)) is empty or too long")
        }
        guard (key + value).unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7f }) else {
            throw .badParameter("label \(Names.quoted(key)) has control characters")
        }
    }
}
