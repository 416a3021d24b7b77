package import Base

/// One end of `tsh scp`: a file here, or `[LOGIN@]NODE[@SITE]:PATH`.
package enum CopyPlace: Equatable, Sendable {
    case local(String)
    /// - Parameter path: relative to the login's home directory unless it begins with `/`; empty for that directory itself.
    case remote(CommandTarget, path: String)

    /// As scp has it: what has a colon before any slash is remote.
    package init(_ text: String) throws(TeleportError) {
        guard !text.isEmpty else { throw .badParameter("a file's name is empty") }
        guard let colon = text.firstIndex(of: ":"), colon != text.startIndex, !text[..<colon].contains("/") else {
            self = .local(text)
            return
        }
        let target = try CommandTarget(parsing: String(text[..<colon]))
        if case .labels = target.place { throw .badParameter("\(text): files go to and from one node, not all with some labels") }
        self = .remote(target, path: Self.fromHome(String(text[text.index(after: colon)...])))
    }

    /// Where a server starts is the home directory.
    package static func fromHome(_ path: String) -> String {
        if path == "~" || path == "~/" { return "" }
        return path.hasPrefix("~/") ? String(path.dropFirst(2)) : path
    }
}

/// Paths as bytes, with `/` between the names.
package enum RemotePath {
    private static let slash = UInt8(ascii: "/")

    package static func join(_ directory: [UInt8], _ name: [UInt8]) -> [UInt8] {
        if directory.isEmpty || directory == Array(".".utf8) { return name }
        return directory.last == slash ? directory + name : directory + [slash] + name
    }

    /// The last name; empty for `/`, `.`, `..` and what ends in one of them, which name no file of their own.
    package static func lastName(_ path: [UInt8]) -> [UInt8] {
        let name = Array(path.split(separator: slash).last ?? [])
        return SFTPSession.isFileName(name) ? name : []
    }

    /// Whether `name` fits a pattern with `*`, `?`, `[…]` and `\`. A leading dot is fitted by a dot alone, as in a shell.
    package static func matches(_ name: [UInt8], _ pattern: [UInt8]) -> Bool {
        if name.first == UInt8(ascii: "."), pattern.first != UInt8(ascii: ".") { return false }
        return matches(name[...], pattern[...])
    }

    package static func isPattern(_ path: [UInt8]) -> Bool {
        path.contains { "*?[".utf8.contains($0) }
    }

    /// Each `*` is tried with as little as will do; one that failed is never tried again before a later one, so that no name takes long.
    private static func matches(_ name: ArraySlice<UInt8>, _ pattern: ArraySlice<UInt8>) -> Bool {
        var (name, pattern) = (name, pattern)
        var retry: (name: ArraySlice<UInt8>, pattern: ArraySlice<UInt8>)?
        while true {
            if pattern.first == UInt8(ascii: "*") {
                pattern.removeFirst()
                retry = (name, pattern)
            } else if let rest = matchOne(name.first, pattern) {
                name.removeFirst()
                pattern = rest
            } else if name.isEmpty, pattern.isEmpty {
                return true
            } else {
                guard let last = retry, !last.name.isEmpty else { return false }
                name = last.name.dropFirst()
                pattern = last.pattern
                retry = (name, pattern)
            }
        }
    }

    /// What is left of the pattern when its first element fits `byte`.
    private static func matchOne(_ byte: UInt8?, _ pattern: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let byte, let first = pattern.first else { return nil }
        switch first {
        case UInt8(ascii: "?"): return pattern.dropFirst()
        case UInt8(ascii: "\\"):
            guard pattern.dropFirst().first == byte else { return nil }
            return pattern.dropFirst(2)
        case UInt8(ascii: "["):
            guard let end = pattern.dropFirst(2).firstIndex(of: UInt8(ascii: "]")) else { return first == byte ? pattern.dropFirst() : nil }
            var set = pattern[pattern.index(after: pattern.startIndex)..<end]
            let isInverted = set.first == UInt8(ascii: "!") || set.first == UInt8(ascii: "^")
            if isInverted { set.removeFirst() }
            return contains(Array(set), byte) != isInverted ? pattern[pattern.index(after: end)...] : nil
        default: return first == byte ? pattern.dropFirst() : nil
        }
    }

    private static func contains(_ set: [UInt8], _ byte: UInt8) -> Bool {
        var index = 0
        while index < set.count {
            if index + 2 < set.count, set[index + 1] == UInt8(ascii: "-") {
                if set[index] <= byte, byte <= set[index + 2] { return true }
                index += 3
            } else {
                if set[index] == byte { return true }
                index += 1
            }
        }
        return false
    }
}
