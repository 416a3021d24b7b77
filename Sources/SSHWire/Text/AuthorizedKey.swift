internal import Base

/// One line of `authorized_keys` (sshd(8), AUTHORIZED_KEYS FILE FORMAT): options, key, comment.
package struct AuthorizedKey: Equatable, Sendable {
    /// `NAME` or `NAME="VALUE"`, as they stand.
    package let options: [String]
    package let key: PublicKey
    package let comment: String

    package init(options: [String] = [], key: PublicKey, comment: String = "") {
        self.options = options
        self.key = key
        self.comment = comment
    }

    package init(line: String) throws(KeyError) {
        let line = line.trimmingBlanks()
        guard !line.contains(where: \.isNewline) else { throw .badText("more than one line") }
        guard !line.hasPrefix("#") else { throw .badText("a comment") }
        var rest = line
        var options: [String] = []
        if let word = rest.split(maxSplits: 1, whereSeparator: \.isBlank).first, KeyType(rawValue: String(word)) == nil {
            (options, rest) = try Self.splitOptions(line)
        }
        let words = rest.split(maxSplits: 2, whereSeparator: \.isBlank)
        guard words.count >= 2 else { throw .badText("not a public key's line") }
        guard let type = KeyType(rawValue: String(words[0])) else { throw .unsupportedKeyType(String(words[0])) }
        guard let blob = Base64.decode(words[1]) else { throw .badText("not Base 64") }
        let key = try PublicKey(blob: blob)
        guard key.type == type else { throw .badText("the key is of another type than its line says") }
        self.init(options: options, key: key, comment: words.count > 2 ? String(words[2]) : "")
    }

    package var line: String {
        options.isEmpty ? key.text(comment: comment) : options.joined(separator: ",") + " " + key.text(comment: comment)
    }

    /// Splits at commas outside quotes, up to the first blank outside quotes.
    private static func splitOptions(_ line: String) throws(KeyError) -> ([String], String) {
        var options: [String] = []
        var option = ""
        var isQuoted = false
        var isEscaped = false
        for (offset, character) in line.enumerated() {
            if isQuoted {
                option.append(character)
                if character == "\"", !isEscaped { isQuoted = false }
                isEscaped = character == "\\" && !isEscaped
            } else if character.isBlank {
                options.append(option)
                return (options, String(line.dropFirst(offset)).trimmingBlanks())
            } else if character == "," {
                options.append(option)
                option = ""
            } else {
                option.append(character)
                isQuoted = character == "\""
            }
        }
        throw .badText(isQuoted ? "a quote is not closed" : "not a public key's line")
    }
}

extension Character {
    var isBlank: Bool { self == " " || self == "\t" }
}

extension String {
    /// Without blanks and line ends around it.
    func trimmingBlanks() -> String {
        let start = drop { $0.isBlank || $0.isNewline }
        guard let last = start.lastIndex(where: { !$0.isBlank && !$0.isNewline }) else { return "" }
        return String(start[...last])
    }
}
