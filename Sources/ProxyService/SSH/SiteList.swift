package import Base
package import ClusterModel
internal import FoundationEssentials
package import ReverseTunnel

/// The sites as `proxysites` prints them: this cluster first, then its leaves by name.
package struct SiteList: Codable, Sendable {
    package struct Site: Codable, Equatable, Sendable {
        package let name: String
        /// `online`, or `offline` where no agent of the site holds a tunnel to this proxy.
        package let status: String
        /// Whether it is the proxy's own cluster.
        package let root: Bool
    }

    package let sites: [Site]

    package init(_ snapshot: ClusterSnapshot, registry: SiteRegistry) {
        let own = Site(name: snapshot.clusterName, status: "online", root: true)
        sites =
            [own]
            + snapshot.leafClusters.sorted().map {
                Site(name: $0, status: registry.isConnected($0) ? "online" : "offline", root: false)
            }
    }

    package func json() throws(TeleportError) -> [UInt8] {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return Array(try encoder.encode(sites)) + [UInt8(ascii: "\n")]
        } catch {
            throw .badParameter("the list of sites cannot be written", cause: error)
        }
    }
}
