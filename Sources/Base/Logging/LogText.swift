/// Text from strangers made fit for one line of a log.
package enum LogText {
    /// Bytes of UTF-8 that one value may have in the log: a user name, a command or a path in full, a flood not.
    package static let valueBytesMax = 1024

    /// Cuts what is longer than ``valueBytesMax``, with a mark that says how much is missing.
    package static func truncated(_ text: String) -> String {
        let length = text.utf8.count
        guard length > valueBytesMax else { return text }
        var kept = ""
        var bytes = 0
        for scalar in text.unicodeScalars {
            bytes += UTF8.width(scalar)
            if bytes > valueBytesMax { break }
            kept.unicodeScalars.append(scalar)
        }
        return "\(kept)…[\(length - kept.utf8.count) more bytes]"
    }

    /// With control characters, line separators and those that turn the direction of writing as `\n`, `\u{1b}`; a backslash as two.
    package static func escaped(_ text: String) -> String {
        if isPlain(text) { return text }
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\r": escaped += "\\r"
            case "\t": escaped += "\\t"
            case _ where isUnfit(scalar): escaped += "\\u{\(String(scalar.value, radix: 16))}"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// A string of JSON (RFC 8259 §7), quotes and all.
    package static func json(_ text: String) -> String {
        if isPlain(text) { return "\"\(text)\"" }
        var escaped = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            case "\r": escaped += "\\r"
            case "\t": escaped += "\\t"
            case _ where isUnfit(scalar): escaped += jsonEscape(scalar)
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped + "\""
    }

    /// Nearly all text is: printable ASCII without a backslash or a quotation mark.
    private static func isPlain(_ text: String) -> Bool {
        text.utf8.allSatisfy { (0x20...0x7e).contains($0) && $0 != UInt8(ascii: "\\") && $0 != UInt8(ascii: "\"") }
    }

    private static func jsonEscape(_ scalar: Unicode.Scalar) -> String {
        UTF16.encode(scalar).map { units in
            units.map { unit in
                let digits = String(unit, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            }.joined()
        } ?? ""
    }

    /// Whether a terminal or a reader of lines could be led astray by this character.
    private static func isUnfit(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: true
        default: false
        }
    }
}
