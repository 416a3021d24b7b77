package import Base
package import ReverseTunnel

/// What a user asks of the proxy with `ssh -s`.
package enum ProxySubsystem: Equatable, Sendable {
    /// `proxy:HOST:PORT[@SITE]`: bytes to and from a node.
    case dial(RouteTarget)
    /// `proxy:@SITE`: bytes to and from the site's auth API.
    case authService(site: String)
    /// `proxysites`: the sites, as JSON.
    case sites
    /// `proxynodes` or `proxynodes:@SITE`: the site's nodes, as JSON.
    case nodes(site: String?)

    package init(parsing name: String) throws(TeleportError) {
        switch name {
        case "proxysites": self = .sites
        case "proxynodes": self = .nodes(site: nil)
        case _ where name.hasPrefix("proxynodes:@"):
            self = .nodes(site: try Self.site(name.dropFirst("proxynodes:@".count)))
        case _ where name.hasPrefix("proxy:@"):
            self = .authService(site: try Self.site(name.dropFirst("proxy:@".count)))
        case _ where name.hasPrefix("proxy:"):
            self = .dial(try RouteTarget(parsing: String(name.dropFirst("proxy:".count))))
        default:
            throw .badParameter("this proxy has the subsystems proxy:HOST:PORT[@SITE], proxysites and proxynodes[:@SITE], and no others")
        }
    }

    private static func site(_ text: Substring) throws(TeleportError) -> String {
        guard let site = try RouteTarget(host: "site", port: 0, site: String(text)).site else { throw .badParameter("no site is named") }
        return site
    }
}
