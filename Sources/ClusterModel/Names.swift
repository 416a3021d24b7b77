package import Base

/// What names may look like. Each check says which rule was broken; nothing is repaired or folded.
package enum Names {
    /// A cluster name: lower-case DNS labels joined by dots, so that it can end a host name and be part of a path.
    ///
    /// At most 253 characters, 63 a label (RFC 1035 §2.3.4).
    package static func checkCluster(_ name: String) throws(TeleportError) {
        try checkHost(name, what: "cluster name", upperCase: false)
    }

    /// A node's name: as a cluster name, but a host's own upper-case letters are taken as they are.
    package static func checkNode(_ name: String) throws(TeleportError) {
        try checkHost(name, what: "node name", upperCase: true)
    }

    /// The name of a user of ours, not of an operating system: it travels in key ids and X.509 subjects.
    package static func checkUser(_ name: String) throws(TeleportError) {
        try check(name, what: "user name", max: 128, allowed: userCharacters)
    }

    /// A login of an operating system, as `useradd` would take it.
    package static func checkLogin(_ name: String) throws(TeleportError) {
        try check(name, what: "login", max: 64, allowed: loginCharacters)
        guard name.utf8.first != UInt8(ascii: "-") else { throw .badParameter("login \(quoted(name)) begins with '-'") }
    }

    /// The name of a role.
    package static func checkRole(_ name: String) throws(TeleportError) {
        try check(name, what: "role name", max: 64, allowed: roleCharacters)
    }

    /// A UUID (RFC 9562 §4) in lower case.
    package static func checkUUID(_ text: String) throws(TeleportError) {
        let bytes = Array(text.utf8)
        guard
            bytes.count == 36,
            bytes.indices.allSatisfy({ index in
                [8, 13, 18, 23].contains(index) ? bytes[index] == UInt8(ascii: "-") : isLowerHex(bytes[index])
            })
        else { throw .badParameter("\(quoted(text)) is not a UUID in lower case") }
    }

    /// `HOST:PORT` with a port from 1 to 65535; an IPv6 address stands in brackets.
    package static func checkAddress(_ text: String) throws(TeleportError) {
        guard text.utf8.count <= 300, let address = HostPort(text), address.port > 0 else {
            throw .badParameter("address \(quoted(text)) is not HOST:PORT with a port from 1 to 65535")
        }
        if IPAddress(address.host) == nil { try checkNode(address.host) }
    }

    /// `db1.east` as `db1` of site `east`, the longest site name first; nil where no end of the name is a site's.
    package static func splitSite(_ host: String, isSite: (String) -> Bool) -> (host: String, site: String)? {
        var rest = host[...]
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            let name = host[..<dot]
            if !name.isEmpty, isSite(String(rest)) { return (String(name), String(rest)) }
        }
        return nil
    }

    /// A text as it may be shown: in quotes, cut at 64 characters, without control characters.
    package static func quoted(_ text: String) -> String {
        let shown = String(String.UnicodeScalarView(text.unicodeScalars.prefix(64).map { $0.value < 0x20 || $0.value == 0x7f ? "?" : $0 }))
        return "\"\(shown)\(text.unicodeScalars.count > 64 ? "…" : "")\""
    }

    private static let userCharacters = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@+".utf8)
    private static let roleCharacters = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-".utf8)
    private static let loginCharacters = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-$".utf8)

    private static func check(_ name: String, what: String, max: Int, allowed: Set<UInt8>) throws(TeleportError) {
        guard !name.isEmpty else { throw .badParameter("the \(what) is empty") }
        guard name.utf8.count <= max else { throw .badParameter("\(what) \(quoted(name)) is longer than \(max) characters") }
        guard name.utf8.allSatisfy(allowed.contains), name != ".", name != ".." else {
            throw .badParameter("\(what) \(quoted(name)) has characters that are not allowed")
        }
    }

    private static func checkHost(_ name: String, what: String, upperCase: Bool) throws(TeleportError) {
        guard !name.isEmpty else { throw .badParameter("the \(what) is empty") }
        guard name.utf8.count <= 253 else { throw .badParameter("\(what) \(quoted(name)) is longer than 253 characters") }
        for label in name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            guard !label.isEmpty, label.count <= 63 else {
                throw .badParameter("\(what) \(quoted(name)) has a part that is empty or longer than 63 characters")
            }
            guard label.allSatisfy({ isHostCharacter($0, upperCase: upperCase) }) else {
                throw .badParameter("\(what) \(quoted(name)) may have only \(upperCase ? "" : "lower-case ")letters, digits, '-' and '.'")
            }
            guard label.first != UInt8(ascii: "-"), label.last != UInt8(ascii: "-") else {
                throw .badParameter("\(what) \(quoted(name)) has a part that begins or ends with '-'")
            }
        }
    }

    private static func isHostCharacter(_ byte: UInt8, upperCase: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): upperCase
        default: false
        }
    }

    private static func isLowerHex(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
        default: false
        }
    }
}
