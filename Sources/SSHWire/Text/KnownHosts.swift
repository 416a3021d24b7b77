internal import Base
internal import Crypto

/// One line of `known_hosts` (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
package struct KnownHostsLine: Equatable, Sendable {
    package enum Marker: String, Sendable {
        case certAuthority = "@cert-authority"
        case revoked = "@revoked"
    }

    package let marker: Marker?
    /// Names, `*` and `?` patterns, negated by `!`, `[HOST]:PORT`; or one hashed name.
    package let patterns: [String]
    package let key: PublicKey
    package let comment: String

    /// A line names few hosts; OpenSSH itself has no limit but the line's.
    private static let patternsMax = 256

    package init(marker: Marker?, patterns: [String], key: PublicKey, comment: String = "") {
        self.marker = marker
        self.patterns = patterns
        self.key = key
        self.comment = comment
    }

    package init(line: String) throws(KeyError) {
        let line = line.trimmingBlanks()
        guard !line.contains(where: \.isNewline) else { throw .badText("more than one line") }
        var words = line.split(maxSplits: 1, whereSeparator: \.isBlank)
        guard words.count == 2 else { throw .badText("not a known_hosts line") }
        if words[0].hasPrefix("@") {
            guard let marker = Marker(rawValue: String(words[0])) else { throw .badText("unknown marker") }
            self.marker = marker
            words = words[1].split(maxSplits: 1, whereSeparator: \.isBlank)
            guard words.count == 2 else { throw .badText("not a known_hosts line") }
        } else {
            marker = nil
        }
        patterns = words[0].split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard !patterns.contains(""), patterns.count <= Self.patternsMax, !line.hasPrefix("#") else {
            throw .badText("not a known_hosts line")
        }
        let key = try AuthorizedKey(line: String(words[1]))
        guard key.options.isEmpty else { throw .badText("not a known_hosts line") }
        self.key = key.key
        comment = key.comment
    }

    package var line: String {
        let names = patterns.joined(separator: ",")
        return (marker.map { $0.rawValue + " " } ?? "") + names + " " + key.text(comment: comment)
    }

    /// Whether the line is about this host.
    ///
    /// A port other than 22 is part of the name, `[HOST]:PORT`; an authority's line may also name the host alone.
    package func matches(host: String, port: UInt16 = 22) -> Bool {
        let host = host.lowercased()
        if port == 22 { return matches(name: host) }
        return matches(name: "[\(host)]:\(port)") || marker == .certAuthority && matches(name: host)
    }

    private func matches(name: String) -> Bool {
        var isMatched = false
        for pattern in patterns {
            if pattern.hasPrefix("|") {
                if Self.matchesHash(pattern, name) { isMatched = true }
            } else if pattern.hasPrefix("!") {
                if matchesWildcards(Array(pattern.lowercased().utf8.dropFirst()), Array(name.utf8)) { return false }
            } else if matchesWildcards(Array(pattern.lowercased().utf8), Array(name.utf8)) {
                isMatched = true
            }
        }
        return isMatched
    }

    /// `|1|SALT|HASH`: HMAC-SHA1 of the name, keyed with the salt.
    private static func matchesHash(_ pattern: String, _ name: String) -> Bool {
        let parts = pattern.split(separator: "|", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0].isEmpty, parts[1] == "1", let salt = Base64.decode(parts[2]), salt.count == 20,
            let hash = Base64.decode(parts[3])
        else { return false }
        return constantTimeEqual(HMAC.authenticate(Array(name.utf8), key: salt, with: .sha1), hash)
    }
}

/// A `known_hosts` file.
package struct KnownHosts: Sendable {
    package private(set) var lines: [KnownHostsLine] = []

    package init() {}

    /// Lines that cannot be read are left out, as OpenSSH does: a file holds keys of types that we do not know.
    package init(text: String) {
        for line in text.split(whereSeparator: \.isNewline) {
            let line = String(line).trimmingBlanks()
            if line.isEmpty || line.hasPrefix("#") { continue }
            if let parsed = try? KnownHostsLine(line: line) { lines.append(parsed) }
        }
    }

    package mutating func add(_ line: KnownHostsLine) {
        lines.append(line)
    }

    package var text: String { lines.map { $0.line + "\n" }.joined() }

    /// The authorities that may vouch for a host.
    package func authorities(host: String, port: UInt16 = 22) -> [PublicKey] {
        keys(.certAuthority, host, port)
    }

    /// The keys that a host may have without a certificate.
    package func hostKeys(host: String, port: UInt16 = 22) -> [PublicKey] {
        keys(nil, host, port)
    }

    /// Keys and authorities that a host must not have.
    package func isRevoked(_ key: PublicKey, host: String, port: UInt16 = 22) -> Bool {
        keys(.revoked, host, port).contains(key)
    }

    private func keys(_ marker: KnownHostsLine.Marker?, _ host: String, _ port: UInt16) -> [PublicKey] {
        lines.filter { $0.marker == marker && $0.matches(host: host, port: port) }.map(\.key)
    }
}

/// `*` is any bytes, `?` is one: iterative, so that a long pattern costs no more than pattern times text.
func matchesWildcards(_ pattern: [UInt8], _ text: [UInt8]) -> Bool {
    var patternIndex = 0
    var textIndex = 0
    var star: (pattern: Int, text: Int)?
    while textIndex < text.count {
        if patternIndex < pattern.count, pattern[patternIndex] == UInt8(ascii: "*") {
            star = (patternIndex, textIndex)
            patternIndex += 1
        } else if patternIndex < pattern.count, pattern[patternIndex] == UInt8(ascii: "?") || pattern[patternIndex] == text[textIndex] {
            patternIndex += 1
            textIndex += 1
        } else if let last = star {
            patternIndex = last.pattern + 1
            textIndex = last.text + 1
            star = (last.pattern, textIndex)
        } else {
            return false
        }
    }
    return pattern[patternIndex...].allSatisfy { $0 == UInt8(ascii: "*") }
}
