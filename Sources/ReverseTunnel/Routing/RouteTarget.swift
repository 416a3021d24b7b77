package import Base

/// Where somebody wants to go: `HOST:PORT[@SITE]`, as in the proxy's subsystem and in `direct-tcpip`.
///
/// A value of this type is only a wish: ``Router`` holds it against what is registered.
package struct RouteTarget: Equatable, Sendable {
    /// A node's name, UUID, `NAME.SITE` or address.
    package let host: String
    /// 0 stands for whatever port the node has.
    package let port: UInt16
    /// The site that was named, or nil for "this one, unless the host says otherwise".
    package let site: String?

    /// RFC 1035 §2.3.4: no host name is longer.
    package static let hostBytesMax = 255

    package init(host: String, port: UInt16, site: String? = nil) throws(TeleportError) {
        guard !host.isEmpty else { throw .badParameter("the target names no host") }
        guard host.utf8.count <= Self.hostBytesMax else {
            throw .badParameter("the target's host name is longer than \(Self.hostBytesMax) bytes")
        }
        guard host.utf8.allSatisfy(Self.mayStandInHost) else {
            throw .badParameter("the target's host name holds characters that no host name has")
        }
        if let site { try Self.check(site: site) }
        self.host = host
        self.port = port
        self.site = site
    }

    /// - Parameter text: `HOST:PORT`, `[IPV6]:PORT`, each with or without `@SITE`.
    package init(parsing text: String) throws(TeleportError) {
        guard text.utf8.count <= 2 * Self.hostBytesMax + 8 else { throw .badParameter("the target is too long") }
        let parts = text.split(separator: "@", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count <= 2 else { throw .badParameter("the target has more than one @") }
        let site = parts.count == 2 ? String(parts[1]) : nil
        let place = parts[0]
        guard let colon = place.lastIndex(of: ":") else { throw .badParameter("the target names no port: HOST:PORT[@SITE]") }
        var host = place[..<colon]
        if host.hasPrefix("[") {
            guard host.hasSuffix("]") else { throw .badParameter("the target's bracket is not closed") }
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw .badParameter("an IPv6 address stands in brackets: [ADDRESS]:PORT")
        }
        let digits = place[place.index(after: colon)...]
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits) else {
            throw .badParameter("the target's port is no number from 0 to 65535")
        }
        try self.init(host: String(host), port: port, site: site)
    }

    private static func check(site: String) throws(TeleportError) {
        guard !site.isEmpty, site.utf8.count <= hostBytesMax, site.utf8.allSatisfy(mayStandInHost) else {
            throw .badParameter("what stands behind @ is no site's name")
        }
    }

    /// Letters, digits, and what stands in names and addresses.
    private static func mayStandInHost(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ":"):
            true
        default: false
        }
    }
}
