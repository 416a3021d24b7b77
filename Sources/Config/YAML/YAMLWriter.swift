/// Writes a tree as block-style YAML that reads back as the same tree.
package enum YAMLWriter {
    /// The text of one document, with a line end at its end.
    package static func write(_ value: YAMLValue) -> String {
        var text = ""
        switch value.content {
        case .scalar, .sequence([]), .mapping([]): text = inline(value) + "\n"
        case .sequence, .mapping: block(value, indent: 0, into: &text)
        }
        return text
    }

    private static func block(_ value: YAMLValue, indent: Int, into text: inout String) {
        let margin = String(repeating: " ", count: indent)
        switch value.content {
        case .scalar:
            preconditionFailure("a scalar is no block")
        case .mapping(let pairs):
            for pair in pairs {
                text += margin + scalar(pair.key, isPlain: false) + ":"
                after(pair.value, indent: indent + 2, into: &text)
            }
        case .sequence(let values):
            for value in values {
                text += margin + "-"
                if case .mapping(let pairs) = value.content, !pairs.isEmpty {
                    var inner = ""
                    block(value, indent: indent + 2, into: &inner)
                    text += " " + inner.dropFirst(indent + 2)
                } else {
                    after(value, indent: indent + 2, into: &text)
                }
            }
        }
    }

    private static func after(_ value: YAMLValue, indent: Int, into text: inout String) {
        switch value.content {
        case .scalar, .sequence([]), .mapping([]):
            text += " " + inline(value) + "\n"
        case .sequence, .mapping:
            text += "\n"
            block(value, indent: indent, into: &text)
        }
    }

    private static func inline(_ value: YAMLValue) -> String {
        switch value.content {
        case .scalar(let text, let isPlain): scalar(text, isPlain: isPlain)
        case .sequence: "[]"
        case .mapping: "{}"
        }
    }

    /// A text goes without quotes only where nobody could read it as anything else.
    private static func scalar(_ text: String, isPlain: Bool) -> String {
        isPlain || isSafe(text) ? text : quoted(text)
    }

    private static let reserved: Set<String> = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]

    private static func isSafe(_ text: String) -> Bool {
        guard let first = text.utf8.first, isLetter(first) || first == UInt8(ascii: "/") else { return false }
        return !reserved.contains(text.lowercased())
            && text.utf8.allSatisfy { isLetter($0) || (0x30...0x39).contains($0) || "._-/@+".utf8.contains($0) }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || byte == UInt8(ascii: "_")
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\t": quoted += "\\t"
            case "\u{20}"..."\u{7e}", "\u{a1}"..."\u{2027}", "\u{202a}"..."\u{d7ff}", "\u{e000}"..."\u{fefe}", "\u{ff00}"..."\u{fffd}":
                quoted.unicodeScalars.append(scalar)
            default:
                // Controls, line separators, marks, and what is outside the first plane.
                let digits = String(scalar.value, radix: 16)
                quoted += "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
            }
        }
        return quoted + "\""
    }
}
